"""Run a policy through an episode and keep what happened."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .arrays import Array, as_numpy
from .dynamics import Books, Decisions, Flows, State, initial_state, step
from .luck import Luck
from .network import Network

Policy = Callable[[Network, State, int], Decisions]
"""What decides: (network, state, period) to decisions. It sees everything; twins stand before it in environments."""

RECORDS = ("states", "flows", "books", "decisions")


@dataclass(frozen=True)
class Trajectory:
    """An episode; every recorded array has its periods on a leading axis. What was not recorded is None."""

    network: Network
    luck: Luck
    final: State
    states: State | None  # (periods, …) as seen by the policy, at the start of each period
    flows: Flows | None
    books: Books | None
    decisions: Decisions | None

    @property
    def periods(self) -> int:
        return self.luck.periods


def simulate(
    network: Network,
    policy: Policy,
    luck: Luck,
    periods: int | None = None,
    *,
    record: Iterable[str] = ("states", "flows", "books"),
    start: State | None = None,
) -> Trajectory:
    """Run `policy` for `periods` periods (by default all that `luck` has), in all its worlds at once.

    `record` names what to keep, of states, flows, books, decisions; `start` begins from a state instead of the
    scenario's own (its backlog must hold the first demand already). Raises ValueError for a longer episode than
    the luck, an unknown record, or decisions of the wrong shape or with a number that is not finite.
    """
    kept = tuple(record)
    if unknown := set(kept) - set(RECORDS):
        raise ValueError(f"record has {sorted(unknown)}; allowed: {', '.join(RECORDS)}")
    length = luck.periods if periods is None else periods
    if not 1 <= length <= luck.periods:
        raise ValueError(f"{length} periods, but the luck has {luck.periods}; draw a longer tape, or run fewer")
    state = initial_state(network, luck.demand[0]) if start is None else start
    records: dict[str, list[Any]] = {name: [] for name in kept}
    for t in range(length):
        decisions = policy(network, state, t)
        _check(network, decisions, luck.worlds, t)
        after, flows, books = step(network, state, decisions, luck.period(t))
        now = {"states": state, "flows": flows, "books": books, "decisions": decisions}
        for name in kept:
            records[name].append(now[name])
        state = after
    parts = {name: stacked(network, records.get(name)) for name in RECORDS}
    used = luck._replace(demand=luck.demand[: length + 1])
    return Trajectory(network, used, state, **parts)


def stacked(network: Network, records: list[Any] | None) -> Any:
    """Records of single periods as one record with periods on a leading axis."""
    if records is None:
        return None
    return type(records[0])(*(network.xp.stack(field) for field in zip(*records, strict=True)))


def _check(network: Network, decisions: Decisions, worlds: int, t: int) -> None:
    wanted = {
        "order": (network.companies, worlds),
        "effort": (len(network.effort_names), network.companies, worlds),
        "openness": (network.companies, worlds),
    }
    for name, shape in wanted.items():
        got = tuple(getattr(decisions, name).shape)
        if got != shape:
            raise ValueError(f"the policy's {name} has shape {got}; allowed: {shape} (worlds last)")
        values = getattr(decisions, name)
        if not bool(network.xp.all(network.xp.isfinite(values))):
            *row, company, world = np.argwhere(~np.isfinite(as_numpy(values)))[0]
            which = f"effort on {network.effort_names[row[0]]}" if row else name
            raise ValueError(
                f"period {t}: the policy's {which} of {network.names[company]} in world {world} is"
                f" {as_numpy(values)[(*row, company, world)]}; a finite number is needed"
            )


def no_effort(network: Network, order: Array) -> Decisions:
    """Decisions that only order: no kaizen, closed twins."""
    worlds = order.shape[-1]
    effort = network.zeros(len(network.effort_names), network.companies, worlds)
    return Decisions(order, effort, network.zeros(network.companies, worlds))
