"""Episodes for `pathwise`: what networks see and say, what companies earn by it, and the gradients of that."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from kaizen_env import BatchEnv, Network, draw
from kaizen_env.actions import Actions
from kaizen_env.dynamics import held, initial_state, step
from kaizen_env.luck import Luck, stream
from kaizen_env.objectives import Objective
from kaizen_env.observer import Observer
from kaizen_env.twins import Seen, Twin

from .policy import Setting

if TYPE_CHECKING:
    from .pathwise import Pathwise

LEAST_SPREAD = 0.1  # of a feature, below which it is not stretched
LARGEST_INPUT = 10.0  # standard deviations
TYPE = torch.float64


class Sight(NamedTuple):
    """What is seen: a part of each company's own, and a part that all see alike and that is kept once."""

    each: Tensor  # (worlds, companies, features)
    common: Tensor  # (worlds, features), perhaps of none

    @staticmethod
    def joined(several: Sequence[Sight]) -> Sight:
        """Several, one after the other as if they were more worlds; without gradients."""
        return Sight(*(torch.cat(parts).detach() for parts in zip(*several, strict=True)))


class Head:
    """From what a company sees to what its network is given, and from what that says to order-up-to and efforts."""

    def __init__(self, policy: Pathwise, setting: Setting) -> None:
        self.policy = policy
        self.companies, features = len(setting.companies), len(setting.feature_names)
        self.quantity = setting.replenishment == "quantity"
        position = "echelon_position" if "echelon_position" in setting.feature_names else "inventory_position"
        self.position = setting.column(position)
        self.efforts = len(setting.action_names) - 1 - ("openness" in setting.action_names)
        self.opens = "openness" in setting.action_names
        self.open_twin = policy.opened(setting.companies)  # (companies,)
        # A network twin shows the same to all after the echelon; a planner sees of everybody what each sees.
        network_twin = setting.regime.twin == "network"
        self.each = setting.column("echelon_position") + 1 if network_twin else features
        self.everybody = setting.regime.control == "planner" and not network_twin
        self.common = features * self.companies if self.everybody else features - self.each
        self.inputs = self.each + self.common + (self.companies if policy.shared else 0)
        largest = torch.as_tensor(setting.facts.largest_order, dtype=TYPE)
        self.per_share = torch.as_tensor(setting.facts.throughput, dtype=TYPE) / largest  # shares per period of flow

    @property
    def networks(self) -> int:
        return 1 if self.policy.shared else self.companies

    @property
    def code(self) -> Tensor:
        """What tells a shared network whose it is, with mean 0 and deviation 1: (companies, companies)."""
        n = self.companies
        spread = max(math.sqrt((n - 1) / n**2), LEAST_SPREAD)
        return torch.clamp((torch.eye(n, dtype=TYPE) - 1.0 / n) / spread, -LARGEST_INPUT, LARGEST_INPUT)

    def split(self, observations: Tensor) -> Sight:
        """Sight from observations (worlds, companies, features)."""
        return self.sight(observations[..., : self.each], observations[:, 0, self.each :])

    def sight(self, each: Tensor, common: Tensor | None) -> Sight:
        """Sight from the parts of a twin; a planner shows everybody what each sees."""
        if self.everybody:
            return Sight(each, each.flatten(1))
        return Sight(each, each.new_zeros(len(each), 0) if common is None else common)

    def fresh(self, env: BatchEnv, game: Game, generator: torch.Generator) -> dict[str, Tensor]:
        """Weights before training: levels that keep the stocks of the start, equal efforts, no answers.

        Mean and spread of what is seen come from an episode under these levels.
        """
        outputs = 1 + self.efforts
        sizes = [self.inputs, *self.policy.hidden, outputs]
        weights: dict[str, Tensor] = {}
        for layer, (a, b) in enumerate(itertools.pairwise(sizes)):
            last = layer == len(sizes) - 2
            drawn = torch.randn(self.networks, a, b, generator=generator, dtype=TYPE) / math.sqrt(a)
            weights[f"weight_{layer}"] = 0.0 * drawn if last else drawn
            weights[f"bias_{layer}"] = torch.zeros(self.networks, 1, b, dtype=TYPE)
        seen, _ = env.reset(seed=0)
        start = torch.as_tensor(seen[0, :, self.position], dtype=TYPE) + 1.0
        level = start if self.quantity else 0.5 / self.per_share
        constant = torch.zeros(self.companies, outputs, dtype=TYPE)
        constant[:, 0] = level
        weights["constant"] = constant.mean(0, keepdim=True) if self.policy.shared else constant
        weights["mean"] = torch.zeros(self.networks, 1, self.each, dtype=TYPE)
        weights["common_mean"] = torch.zeros(self.common, dtype=TYPE)
        for name in ("mean", "common_mean"):
            weights[name.replace("mean", "spread")] = torch.ones_like(weights[name])
        with torch.no_grad():
            seen = Sight.joined(game.play(self, weights, 0, min(self.policy.worlds, 32)).seen)
            each = seen.each.permute(1, 0, 2).reshape(self.networks, -1, self.each)
            for name, values in (("", each), ("common_", seen.common[None])):
                mean = values.mean(1, keepdim=True)
                spread = torch.clamp((values - mean).square().mean(1, keepdim=True).sqrt(), min=LEAST_SPREAD)
                for what, found in (("mean", mean), ("spread", spread)):
                    weights[f"{name}{what}"] = found.reshape(weights[f"{name}{what}"].shape)
        return weights

    def actions(self, said: Tensor, seen: Sight, shift: Tensor | float = 0.0) -> Tensor:
        """Actions (worlds, companies, elements) from what networks said (worlds, companies, outputs).

        Levels are shifted by `shift` (worlds, companies) periods of mean throughput.
        """
        level = said[..., 0] + shift  # periods of mean throughput
        amount = level - seen.each[..., self.position] if self.quantity else level
        parts = [torch.clamp(amount * self.per_share, 0.0, 1.0)[..., None]]
        if self.efforts:
            rest = torch.zeros_like(said[..., :1])
            parts.append(torch.softmax(torch.cat((said[..., 1:], rest), dim=-1), dim=-1)[..., :-1])
        if self.opens:
            parts.append(self.open_twin[:, None].expand_as(parts[0]))
        return 2.0 * torch.cat(parts, dim=-1) - 1.0


