"""Means over training seeds and worlds, with what chance could have made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np
from scipy import stats

RESAMPLES = 5_000
LEVEL = 0.95


class Estimate(NamedTuple):
    """A mean and its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


def estimate(values: np.ndarray) -> Estimate:
    """Mean of `values` (training seeds, worlds), with a percentile bootstrap interval (Efron & Tibshirani 1993, 13).

    Seeds and worlds are drawn again, each with replacement, because both are chance: another training, other luck
    (pigeonhole bootstrap, Owen 2007). With one seed the interval is over worlds alone. The same values give the same
    interval. Differences between policies under common luck are `estimate(values_a - values_b)`.
    """
    seeds, worlds = values.shape
    rng = np.random.default_rng(0)
    of_seeds = rng.multinomial(seeds, np.full(seeds, 1.0 / seeds), RESAMPLES) / seeds
    of_worlds = rng.multinomial(worlds, np.full(worlds, 1.0 / worlds), RESAMPLES) / worlds
    means = ((of_seeds @ values) * of_worlds).sum(axis=1)
    low, high = np.quantile(means, [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0])
    return Estimate(float(values.mean()), float(low), float(high))


# --- several regimes under common luck ------------------------------------------------------------------------------

BLOCK = 2_000_000  # numbers that are resampled at once
ROUNDING = 1e-9  # share of the values compared, below which a difference is none


class Interval(NamedTuple):
    """A number and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    @property
    def shown(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0.0 or self.high < 0.0


def interquartile_mean(values: np.ndarray) -> np.ndarray:
    """The mean without the lowest and the highest quarter, over the last axis (Agarwal et al. 2021)."""
    return stats.trim_mean(values, 0.25, axis=-1)


def mean(values: np.ndarray) -> np.ndarray:
    return values.mean(axis=-1)


class Resampled:
    """A statistic of each regime and its bootstrap distribution, drawn so that regimes can be compared.

    `values`: label → (training seeds, worlds). A stratified bootstrap (Efron & Tibshirani 1993, 8; Agarwal et al.
    2021): the worlds are drawn once for all, because their luck is common, which is what makes differences paired;
    trainings are drawn anew in every regime, as many as it had, because two regimes share no training.

    Resampling n trainings makes their spread too small by √((n − 1)/n), and a normal quantile is too small for so few.
    Where n is 3 that is most of the interval, so the deviations that are due to trainings are widened to Student's
    (Hesterberg 2015, 4.3). One training says nothing of others: then the interval is over worlds alone.
    """

    def __init__(
        self,
        values: Mapping[str, np.ndarray],
        statistic: Callable[[np.ndarray], np.ndarray] = interquartile_mean,
        resamples: int = 2_000,
    ) -> None:
        if len({v.shape[1] for v in values.values()}) > 1:
            raise ValueError("the worlds of all regimes are the same")
        self.points: dict[str, float] = {}
        self._of_worlds: dict[str, np.ndarray] = {}  # (resamples,) deviations
        self._of_seeds: dict[str, np.ndarray] = {}
        self._freedom = {label: len(v) - 1 for label, v in values.items()}
        for place, (label, v) in enumerate(values.items()):
            seeds, worlds = v.shape
            self.points[label] = point = float(statistic(v.reshape(-1)))
            of_world, of_seed = v.T, v
            if statistic is mean:  # which is a mean of means, and those are fewer
                of_world, of_seed = (x.mean(axis=1, keepdims=True) for x in (of_world, of_seed))
            which = np.random.default_rng(0).integers(worlds, size=(resamples, worlds))  # the same for every label
            self._of_worlds[label] = _drawn(statistic, of_world, which) - point
            self._of_seeds[label] = np.zeros(resamples)
            if seeds > 1:
                which = np.random.default_rng([1, place]).integers(seeds, size=(resamples, seeds))
                self._of_seeds[label] = (_drawn(statistic, of_seed, which) - point) * np.sqrt(seeds / (seeds - 1))

    def interval(self, weights: Mapping[str, float] | str) -> Interval:
        """The statistic of one label, or the sum of those of several with weights, e.g. {a: 1, b: −1}."""
        terms = {weights: 1.0} if isinstance(weights, str) else weights
        point = sum(weight * self.points[label] for label, weight in terms.items())
        of_worlds = np.sum([weight * self._of_worlds[label] for label, weight in terms.items()], axis=0)
        of_seeds = np.sum([weight * self._of_seeds[label] for label, weight in terms.items()], axis=0)
        deviations = of_worlds + _widening(sum(self._freedom[label] for label in terms)) * of_seeds
        low, high = np.quantile(deviations, [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0])
        # Sums of equal numbers in another order differ in their last digits, and that is no effect.
        rounding = ROUNDING * max(abs(self.points[label]) for label in terms) if len(terms) > 1 else 0.0
        found = (float(number) for number in (point, point + low, point + high))
        return Interval(*(0.0 if abs(number) <= rounding else number for number in found))


def _drawn(statistic: Callable[[np.ndarray], np.ndarray], rows: np.ndarray, which: np.ndarray) -> np.ndarray:
    """The statistic of all numbers in the rows drawn, for every line of `which` (resamples, rows)."""
    block = max(1, BLOCK // rows.size)
    parts = [which[first : first + block] for first in range(0, len(which), block)]
    return np.concatenate([statistic(rows[part].reshape(len(part), -1)) for part in parts])


def _widening(freedom: int) -> float:
    """Quantile of Student's distribution over that of the normal one."""
    upper = (1.0 + LEVEL) / 2.0
    return float(stats.t.ppf(upper, freedom) / stats.norm.ppf(upper)) if freedom else 1.0


