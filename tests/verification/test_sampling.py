"""Measuring: a standard error is what it says, and chance alone fails nothing."""

from __future__ import annotations

import numpy as np
import pytest

from kaizen_env.verification.demands import Discrete, Normal, poisson
from kaizen_env.verification.sampling import Estimate, estimate


def test_standard_error_by_hand() -> None:
    """1, 2, 3, 4: mean 2.5, standard deviation √(5/3), error √(5/12).

    Seen to fail: with the deviation over n instead of n − 1.
    """
    got = Estimate.of(np.array([1.0, 2.0, 3.0, 4.0]))
    assert (got.mean, got.error) == pytest.approx((2.5, (5 / 12) ** 0.5))


def test_an_unlucky_sample_is_taken_again_and_a_wrong_one_stays_wrong() -> None:
    """Seen to fail: with the first sample kept."""
    drawn = []

    def unlucky(rng: np.random.Generator) -> np.ndarray:
        drawn.append(rng)
        return rng.normal(10.0 + 0.5 * (len(drawn) == 1), 0.1, 100)

    got = estimate(unlucky, 10.0, "unlucky")
    assert len(drawn) == 5
    assert abs(got.mean - 10.0) <= 3 * got.error
    wrong = estimate(lambda rng: rng.normal(10.5, 0.1, 100), 10.0, "wrong")
    assert abs(wrong.mean - 10.0) > 3 * wrong.error


def test_samples_go_on_until_the_error_is_fine() -> None:
    """Seen to fail: with one sample whatever its error."""
    got = estimate(lambda rng: rng.normal(10.0, 1.0, 100), 10.0, "coarse")
    assert 0.015 < got.error <= 0.02
    above = estimate(lambda rng: rng.normal(12.0, 0.1, 100), 10.0, "above", bound="at_least")
    assert above.mean == pytest.approx(12.0, abs=0.1)


@pytest.mark.parametrize(
    "demand",
    [Normal(20, 4), poisson(7.5), Discrete(np.array([1.0, 2.5, 6.0]), np.array([0.2, 0.5, 0.3]))],
    ids=["normal", "Poisson", "discrete"],
)
def test_demand_of_several_periods(demand: Normal | Discrete) -> None:
    """Mean, quantile and loss of the demand of 3 periods agree with a large sample of it.

    Seen to fail: with the standard deviation of one period (normal), with the rate of one (Poisson), with the periods
    counted one too many (discrete).
    """
    total = demand.total(3)
    sample = demand.draw(np.random.default_rng(3), (200_000, 3)).sum(axis=1)
    assert total.mean == pytest.approx(sample.mean(), rel=5e-3)
    level = total.quantile(0.8)
    assert (sample < level).mean() - 0.005 <= 0.8 <= (sample <= level).mean() + 0.005
    over, under = total.over_and_under(level)
    assert over == pytest.approx(np.maximum(level - sample, 0).mean(), rel=2e-2)
    assert under == pytest.approx(np.maximum(sample - level, 0).mean(), rel=2e-2)
