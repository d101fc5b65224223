"""Demand of a period as reference files give it: what is known of it exactly, and tapes drawn from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from .reading import Entry
from .results import Unplayable

TAIL = 1e-16  # probability at which the support of a Poisson demand is cut


@dataclass(frozen=True)
class Normal:
    """Independent and normal."""

    mean: float
    sd: float

    def total(self, periods: int) -> Normal:
        """Demand of so many periods."""
        return Normal(self.mean * periods, self.sd * math.sqrt(periods))

    def quantile(self, probability: float) -> float:
        return float(stats.norm.ppf(probability, self.mean, self.sd))

    def over_and_under(self, level: float) -> tuple[float, float]:
        """Expected units left over, and short, of a stock of `level`: E(level − D)⁺ and E(D − level)⁺."""
        z = (level - self.mean) / self.sd
        short = self.sd * (stats.norm.pdf(z) - z * stats.norm.sf(z))
        return float(level - self.mean + short), float(short)

    def below_zero(self) -> float:
        """Probability of a negative demand, which the model cuts at 0."""
        return float(stats.norm.cdf(0.0, self.mean, self.sd))

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return np.maximum(rng.normal(self.mean, self.sd, shape), 0.0)


@dataclass(frozen=True)
class Discrete:
    """Independent, with the probabilities given; Poisson where `rate` is given."""

    values: np.ndarray  # ascending
    probabilities: np.ndarray
    rate: float | None = None

    @property
    def mean(self) -> float:
        return float(self.values @ self.probabilities) if self.rate is None else self.rate

    def total(self, periods: int) -> Discrete:
        """Demand of so many periods."""
        if self.rate is not None:
            return poisson(self.rate * periods)
        total = Discrete(np.zeros(1), np.ones(1))
        for _ in range(periods):
            sums = np.add.outer(total.values, self.values).round(12)
            values, place = np.unique(sums, return_inverse=True)
            weight = np.multiply.outer(total.probabilities, self.probabilities)
            total = Discrete(values, np.bincount(place.reshape(-1), weight.reshape(-1)))
        return total

    def quantile(self, probability: float) -> float:
        """The smallest value with at least this probability at or below it."""
        place = int(np.searchsorted(np.cumsum(self.probabilities), probability - 1e-12))
        return float(self.values[min(place, len(self.values) - 1)])

    def over_and_under(self, level: float) -> tuple[float, float]:
        """E(level − D)⁺ and E(D − level)⁺."""
        gap = level - self.values
        return float(np.maximum(gap, 0) @ self.probabilities), float(np.maximum(-gap, 0) @ self.probabilities)

    def below_zero(self) -> float:
        return 0.0

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        if self.rate is not None:
            return rng.poisson(self.rate, shape).astype(np.float64)
        return rng.choice(self.values, shape, p=self.probabilities)


Demand = Normal | Discrete


def poisson(mean: float) -> Discrete:
    values = np.arange(float(stats.poisson.isf(TAIL, mean)) + 2.0)
    return Discrete(values, stats.poisson.pmf(values, mean), mean)


def discrete(pmf: Entry) -> Discrete:
    """From a mapping of units to probability."""
    pairs = []
    for key, entry in pmf.fields().items():
        try:
            value = float(key)
        except ValueError:
            raise ValueError(f"{pmf.path}: the key '{key}' is no number of units") from None
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{pmf.path}: the key '{key}' is no number of units that is at least 0")
        pairs.append((value, entry.number(0)))
    values, probabilities = np.array(sorted(pairs)).reshape(-1, 2).T
    if not math.isclose(probabilities.sum(), 1.0, abs_tol=1e-9):
        raise ValueError(f"{pmf.path}: the probabilities sum to {probabilities.sum():g}; they must sum to 1")
    return Discrete(values, probabilities / probabilities.sum())


def read_demand(entry: Entry) -> Demand:
    """Demand that is not always 0, as `_read` finds it."""
    demand = _read(entry)
    if demand.mean <= 0:
        raise entry.refused("a demand with a mean above 0 is needed")
    return demand


def _read(entry: Entry) -> Demand:
    """Demand from whatever keys describe it: `pmf`; `poisson_mean`; `mu` or `mean`, with `sd` when it is normal.

    A `type`, where there is one, must agree: normal, poisson, or discrete (custom_discrete); of others `Unplayable`.
    """
    kind = entry["type"].text() if "type" in entry else _kind(entry)
    if kind in ("discrete", "custom_discrete"):
        return discrete(entry["pmf"])
    if kind not in ("normal", "poisson"):
        raise Unplayable(str(entry["type"].refused("the demands of the check are normal, poisson, discrete")))
    name = next((key for key in ("poisson_mean", "mu", "mean") if key in entry), "mean")
    mean = entry[name].number(0)
    if kind == "poisson":
        return poisson(mean)
    sd = entry["sd"].number(0)
    if sd == 0:
        raise entry["sd"].refused("a normal demand needs a standard deviation above 0")
    return Normal(mean, sd)


def _kind(entry: Entry) -> str:
    if "pmf" in entry:
        return "discrete"
    return "normal" if "sd" in entry and "poisson_mean" not in entry else "poisson"
