"""Team production through the running model, its contract and its gradients."""

from __future__ import annotations

import copy
import importlib.util
from typing import Any

import numpy as np
import pytest
from verdicts import failures

from kaizen_env.verification import team, team_games

REFERENCE = "team_kaizen.json"
needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="slopes need PyTorch")


@needs_torch
def test_closed_forms_and_an_independent_solution() -> None:
    """Seen to fail: with effort costs among the gains that the contract shares; with the arithmetic mean of joint
    efforts; with scrap at the defect rate of today; with gains that leave out the end customers' hurdles.
    """
    assert not failures(team.builtin())


@needs_torch
def test_every_game_of_the_file_that_the_model_has(reference: dict[str, Any]) -> None:
    """Seen to fail: with gains shared out twice; with the payer of a contract charged for its own share only."""
    rows = team.check(reference)
    assert len(rows) > 150
    assert not failures(rows)
    assert sum(bool(row.skipped) for row in rows) == 2  # what the model cannot express, with a reason each


@needs_torch
def test_a_wrong_expectation_is_found(reference: dict[str, Any]) -> None:
    """Seen to fail: with a tolerance of one percent."""
    wrong = {
        "parameters": reference["parameters"],
        "additive": copy.deepcopy(reference["additive"][1:2]),
        "spillover": copy.deepcopy(reference["spillover"][1:2]),
        "edge": copy.deepcopy(reference["edge"][:1]),
        "weakest_link": copy.deepcopy(reference["weakest_link"][1:2]),
        "dynamic": copy.deepcopy(reference["dynamic"][-2:]),
    }
    wrong["additive"][0]["e_nash"] *= 1.0001
    wrong["spillover"][0]["welfare_ratio"] *= 1.0001
    wrong["edge"][0]["e_nash"] *= 1.0001
    wrong["weakest_link"][0]["gain_above"] *= 1.001
    wrong["dynamic"][0]["e_closed"] *= 1.0001  # and with it the capital
    assert len(failures(team.check(wrong))) == 6


@needs_torch
def test_no_equilibrium_where_a_deviation_pays() -> None:
    """Seen to fail: with temptation measured at the first player's own effort only."""
    game = team_games.additive(2, 0.5, 2.0, 1.5)
    assert game.temptation(game.efforts(together=False)) < 1e-7
    # At the network's optimum 4/3 it pays to fall back to 2/3: c/2·(2/3)² = 1/3.
    assert game.temptation(np.full(2, 4 / 3), more=[2 / 3]) == pytest.approx(1 / 3, rel=1e-6)


@needs_torch
def test_slopes_agree_with_differences() -> None:
    """PyTorch's slopes are those of the NumPy model. Seen to fail: with own slopes that take in what others gain."""
    game = team_games.quality(3, value=4.0, cost=1.0, defects=0.8, half_life=1.0)
    effort, small = np.array([0.2, 0.4, 0.1]), 1e-6
    for player in range(3):
        step = small * np.eye(3)[player]
        both = np.stack((effort + step, effort - step), axis=1)
        profit, value = (total.sum(axis=0) for total in game.play(game.numpy, both))
        own = (profit[player, 0] - profit[player, 1]) / (2 * small)
        assert game.slopes(effort, together=False)[player] == pytest.approx(own, rel=1e-6)
        assert game.slopes(effort, together=True)[player] == pytest.approx(
            (value[0] - value[1]) / (2 * small), rel=1e-6
        )
