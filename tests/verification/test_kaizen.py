"""Half-lives, backsliding, skill, culture and joint kaizen through the running model."""

from __future__ import annotations

import copy
from typing import Any

from verdicts import failures

from kaizen_env.verification import kaizen

REFERENCE = "kaizen_calibration.json"


def test_the_law_in_closed_form() -> None:
    """Seen to fail, each by its own rows only: with backsliding on (1 − w)·w; with a floor that only stops waste;
    with skill left out; with culture left out; with the mean of both sides' efforts instead of their geometric
    mean; with joint effort not spread over links; with efforts above one team not scaled down.
    """
    assert not failures(kaizen.builtin())


def test_observed_half_lives_and_backsliding(reference: dict[str, Any]) -> None:
    """Seen to fail: with e instead of 2 as the base of the decay; with shares per day taken as shares per period."""
    rows = kaizen.check(reference)
    assert len(rows) > 30
    assert not failures(rows)


def test_a_wrong_expectation_is_found(reference: dict[str, Any]) -> None:
    """Seen to fail: with a tolerance of one percent."""
    wrong = copy.deepcopy(reference)
    wrong["half_life"]["suggested_default"]["own_process"]["reduction_per_week"] *= 1.001
    wrong["forgetting"]["examples"][4]["w_inf_over_w0"] += 1e-6
    assert len(failures(kaizen.check(wrong))) == 2


def test_one_side_alone_leaves_the_waste_of_a_link_to_the_last_bit() -> None:
    """Seen to fail: with the small number that keeps the square root differentiable left in the effort."""
    rows = [row for row in kaizen.builtin() if "change on" in row.name]
    assert len(rows) == 3
    assert all(row.got == 0.0 and row.tolerance <= 1e-9 for row in rows)
