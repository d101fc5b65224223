"""Who would leave a cooperation: one company that follows its own profit, while all others act as they did.

A cooperative policy is an equilibrium under a contract where no company can gain by changing what it alone does.
Whether it is, is tried: each company in turn is trained on for its own profit (with what the contracts pay it) from the
cooperative policy, and the others stay what they are. What it gains is at least what it could gain, because training
may miss the best: a gain that is found is a fact, a gain that is not found is no proof.

**Team production** (Holmström 1982, specialised to N companies, value v·Σe, cost c·e²/2 borne by each). The network's
best is e* = v/c for each. A company that is paid the share s of the value prefers e = s·v/c whatever the others do. By
going there from e* it saves cost and loses its share of the value, and gains

    (c·e*²/2 − c·e²/2) − s·v·(e* − e) = v²·(1 − s)² / (2c),

and the network loses v·(e* − e) − (c·e*²/2 − c·e²/2), which is the same number. So a deviation pays unless s = 1, and a
single pot whose shares sum to 1 can give the full marginal value to one company only; at shares 1/N every company gains
v²·(1 − 1/N)²/(2c) by leaving. Where companies pay each other, what one receives another pays: the shares less the
payments sum to 0, and then no company that is paid has an incentive without another that has the opposite one
(Holmström's theorem 1: budget balance and efficiency exclude each other). Only somebody outside can mend it, who pays
the full value to *each* and takes a fixed sum for it (his section 3: a principal who breaks the budget). Here that can
be the end customers: one `gain_share` contract per company, each with share 1, paid by them over a `reference`, which
is a fixed sum and changes no deviation. `gain_of_leaving` is the closed form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kaizen_env import BatchEnv, Regime, load_regime
from kaizen_env.errors import near

from .loading import load_policy
from .pathwise import Pathwise
from .pathwise_game import Game, Head
from .policy import PolicyError, Setting
from .training import Task


class Deviator(Pathwise):
    """The policy that `start` holds (a folder of a saved `pathwise`), but one `company` learns on for itself.

    Without `start`, what was restored is where it begins. `closed`: the company's twin is closed, all others stay as
    they are. `for_all`: it learns on for what the regime pays, not for itself: a control of what learning on is worth.
    `options` are those of `pathwise`; `hidden` and `open_twin` must be those of the policy that it begins
    with. Train it under `own(regime)`, which pays every company its own profit.

    Raises PolicyError for a company that is not there, a policy that is no `pathwise` or serves all by one network, and
    for a planner, in whose network nobody decides alone.
    """

    def __init__(
        self, company: str, start: str | None = None, closed: bool = False, for_all: bool = False, **options: Any
    ) -> None:
        super().__init__(**options)
        if self.shared:
            raise PolicyError(
                "deviation: shared: true has one network for all, and nobody who could leave; set it false"
            )
        self.company, self.start, self.closed, self.for_all = company, start, closed, for_all

    def alone(self, setting: Setting) -> int:
        if setting.regime.control == "planner":
            raise PolicyError("deviation: control: planner decides for all, and nobody can leave; use control: company")
        if setting.regime.shared_weight != 0.0 and not self.for_all:
            raise PolicyError(
                f"deviation: objective: {setting.regime.objective} with alignment {setting.regime.alignment:g} pays the"
                " company for others' profit; whoever leaves follows its own: objective: own"
            )
        return self._row(setting.companies)

    def first(self, head: Head, env: BatchEnv, game: Game, generator: torch.Generator) -> dict[str, Tensor]:
        if self.start is not None:
            begun = load_policy(self.start, env, anywhere=True)
            if not isinstance(begun, Pathwise) or begun.shared:
                raise PolicyError(
                    f"deviation: {self.start} holds '{begun.name}'{' with shared: true' * isinstance(begun, Pathwise)};"
                    " whoever leaves needs a network of its own: train pathwise with shared: false"
                )
            self.weights = begun.weights
        if not self.weights:
            raise PolicyError("deviation: there is no policy to leave; name the folder of a saved one: start")
        fresh = head.fresh(env, game, generator)
        shapes = {name: tuple(values.shape) for name, values in fresh.items()}
        if shapes != {name: tuple(values.shape) for name, values in self.weights.items()}:
            raise PolicyError(
                f"deviation: hidden: got {list(self.hidden)}, which is not what the policy that it begins with has;"
                " give the options that it was trained with"
            )
        return {name: values.detach().clone() for name, values in self.weights.items()}  # others go on using theirs

    def opened(self, companies: Sequence[str]) -> Tensor:
        opened = super().opened(companies)
        if self.closed:
            opened[self._row(companies)] = 0.0
        return opened

    def _row(self, companies: Sequence[str]) -> int:
        if self.company not in companies:
            raise PolicyError(
                f"deviation: company: there is no '{self.company}'{near(self.company, companies)}; here:"
                f" {', '.join(companies)}"
            )
        return list(companies).index(self.company)


def own(regime: str | Mapping[str, Any] | Regime) -> Regime:
    """The same twins and the same control, but everybody is paid its own profit alone."""
    return load_regime(load_regime(regime), objective="own")


def constant_strategies(
    task: Task, order: Mapping[str, float], effort: Mapping[str, float] | None = None, **options: Any
) -> Pathwise:
    """A `pathwise` that answers to nothing: every company keeps its level, and its effort on each element of it.

    `order`: by company, in units of the order's range (a level, or where the scenario orders quantities the inventory
    position that is ordered up to); those not named keep the stocks of the start. `effort`: by company, the share of
    its team for every kind of effort, above 0 and in sum below 1. Raises PolicyError for what is out of range.
    """
    env = task.env()
    setting, policy = Setting.of(env), Pathwise(**options)
    head = Head(policy, setting)
    weights = head.fresh(env, Game(env, 1, 0), torch.Generator().manual_seed(0))
    for name, row, value in _rows(setting, order, "order"):
        most = float(setting.facts.largest_order[row])
        if not 0.0 <= value <= most:
            raise PolicyError(f"deviation: order of '{name}': got {value:g}; allowed: 0 … {most:g}")
        weights["constant"][row, 0] = value / float(setting.facts.throughput[row])
    for name, row, value in _rows(setting, effort or {}, "effort"):
        rest = 1.0 - head.efforts * value
        if not (value > 0.0 and rest > 0.0):
            raise PolicyError(
                f"deviation: effort of '{name}': got {value:g} for each of {head.efforts} kinds; allowed: above 0, and"
                " in sum below 1"
            )
        weights["constant"][row, 1:] = float(np.log(value / rest))
    policy.restore({name: values.numpy() for name, values in weights.items()})
    return policy


def _rows(setting: Setting, values: Mapping[str, float], what: str) -> list[tuple[str, int, float]]:
    for name in values:
        if name not in setting.companies:
            raise PolicyError(
                f"deviation: {what}: there is no '{name}'{near(name, setting.companies)}; here:"
                f" {', '.join(setting.companies)}"
            )
    return [(name, setting.companies.index(name), float(value)) for name, value in values.items()]


def gain_of_leaving(share: float, value: float, cost: float) -> float:
    """What a company with this share of the value gains per period by leaving the network's best effort.

    Team production with value v per unit of effort and cost c·e²/2 (Holmström 1982; derived above); the network loses
    the same.
    """
    return value**2 * (1.0 - share) ** 2 / (2.0 * cost)
