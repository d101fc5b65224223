"""Foresight: how much end-customer value a network could have had, had everybody known the luck of the whole episode.

Two numbers stand on the two sides of what perfect foresight is worth, and neither is the work of a policy:

- `reached` is the value of a sequence of orders and efforts that was found with the whole tape of luck known, and can
  be played: the clairvoyant optimum is at least that. It climbs the gradient of the simulation from many sequences
  (those of rules, and the orders of a linear programme), and keeps the best ever met in each world.
- `bound` is what no policy can exceed, from the linear programme of `agents.linear_programme`; it exists where there is
  no kaizen. The clairvoyant optimum is at most that.

Where not all periods count (`window`), sequences are climbed by the value of all that is simulated, as policies are
paid for it, and both numbers are those of the periods that count.

Results are normalised by it: 0 is `static`, 1 is foresight. It is no policy, because nobody can act on what it knows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kaizen_env import BatchEnv, Network, Regime, Scenario, build
from kaizen_env.arrays import as_array, as_numpy
from kaizen_env.dynamics import Decisions, end_customer_value, held, initial_state, step
from kaizen_env.luck import Luck
from kaizen_env.simulation import Trajectory
from kaizen_env.twins import LARGEST_NETWORK

from .linear_programme import NoBound, linear_bound
from .loading import make_policy
from .policy import Policy, PolicyError
from .rollout import run_in
from .window import Window

RULES = (
    "order_up_to",
    "order_up_to_moving_average",
    "echelon_order_up_to",
    "sterman",
    "worst_own_waste",
    "worst_network_waste",
)
CLOSE = 1e-9  # relative gap below which nothing is left to climb
Progress = Callable[[str, int, int, np.ndarray], None]
"""Called with (what is done, steps done, steps in all, best value of each world now climbed, money per period)."""


@dataclass(frozen=True)
class Foresight:
    """What foresight is worth; money is end-customer value per period that counts, as in `Episode`."""

    seeds: tuple[int, ...]  # of the luck, one per world
    reached: np.ndarray  # (worlds,) by `decisions`: not above the clairvoyant optimum
    bound: np.ndarray | None  # (worlds,) not below it, by linear programme; None with kaizen, or where there is none
    no_bound: str  # why there is none
    decisions: Decisions  # (periods, …) orders in units to make, whatever the scenario's replenishment
    network: Network  # in which to play them: `step` with it gives `reached`
    starts: dict[str, np.ndarray]  # (worlds,) value of every sequence that was climbed from
    refused: dict[str, str]  # rules that gave no sequence, and why
    seconds: float

    @property
    def gap(self) -> np.ndarray | None:
        """Share of the bound's size that lies between `reached` and `bound` (worlds,): what is not known."""
        return None if self.bound is None else (self.bound - self.reached) / np.maximum(np.abs(self.bound), 1e-12)

    def normalised(self, value: np.ndarray, static: np.ndarray) -> np.ndarray:
        """(value − static) / (reached − static), all of the same worlds: 0 is `static`, 1 what foresight reached.

        NaN where foresight reached nothing that `static` has not.
        """
        room = self.reached - static
        return np.where(room > 0, (value - static) / np.where(room > 0, room, 1.0), np.nan)


