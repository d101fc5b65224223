"""All luck of an episode, drawn before anybody decides: one random stream per named cause and world.

A stream is keyed by (seed, world, cause), so world b of a batch has the luck of world b alone, a longer episode
begins as a shorter one does, and a new cause moves no other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .arrays import Array, as_array
from .dynamics.state import PeriodLuck
from .network import Network


class Luck(NamedTuple):
    """What happens to a network whatever anybody decides."""

    demand: Array  # (periods + 1, markets, worlds) units per period; the last row is revealed at the very end
    capacity: Array | None  # (periods, companies, worlds) share of capacity left; None = no disruptions
    passage: Array | None  # (periods, trades, worlds) share of shipments let through; None = no disruptions

    @property
    def periods(self) -> int:
        return self.demand.shape[0] - 1

    @property
    def worlds(self) -> int:
        return self.demand.shape[-1]

    def period(self, t: int) -> PeriodLuck:
        """The luck that period t meets: its disruptions, and the demand revealed at its end."""
        return PeriodLuck(
            self.demand[t + 1],
            None if self.capacity is None else self.capacity[t],
            None if self.passage is None else self.passage[t],
        )


def stream(seed: int, world: int, cause: str) -> np.random.Generator:
    """The random stream of one cause in one world."""
    key = hashlib.blake2b(f"{seed}/{world}/{cause}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))


def draw(network: Network, seed: int, worlds: int | Sequence[int] = 1, periods: int | None = None) -> Luck:
    """The luck of `periods` periods (by default the scenario's) in so many worlds, or in the worlds named.

    Raises ValueError for a seed that is not a whole number, or no world or period.
    """
    s = network.scenario
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise ValueError(f"seed {seed!r} is not a whole number; give one, e.g. seed=1")
    names = range(worlds) if isinstance(worlds, (int, np.integer)) else list(worlds)
    length = s.periods if periods is None else periods
    if len(names) < 1 or length < 1:
        raise ValueError(f"{len(names)} worlds of {length} periods; at least one of each is needed")
    demand = np.empty((length + 1, len(s.markets), len(names)))
    for m, market in enumerate(s.markets):
        for b, world in enumerate(names):
            demand[:, m, b] = market.demand.draw(
                stream(seed, world, f"demand/{market.name}"), length + 1, s.period_days
            )
    like = network.company.unit_cost
    capacity = _disruptions(network, seed, names, length, "company", network.companies)
    passage = _disruptions(network, seed, names, length, "trade", network.trades)
    return Luck(
        as_array(demand, like),
        None if capacity is None else as_array(capacity, like),
        None if passage is None else as_array(passage, like),
    )


def _disruptions(
    network: Network, seed: int, names: Sequence[int], periods: int, kind: str, rows: int
) -> np.ndarray | None:
    """Share left of each row in each period (periods, rows, worlds); several disruptions multiply."""
    hits = [hit for hit in network.disruptions if hit[1] == kind]
    if not hits:
        return None
    left = np.ones((periods, rows, len(names)))
    for name, _, row, chance, length, remains in hits:
        for b, world in enumerate(names):
            left[:, row, b] *= _outages(stream(seed, world, f"disruption/{name}"), periods, chance, length, remains)
    return left


def _outages(rng: np.random.Generator, periods: int, chance: float, length: float, remains: float) -> np.ndarray:
    """1 where nothing happens, `remains` during outages that begin with `chance` and last geometrically."""
    begins, ends = rng.random((periods, 2)).T
    share, down = np.ones(periods), False
    for t in range(periods):
        down = bool(ends[t] >= 1.0 / length) if down else bool(begins[t] < chance)
        if down:
            share[t] = remains
    return share


def from_demand(network: Network, demand: Any) -> Luck:
    """Luck without disruptions from a demand tape (periods + 1, markets, worlds), in units per period.

    Raises ValueError for a tape of another shape, or with a negative or infinite number.
    """
    tape = np.asarray(demand, dtype=np.float64)
    if tape.ndim != 3 or tape.shape[0] < 2 or tape.shape[1] != len(network.scenario.markets):
        raise ValueError(
            f"demand of shape {tape.shape}; allowed: (periods + 1, {len(network.scenario.markets)} markets, worlds)"
        )
    if not (np.isfinite(tape).all() and (tape >= 0).all()):
        raise ValueError("demand must be finite and >= 0 everywhere")
    return Luck(as_array(tape, network.company.unit_cost), None, None)
