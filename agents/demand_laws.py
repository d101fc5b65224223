"""The distribution of a period's demand, as probabilities on an evenly spaced grid: what exact recursions need.

A law on whole steps is given exactly. A continuous one is spread over a fine grid so that its mean, and the expected
shortage over every point of the grid, stay exact; the error is of second order in the grid's step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from kaizen_env import demand as processes
from kaizen_env.description import Market

from .policy import PolicyError

TAIL = 1e-15  # probability that demand is below the first point of a grid
GRID = 400  # points of a grid per standard deviation


@dataclass(frozen=True)
class Law:
    """Independent demand of one period, never negative; units."""

    mean: float
    deviation: float
    least: float  # below which demand lies with a probability of at most TAIL; the grid begins here
    step: float  # of the grid
    whole: bool  # all of the demand lies on the grid, so that best levels do too
    masses: Callable[[int], np.ndarray]  # probabilities on the first so many points of the grid


def poisson(mean: float) -> Law:
    """Whole units. Raises ValueError for a mean below 0."""
    if not (math.isfinite(mean) and mean >= 0):
        raise ValueError(f"a Poisson demand of mean {mean}; allowed: a number from 0 on")
    if mean == 0:
        return constant(0.0)
    law = stats.poisson(mean)
    least = max(float(law.ppf(TAIL)), 0.0)
    return Law(
        mean, math.sqrt(mean), least, 1.0, True, lambda points: stats.poisson.pmf(least + np.arange(points), mean)
    )


def normal(mean: float, deviation: float) -> Law:
    """Normal with this mean and deviation, cut at 0, as the model draws it: `Law.mean` is that of what is left."""
    if not (math.isfinite(mean) and math.isfinite(deviation) and deviation >= 0):
        raise ValueError(f"a normal demand of mean {mean} and deviation {deviation}; allowed: numbers, deviation >= 0")
    if deviation == 0:
        return constant(max(mean, 0.0))
    law = stats.norm(mean, deviation)

    def short(level: np.ndarray) -> np.ndarray:
        """E(D − level)⁺ of the uncut demand, which is that of the cut one from 0 on."""
        z = (level - mean) / deviation
        return deviation * (stats.norm.pdf(z) - z * stats.norm.sf(z))

    def left(level: np.ndarray) -> np.ndarray:
        z = (level - mean) / deviation
        return deviation * (stats.norm.pdf(z) + z * stats.norm.cdf(z))

    cut = float(left(np.zeros(1))[0])  # E(−D)⁺, what cutting adds to the mean
    kept = mean_and_deviation_above_zero(mean, deviation)

    def over(level: np.ndarray) -> np.ndarray:
        return np.where(level > 0, left(level) - cut, 0.0)

    def under(level: np.ndarray) -> np.ndarray:
        return np.where(level > 0, short(np.maximum(level, 0.0)), kept[0] - level)

    return _continuous(*kept, max(float(law.ppf(TAIL)), 0.0), over, under)


def gamma(mean: float, deviation: float) -> Law:
    """Gamma with this mean and deviation. Raises ValueError for numbers below 0."""
    if not (math.isfinite(mean) and math.isfinite(deviation) and mean >= 0 and deviation >= 0):
        raise ValueError(f"a gamma demand of mean {mean} and deviation {deviation}; allowed: numbers from 0 on")
    if mean == 0 or deviation == 0:
        return constant(mean)
    shape, scale = (mean / deviation) ** 2, deviation**2 / mean
    law, longer = stats.gamma(shape, scale=scale), stats.gamma(shape + 1.0, scale=scale)

    def over(level: np.ndarray) -> np.ndarray:
        return level * law.cdf(level) - mean * longer.cdf(level)

    def under(level: np.ndarray) -> np.ndarray:
        return mean * longer.sf(level) - level * law.sf(level)

    return _continuous(mean, deviation, float(law.ppf(TAIL)), over, under)


def discrete(values: Sequence[float] | np.ndarray, probabilities: Sequence[float] | np.ndarray | None = None) -> Law:
    """These values with these probabilities, by default equal ones, as of a record of demand.

    Raises ValueError for values below 0, or probabilities that do not sum to 1.
    """
    points = np.asarray(values, dtype=np.float64)
    weights = np.full(len(points), 1.0 / max(len(points), 1)) if probabilities is None else np.asarray(probabilities)
    if len(points) == 0 or len(points) != len(weights) or not np.isfinite(points).all() or points.min() < 0:
        raise ValueError("a discrete demand needs values from 0 on, each with its probability")
    if weights.min() < 0 or not math.isclose(weights.sum(), 1.0, abs_tol=1e-9):
        raise ValueError(f"the probabilities sum to {weights.sum():g}; they must be at least 0 and sum to 1")
    points, place = np.unique(points, return_inverse=True)
    weights = np.bincount(place, weights)
    mean = float(points @ weights)
    deviation, least = math.sqrt(float((points - mean) ** 2 @ weights)), float(points[0])
    whole = bool(np.all((points - least) % 1.0 == 0))
    if whole:
        steps = (points - least).astype(np.int64)

        def masses(count: int) -> np.ndarray:
            inside = steps < count
            return np.bincount(steps[inside], weights[inside], count)

        return Law(mean, deviation, least, 1.0, True, masses)

    def over(level: np.ndarray) -> np.ndarray:
        below = np.searchsorted(points, level)
        return level * np.append(0.0, np.cumsum(weights))[below] - np.append(0.0, np.cumsum(weights * points))[below]

    return _continuous(mean, deviation, least, over, lambda level: over(level) + mean - level)


def constant(value: float) -> Law:
    """The same in every period."""
    return discrete([value], [1.0])


def mean_and_deviation_above_zero(mean: float, deviation: float) -> tuple[float, float]:
    """Mean and deviation of max(X, 0) for a normal X."""
    kept = processes.mean_above_zero(mean, deviation)
    z = mean / deviation
    square = (mean**2 + deviation**2) * stats.norm.cdf(z) + mean * deviation * stats.norm.pdf(z)
    return kept, math.sqrt(max(float(square) - kept**2, 0.0))


def of_market(market: Market, days: float) -> Law:
    """The law of a market's demand in periods of `days` days.

    Raises PolicyError for a process whose periods depend on each other or on time: it has no one law.
    """
    process: Any = market.demand
    if process.process == "constant":
        return constant(process.mean * days)
    if process.process == "poisson":
        return poisson(process.mean * days)
    if process.process == "normal":
        return normal(process.mean * days, process.sd * math.sqrt(days))
    if process.process == "gamma":
        return gamma(process.mean * days, process.sd * math.sqrt(days))
    if process.process == "ar1" and process.correlation == 0:
        return normal(process.mean * days, process.sd * math.sqrt(days))
    if process.process == "trace" and process.use == "bootstrap" and process.block == 1:
        rows = round(days / process.row_days)
        record = process.model_copy(update={"use": "replay"})
        return discrete(record.draw(np.random.default_rng(0), len(process._rows) // rows, days))
    raise PolicyError(
        f"the demand of market '{market.name}' is of the process {process.process}, whose periods are not independent"
        " and alike; exact levels are known for constant, poisson, normal and gamma demand, and for a trace that is"
        " bootstrapped in blocks of 1"
    )


def _continuous(
    mean: float,
    deviation: float,
    least: float,
    over: Callable[[np.ndarray], np.ndarray],
    under: Callable[[np.ndarray], np.ndarray],
) -> Law:
    """A law from E(x − D)⁺ and E(D − x)⁺, of which each is exact on its side of the mean.

    The probability of a grid point is the second difference of either over the step: linear interpolation of a
    function between grid points has then its exact mean.
    """
    step = deviation / GRID

    def masses(points: int) -> np.ndarray:
        level = least + step * np.arange(-1.0, points + 1.0)
        low, high = np.diff(over(level), 2), np.diff(under(level), 2)
        return np.maximum(np.where(level[1:-1] < mean, low, high) / step, 0.0)

    return Law(mean, deviation, least, step, False, masses)