def foresight(
    scenario: str | Mapping[str, Any] | Scenario,
    regime: str | Mapping[str, Any] | Regime = "kaizen2",
    seeds: Sequence[int] = (0,),
    *,
    rules: Sequence[str | Policy] = RULES,
    starts: Mapping[str, Trajectory] | None = None,
    steps: int = 150,
    rounds: int = 2,
    rate: float = 0.02,
    columns: int = 256,
    window: Window | None = None,
    progress: Progress | None = None,
    **overrides: Any,
) -> Foresight:
    """Foresight in one world per element of `seeds`, which fix the luck as they do in `agents.rollout.run`.

    Of the regime only `kaizen`, `kaizen_delay` and `warm_up` matter: what is seen and who is paid do not bind a
    clairvoyant. Climbs `steps` steps of size `rate` (in shares of each range) in each of `rounds`, from `starts`
    (episodes of the same seeds, recorded with flows and decisions; without their efforts before kaizen begins) and from
    those of `static` and `rules`: what is reached is, over all that is simulated, never below one of them. `columns`
    sequences are climbed at once; fewer need less memory. `window` says which periods count, by default all;
    `scenario` has as many as it is long (`Window.simulated`).
    """
    begun = time.perf_counter()
    env = _environment(scenario, regime, len(seeds), overrides)
    sequences, refused = _sequences(env, seeds, rules, starts or {})
    luck, efforts, warm_up = _luck(env, seeds), list(env.actions.efforts.values()), env.regime.warm_up
    window = Window(luck.periods) if window is None else window
    if window.length != luck.periods:
        raise ValueError(f"a window of {window.length} periods for an episode of {luck.periods}")
    network = build(env.scenario.changed(replenishment="quantity", ordering="simultaneous"))
    # The range of an order in an environment; where an order is a level, it bounds no quantity.
    bounded = env.scenario.replenishment == "quantity"
    largest = np.maximum(env.scenario.order_max * env.actions.steady, _largest(sequences))
    whole_bound, bound, no_bound = (
        None,
        None,
        "with kaizen value is no linear function of what companies decide" if efforts else "",
    )
    if efforts:
        sequences["even"] = _even(sequences["static"], efforts, env.actions.delay, warm_up)
    else:
        try:
            most = largest[:, 0] if bounded else None
            found = linear_bound(network, luck, largest=most, warm_up=warm_up)
            bound = whole_bound = found.bound
            if window.length > window.periods:
                bound = linear_bound(network, luck, largest=most, window=window, warm_up=warm_up).bound
            sequences["linear programme"] = sequences["static"]._replace(order=found.orders)
            largest = np.maximum(largest, _largest(sequences))
        except NoBound as error:
            no_bound = str(error)
    forced = env.scenario.forced_periods
    reach = Reach(network, luck, largest, efforts, forced, env.actions.delay, columns, bounded, warm_up)
    # Orders that are best for the efforts of those who make any, and for none at all.
    for name in [n for n, decided in sequences.items() if efforts and (n == "static" or decided.effort.any())]:
        if (planned := reach.planned(sequences[name])) is not None:
            sequences[f"{name}, linear programme"] = planned
    values = {name: reach.value(decided) for name, decided in sequences.items()}
    candidates = list(sequences.values())
    best = _best(candidates, list(values.values()))
    for number in range(rounds):
        if whole_bound is not None and (whole_bound - best[1] <= CLOSE * np.abs(whole_bound)).all():
            break  # nothing is left to climb
        tell = _teller(progress, f"round {number + 1} of {rounds}", steps)
        climbed = reach.climb(candidates, steps, rate / (number + 1), tell)
        best = _best([best[0], *climbed[0]], [best[1], *climbed[1]])
        candidates = [best[0]]
        if efforts and (planned := reach.planned(best[0])) is not None:
            candidates.append(planned)
            best = _best([best[0], planned], [best[1], reach.value(planned)])
    return Foresight(
        seeds=tuple(int(s) for s in seeds),
        reached=_value(network, luck, best[0], warm_up, window) / window.periods,
        bound=None if bound is None else bound / window.periods,
        no_bound=no_bound,
        decisions=best[0],
        network=network,
        starts={n: _value(network, luck, of, warm_up, window) / window.periods for n, of in sequences.items()},
        refused=refused,
        seconds=time.perf_counter() - begun,
    )


# --- where to start --------------------------------------------------------------------------------------------------


def _environment(scenario: Any, regime: Any, worlds: int, overrides: dict[str, Any]) -> BatchEnv:
    """The environment in which rules may see what they like, and are allowed to improve as the regime is."""
    env = BatchEnv(scenario, regime, worlds, auto_reset=False, **overrides)
    twin = "network" if env.network.companies <= LARGEST_NETWORK else "echelon"
    kaizen = env.regime.model_dump(include={"kaizen", "kaizen_delay", "warm_up"})
    sees = Regime(twin=twin, objective="network", **kaizen)
    return BatchEnv(env.scenario, sees, worlds, auto_reset=False)


def _luck(env: BatchEnv, seeds: Sequence[int]) -> Luck:
    env.reset(seeds=list(seeds))
    assert env.luck is not None
    return env.luck