class Networks:
    """The networks of all companies at once, with given weights."""

    def __init__(self, head: Head, weights: Mapping[str, Tensor]) -> None:
        self.weights, self.layers = weights, 1 + len(head.policy.hidden)
        first, bias = weights["weight_0"], weights["bias_0"]
        own, common, code = first.split((head.each, head.common, head.inputs - head.each - head.common), dim=1)
        self._own = own
        # What all see alike meets the first layers of all networks in one product.
        self._common = common.permute(1, 0, 2).flatten(1)  # (features, networks · units)
        self._bias = bias + (head.code @ code[0])[:, None] if head.policy.shared else bias  # (companies or 1, 1, units)

    def say(self, seen: Sight) -> Tensor:
        """What they say: a constant plus their answer to what is seen, (worlds, companies, outputs)."""
        weights = self.weights
        each = _bounded((seen.each.permute(1, 0, 2) - weights["mean"]) / weights["spread"])
        hidden = each @ self._own + self._bias
        if seen.common.shape[-1]:
            common = _bounded((seen.common - weights["common_mean"]) / weights["common_spread"]) @ self._common
            hidden = hidden + common.unflatten(1, (len(self._own), -1)).permute(1, 0, 2)
        for layer in range(1, self.layers):
            hidden = torch.tanh(hidden) @ weights[f"weight_{layer}"] + weights[f"bias_{layer}"]
        return weights["constant"] + hidden.permute(1, 0, 2)


def _bounded(inputs: Tensor) -> Tensor:
    return torch.clamp(inputs, -LARGEST_INPUT, LARGEST_INPUT)


class Played(NamedTuple):
    """Episodes that were played."""

    rewards: Tensor  # (companies,) mean per period, over worlds
    seen: list[Sight]  # per period
    said: list[Tensor]  # per period: what networks said (worlds, companies, outputs)


