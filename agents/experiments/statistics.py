"""Means over training seeds and worlds, with what chance could have made of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

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
