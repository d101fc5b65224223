"""What a policy costs in the long run, measured in many worlds, with its standard error."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..luck import from_demand, stream
from ..network import Network
from ..simulation import Policy, simulate

SEED = 20  # of all luck here, so that a verification gives the same table every time
FINE = 0.002  # standard error that a measurement aims at, as a share of what is expected
MOST = 25  # samples at most


@dataclass(frozen=True)
class Estimate:
    """A mean over independent worlds."""

    mean: float
    error: float  # standard error of the mean

    @staticmethod
    def of(values: np.ndarray) -> Estimate:
        """From one value per world, (worlds,)."""
        return Estimate(float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values)))


def cost_per_period(network: Network, policy: Policy, tape: np.ndarray, warm_up: int) -> np.ndarray:
    """Cost of the network (minus all profit) per period and world after `warm_up` periods, (worlds,).

    `tape` is the end demand (periods + 1, markets, worlds), warm-up included; `policy` is told the periods since
    the start. The cost counts the penalty for end customers who wait.
    """
    before = simulate(network, policy, from_demand(network, tape[: warm_up + 1]), record=()).final
    later = from_demand(network, tape[warm_up:])
    after = simulate(network, lambda n, s, t: policy(n, s, t + warm_up), later, record=(), start=before).final
    return -(after.cash - before.cash).sum(axis=0) / later.periods


def estimate(
    sample: Callable[[np.random.Generator], np.ndarray],
    expected: float,
    name: str,
    *,
    bound: str = "equal",
    fine: float = FINE,
) -> Estimate:
    """The mean of `sample` (one value per world), against a number expected of it: `equal`, or `at_least` that.

    Sampled until the standard error is at most a share `fine` of that number. One right result in 370 is more than
    3 standard errors off by chance: a sample that is, is taken again with fresh luck, four times as long. What is
    right comes back, and what is wrong stays outside.
    """
    first, samples = _sampled(sample, name, range(MOST), fine * abs(expected))
    off = first.mean - expected
    if off >= -3 * first.error and (off <= 3 * first.error or bound == "at_least"):
        return first
    return _sampled(sample, name, range(MOST, MOST + 4 * samples), 0.0)[0]


def _sampled(
    sample: Callable[[np.random.Generator], np.ndarray], name: str, numbers: range, fine: float
) -> tuple[Estimate, int]:
    """Samples, each with its own luck, until the standard error is fine or there are no more; and how many."""
    values: list[np.ndarray] = []
    found = Estimate(math.nan, math.inf)
    for number in numbers:
        if found.error <= fine:
            break
        values.append(sample(stream(SEED, number, name)))
        found = Estimate.of(np.concatenate(values))
    return found, len(values)