class Game:
    """Whole episodes in PyTorch: what each company earns, and the gradients of it."""

    def __init__(self, env: BatchEnv, periods: int, warm_up: int) -> None:
        self.drawn_from = env.network
        self.network: Network = env.network.to("torch")
        self.twin, self.actions = Twin(self.network, env.regime), Actions(self.network, env.regime)
        self.objective = Objective(self.network, env.regime)
        self.regime, self.periods, self.warm_up = env.regime, periods, warm_up
        # One gradient serves where what each earns is the same, or where one earns it all.
        self.common = env.regime.control == "planner" or (
            env.regime.objective == "network" and env.regime.shared_weight == 1.0
        )

    @property
    def all_alike(self) -> bool:
        """Whether luck makes no difference between worlds."""
        tapes = [tape for tape in draw(self.drawn_from, 0, 2, self.periods) if tape is not None]
        return all(bool((tape[..., 0] == tape[..., 1]).all()) for tape in tapes)

    def play(
        self,
        head: Head,
        weights: Mapping[str, Tensor],
        seed: int,
        worlds: int,
        jitter: float = 0.0,
        learning: bool = False,
    ) -> Played:
        """Episodes in `worlds` worlds; with `learning`, rewards have gradients with respect to all that was said."""
        drawn = draw(self.drawn_from, seed, worlds, self.periods)
        luck = Luck(*(None if tape is None else torch.as_tensor(tape) for tape in drawn))
        shift = jitter * torch.as_tensor(stream(seed, 0, "jitter").standard_normal((worlds, self.network.companies)))
        observer = Observer(self.twin, [seed + world for world in range(worlds)])
        networks = Networks(head, {name: values.detach() for name, values in weights.items()})
        state, flows, books = initial_state(self.network, luck.demand[0]), None, None
        total: Any = 0.0
        sights: list[Sight] = []
        words: list[Tensor] = []
        for t in range(self.periods):
            seen = head.sight(*observer.look_in_parts(Seen(state, flows, books, t)))
            said = networks.say(seen)
            if learning and not said.requires_grad:  # nothing that was said before is seen yet
                said.requires_grad_()
            sights.append(seen)
            words.append(said)
            decisions = self.actions.decisions(head.actions(said, seen, shift), t)
            alive, before = state.alive, state
            state, flows, books = step(self.network, before, decisions, luck.period(t))
            if t < self.regime.warm_up:
                state = held(before, state)
            if t >= self.warm_up:
                earned = self.objective.rewards(self.network, books)
                total = total + (earned if self.regime.control == "planner" else earned * alive.T)
        return Played(total.mean(0) / (self.periods - self.warm_up), sights, words)

    def gradients(
        self,
        head: Head,
        weights: Mapping[str, Tensor],
        learnt: Iterable[str],
        played: Played,
        one: int | None = None,
    ) -> list[Tensor]:
        """Of each company's reward with respect to its own weights, each (networks, …); summed for a shared network.

        With `one` of that company alone, and 0 for the weights of all others.
        """
        rewards, said = played.rewards, played.said
        if one is not None:
            own = torch.zeros(head.companies, 1, dtype=TYPE)
            own[one] = 1.0
            owed = tuple(
                own * slope for slope in torch.autograd.grad(rewards[one], said, materialize_grads=True)
            )  # of what others say the company's reward has slopes too, which nobody follows
        elif self.common or len(rewards) == 1:
            owed = torch.autograd.grad(rewards.mean(), said, materialize_grads=True)
        else:

            def product(of: Tensor) -> tuple[Tensor, ...]:
                return torch.autograd.grad(rewards, said, of, retain_graph=True, materialize_grads=True)

            # (rewards, worlds, companies, outputs) per period, of which each company takes its own reward's
            blocks = torch.func.vmap(product)(torch.eye(len(rewards), dtype=rewards.dtype))
            owed = tuple(torch.diagonal(block, dim1=0, dim2=2).movedim(-1, 1) for block in blocks)
        of = {name: weights[name].detach().requires_grad_() for name in learnt}
        again = Networks(head, {**weights, **of}).say(Sight.joined(played.seen))
        return list(torch.autograd.grad(again, list(of.values()), torch.cat(owed)))