def _sequences(
    env: BatchEnv, seeds: Sequence[int], rules: Sequence[str | Policy], starts: Mapping[str, Trajectory]
) -> tuple[dict[str, Decisions], dict[str, str]]:
    """Decisions by name, with orders in units to make; and the rules that refused, with what they said."""
    found: dict[str, Decisions] = {}
    refused: dict[str, str] = {}
    for rule in ["static", *(r for r in rules if r != "static")]:
        name = rule if isinstance(rule, str) else rule.name
        try:
            policy = make_policy(rule) if isinstance(rule, str) else rule
            trajectory = run_in(env, policy, seeds, record=("flows", "decisions")).trajectory
        except PolicyError as error:
            refused[name] = str(error)
            continue
        assert trajectory is not None
        found[name] = _played(trajectory)
    for name, trajectory in starts.items():
        if trajectory.flows is None or trajectory.decisions is None:
            raise ValueError(f"the start '{name}' has no flows or no decisions; record=('flows', 'decisions')")
        got, wanted = trajectory.flows.ordered.shape, (env.horizon, env.companies, len(seeds))
        if got != wanted:
            raise ValueError(f"the start '{name}' has orders of shape {got}; allowed: {wanted}, the same worlds")
        found[name] = _played(trajectory)
        # A start may come from an episode that improved, and opened its twins, at once.
        found[name].effort[: env.actions.delay] = 0.0
        found[name].openness[: env.regime.warm_up] = 0.0
    return found, refused


def _played(trajectory: Trajectory) -> Decisions:
    assert trajectory.flows is not None
    assert trajectory.decisions is not None
    decided = trajectory.decisions
    return Decisions(trajectory.flows.ordered, decided.effort.copy(), decided.openness.copy())


def _even(static: Decisions, rows: list[int], delay: int, warm_up: int) -> Decisions:
    """The orders of `static`, from `delay` on the team spread evenly over all efforts; twins open after `warm_up`.

    An open twin costs the network nothing (fees are transfers) and spreads culture, so that no gradient is needed.
    """
    effort, openness = np.zeros_like(static.effort), np.zeros_like(static.openness)
    effort[delay:, rows], openness[warm_up:] = 1.0 / len(rows), 1.0
    return static._replace(effort=effort, openness=openness)


def _largest(sequences: Mapping[str, Decisions]) -> np.ndarray:
    """(companies, 1) the largest order in any of the sequences."""
    return np.max([decisions.order.max(axis=(0, 2)) for decisions in sequences.values()], axis=0)[:, None]


def _joined(pieces: list[Decisions]) -> Decisions:
    """Decisions side by side, worlds after worlds."""
    return Decisions(*(np.concatenate(parts, axis=-1) for parts in zip(*pieces, strict=True)))


def _best(sequences: list[Decisions], values: list[np.ndarray]) -> tuple[Decisions, np.ndarray]:
    """World by world the sequence with the greatest value, the first of equals."""
    which = np.argmax(values, axis=0)
    worlds = np.arange(len(which))

    def picked(parts: list[np.ndarray]) -> np.ndarray:
        stack = np.stack(parts)  # (sequences, …, worlds)
        return np.moveaxis(np.moveaxis(stack, -1, 1)[which, worlds], 0, -1)

    return Decisions(*(picked(list(parts)) for parts in zip(*sequences, strict=True))), np.max(values, axis=0)


def _teller(progress: Progress | None, what: str, steps: int) -> Callable[[int, np.ndarray], None] | None:
    return None if progress is None else lambda done, value: progress(what, done, steps, value)


# --- the climb -------------------------------------------------------------------------------------------------------


