"""How open twins and culture spread through the running model."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from verdicts import failures

from kaizen_env.verification import adoption

REFERENCE = "adoption.json"


def test_closed_forms_and_independent_graphs() -> None:
    """Seen to fail: with culture that grows without the factor 1 − culture; with only sellers as neighbours."""
    assert not failures(adoption.builtin())


def test_every_curve_crowd_and_graph_of_the_file(reference: dict[str, Any]) -> None:
    """Seen to fail: with a company's own twin among its neighbours; with imitation of open twins whatever their
    culture; with thresholds that must be passed instead of reached.
    """
    rows = adoption.check(reference)
    assert len(rows) > 150
    assert not failures(rows)


def test_a_wrong_expectation_is_found(reference: dict[str, Any]) -> None:
    """Seen to fail: with adopters compared by their number only."""
    wrong = copy.deepcopy(reference)
    wrong |= {"bass": wrong["bass"][:2], "granovetter": wrong["granovetter"][2:3]}
    wrong["bass"][0]["discrete_map_period1"]["5"] += 1e-8
    wrong["bass"][1]["F"]["10"] *= 1.001
    wrong["granovetter"][0]["final_N100_quantile_thresholds"] += 1
    wrong["network_threshold"][0]["steps"] += 1
    wrong["network_threshold"][1]["final_adopters"][0] = 99
    core = next(case for case in wrong["kcore"] if case["graph"] == "karate" and case["k"] == 4)
    core["max_equilibrium_adopters"][0] = 33 - core["max_equilibrium_adopters"][-1] + 5
    assert len(failures(adoption.check(wrong))) == 6


def test_a_file_may_have_one_part_only(reference: dict[str, Any]) -> None:
    """Seen to fail: with the other parts required."""
    rows = adoption.check({"kcore": reference["kcore"][:3]})
    assert len(rows) == 3
    assert not failures(rows)


def test_the_continuous_curve_is_approached_in_proportion_to_the_period() -> None:
    """Halving the period halves the distance to Bass's curve, which is what extrapolation rests on.

    Seen to fail: with rates per day that are not converted to periods.
    """
    exact = adoption.bass_curve(0.03, 0.38, np.array([8.0]))[0]
    coarse, fine = (abs(adoption.bass(0.03, 0.38, 8, period)[8] - exact) for period in (1 / 16, 1 / 32))
    assert coarse / fine == pytest.approx(2.0, rel=0.05)