def improvement(better: np.ndarray, worse: np.ndarray, resamples: int = 2_000) -> Interval:
    """How likely a training of one regime does better than one of another in the same world; a draw counts half.

    Both (training seeds, worlds). The probability of improvement of Agarwal et al. (2021), worlds being tasks, with the
    interval of `Resampled`, but for what lies outside 0 … 1.
    """
    apart = better[:, None, :] - worse[None, :, :]
    wins = np.where(apart > 0, 1.0, np.where(apart < 0, 0.0, 0.5))  # (seeds, seeds, worlds)
    (first, second, worlds), point = wins.shape, float(wins.mean())
    rng = np.random.default_rng(2)

    def shares(n: int) -> np.ndarray:
        return rng.multinomial(n, np.full(n, 1.0 / n), resamples) / n

    of_worlds = shares(worlds) @ wins.mean(axis=(0, 1)) - point
    pairs = wins.mean(axis=2)
    of_seeds = np.zeros(resamples)
    for rows, n in ((pairs.mean(axis=1), first), (pairs.mean(axis=0), second)):
        if n > 1:
            of_seeds = of_seeds + (shares(n) @ rows - point) * np.sqrt(n / (n - 1))
    deviations = of_worlds + _widening(first + second - 2) * of_seeds
    low, high = np.quantile(deviations, [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0])
    return Interval(point, max(0.0, float(point + low)), min(1.0, float(point + high)))


class Profile(NamedTuple):
    """Share of trainings × worlds above each threshold, (thresholds,) each, with a pointwise 95 % bootstrap band."""

    share: np.ndarray
    low: np.ndarray
    high: np.ndarray


def thresholds(values: Iterable[np.ndarray], count: int = 101) -> np.ndarray:
    """Evenly spaced values (count,) at which profiles are told: from just below all `values` to just above."""
    numbers = np.concatenate([v.reshape(-1) for v in values])
    lowest, highest = float(numbers.min()), float(numbers.max())
    room = 0.02 * ((highest - lowest) or abs(highest) or 1.0)
    return np.linspace(lowest - room, highest + room, count)


def performance_profile(values: np.ndarray, above: np.ndarray, resamples: int = 2_000) -> Profile:
    """How often `values` (training seeds, worlds) exceed each threshold of `above`.

    The run-score distribution of Agarwal et al. (2021, 4.2), worlds being tasks. The band is drawn as the interval of
    `Resampled`, but for what lies outside 0 … 1.
    """
    exceeds = (values[..., None] > above).astype(np.float64)  # (seeds, worlds, thresholds)
    (seeds, _, _), share = exceeds.shape, exceeds.mean(axis=(0, 1))
    rng = np.random.default_rng(3)

    def drawn(rows: np.ndarray) -> np.ndarray:
        n = len(rows)
        return rng.multinomial(n, np.full(n, 1.0 / n), resamples) / n @ rows - share

    deviations = drawn(exceeds.mean(axis=0))
    if seeds > 1:
        deviations += _widening(seeds - 1) * np.sqrt(seeds / (seeds - 1)) * drawn(exceeds.mean(axis=1))
    low, high = np.quantile(deviations, [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0], axis=0)
    return Profile(share, np.clip(share + low, 0.0, 1.0), np.clip(share + high, 0.0, 1.0))