class Reach:
    """What sequences come to in one network and luck, and how they get better. Values are totals over the episode."""

    def __init__(
        self,
        network: Network,
        luck: Luck,
        largest: np.ndarray,
        efforts: list[int],
        forced: int,
        delay: int,
        columns: int,
        bounded: bool,
        warm_up: int = 0,
    ) -> None:
        self.network, self.luck = network, luck
        self.largest = largest  # (companies, 1) order that a climb can come to
        self.limit = largest[:, 0] if bounded else None
        self.efforts = efforts  # rows of `Decisions.effort` that companies may use
        self.forced = forced  # periods at the start whose orders stay as they are
        self.delay = delay  # periods at the start in which nobody improves
        self.columns, self.warm_up = columns, warm_up
        self._torch = network.to("torch", "float64")

    def value(self, decisions: Decisions) -> np.ndarray:
        """End-customer value over the episode (worlds,) of a sequence of decisions with an axis of periods."""
        return _value(self.network, self.luck, decisions, self.warm_up)

    def planned(self, decisions: Decisions) -> Decisions | None:
        """The same efforts with the orders that are best for them by linear programme; None where there is none."""
        try:
            found = linear_bound(self.network, self.luck, kaizen=decisions, largest=self.limit, warm_up=self.warm_up)
        except NoBound:
            return None
        return decisions._replace(order=found.orders)

    def climb(
        self,
        sequences: list[Decisions],
        steps: int,
        rate: float,
        progress: Callable[[int, np.ndarray], None] | None = None,
    ) -> tuple[list[Decisions], list[np.ndarray]]:
        """Every sequence after `steps` steps of Adam (Kingma & Ba 2015) along its gradient: best met, and its value.

        Shares of each range are moved and put back into [0, 1], rather than squashed into it: a start stays what it
        is, and nothing, which is often best, can be reached. The size of a step falls to 0 as half a cosine.
        """
        worlds, many = self.luck.worlds, len(sequences)
        size = max(1, self.columns // many)
        parts = [np.arange(first, min(first + size, worlds)) for first in range(0, worlds, size)]
        decided: list[list[Decisions]] = [[] for _ in sequences]
        values: list[list[np.ndarray]] = [[] for _ in sequences]
        for part in parts:
            begin = _joined([Decisions(*(x[..., part] for x in sequence)) for sequence in sequences])
            end, value = self._climb(begin, np.tile(part, many), many, steps, rate, progress)
            for number in range(many):
                own = slice(number * len(part), (number + 1) * len(part))
                decided[number].append(Decisions(*(x[..., own] for x in end)))
                values[number].append(value[own])
        return [_joined(pieces) for pieces in decided], [np.concatenate(pieces) for pieces in values]

    def _climb(
        self,
        begin: Decisions,
        worlds: np.ndarray,
        many: int,
        steps: int,
        rate: float,
        progress: Callable[[int, np.ndarray], None] | None,
    ) -> tuple[Decisions, np.ndarray]:
        """`begin` holds `many` sequences side by side, which meet the luck of `worlds`."""
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the arrays are small, and a second thread only waits
        try:
            network = self._torch
            like = network.company.unit_cost
            luck = Luck(*(None if x is None else as_array(x[..., worlds], like) for x in self.luck))
            largest, openness = as_array(self.largest, like), as_array(begin.openness, like)
            rows, given = torch.as_tensor(self.efforts, dtype=torch.int64), as_array(begin.effort, like)
            order = as_array(begin.order / np.where(self.largest > 0, self.largest, 1.0), like).clamp(max=1.0)
            moved = [order.requires_grad_(), given[:, rows].requires_grad_()]

            def decisions(order: Any, effort: Any) -> Decisions:
                return Decisions(order * largest, given.index_copy(1, rows, effort), openness)

            adam = torch.optim.Adam(moved, lr=rate)
            best = torch.full((len(worlds),), -torch.inf, dtype=like.dtype)
            kept = [x.detach().clone() for x in moved]
            for done in range(steps + 1):
                value = _value(network, luck, decisions(*moved), self.warm_up)
                better = value.detach() > best
                best = torch.where(better, value.detach(), best)
                kept = [torch.where(better, x.detach(), y) for x, y in zip(moved, kept, strict=True)]
                if done == steps:
                    break
                adam.param_groups[0]["lr"] = rate * 0.5 * (1.0 + np.cos(np.pi * done / steps))
                slopes = torch.autograd.grad(-value.sum(), moved, materialize_grads=True)
                for x, slope in zip(moved, slopes, strict=True):
                    x.grad = slope
                moved[0].grad[: self.forced] = 0.0
                moved[1].grad[: self.delay] = 0.0
                adam.step()
                with torch.no_grad():
                    for x in moved:
                        x.clamp_(0.0, 1.0)
                if progress is not None:
                    now = best.reshape(-1, len(worlds) // many).amax(dim=0)
                    progress(done + 1, as_numpy(now) / luck.periods)
            return Decisions(*(as_numpy(x) for x in decisions(*kept))), as_numpy(best)
        finally:
            torch.set_num_threads(threads)


def _value(network: Network, luck: Luck, decisions: Decisions, warm_up: int = 0, window: Window | None = None) -> Any:
    """Total end-customer value (worlds,) of decisions with an axis of periods, in the library of the network.

    Of the periods that count in `window`, by default of all; wastes, skill and culture are held in the `warm_up`.
    """
    state = initial_state(network, luck.demand[0])
    total: Any = 0.0
    for t in range(luck.periods):
        now = Decisions(decisions.order[t], decisions.effort[t], decisions.openness[t])
        after, _, books = step(network, state, now, luck.period(t))
        state = held(state, after) if t < warm_up else after
        if window is None or window.counts(t):
            total = total + end_customer_value(network, books)
    return total
