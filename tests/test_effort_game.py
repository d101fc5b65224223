"""The effort game: its equilibrium, its optimum and the price of isolation are those of the closed form."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from kaizen_env import DescriptionError, Network, build, draw, load_scenario, simulate
from kaizen_env.dynamics import Decisions, end_customer_value
from kaizen_env.luck import Luck
from kaizen_env.scenarios.team import team
from kaizen_env.simulation import no_effort


def payoffs(companies: int, efforts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Profit per company and end-customer value per period for constant efforts (companies, worlds), once settled."""
    network = build(team(companies))
    worlds = efforts.shape[-1]

    def policy(network: Network, state: Any, t: int) -> Decisions:
        decisions = no_effort(network, network.zeros(companies, worlds))
        return decisions._replace(effort=np.stack([efforts, 0.0 * efforts, 0.0 * efforts]))

    demand = np.broadcast_to(draw(network, 0, 1, 40).demand, (41, 1, worlds))
    books = simulate(network, policy, Luck(demand, None, None), record=("books",)).books
    assert books is not None
    return books.profit[10:].mean(axis=0), end_customer_value(network, books)[10:].mean(axis=0)


def best(efforts: np.ndarray, values: np.ndarray) -> float:
    """Where the parabola through three points has its top."""
    curve = np.polyfit(efforts, values, 2)
    assert curve[0] < 0
    return float(-curve[1] / (2.0 * curve[0]))


@pytest.mark.parametrize("companies", [1, 2, 4, 8])
def test_team_efforts_are_those_of_the_closed_form(companies: int) -> None:
    """Best response v/(N c) whatever the others do, v/c for all together, (2N-1)/N² of the value; within 0.5 %.

    Seen to fail: backsliding 0.5; shares that sum to 1 but are not equal; curvature 2.1.
    """
    tried = np.array([0.1, 0.3, 0.6])
    for others in (0.05, 0.5):
        efforts = np.full((companies, 3), others)
        efforts[-1] = tried
        assert best(tried, payoffs(companies, efforts)[0][-1]) == pytest.approx(0.5 / companies, rel=0.005)
    together = payoffs(companies, np.broadcast_to(tried, (companies, 3)))[1]
    assert best(tried, together) == pytest.approx(0.5, rel=0.005)
    _, value = payoffs(companies, np.broadcast_to(np.array([0.0, 0.5 / companies, 0.5]), (companies, 3)))
    assert value[0] == pytest.approx(0.0, abs=1e-9)
    assert value[1] / value[2] == pytest.approx((2 * companies - 1) / companies**2, rel=0.005)


def test_team_file_is_the_team_of_four() -> None:
    """Seen to fail: a hurdle of 999; a key of the file left out of the function."""
    assert load_scenario("team") == team(4) == load_scenario({"team": {"companies": 4}})
    assert len(load_scenario({"team": {"companies": 12}}).companies) == 12
    with pytest.raises(DescriptionError, match="companies: got 0; allowed: a whole number from 1 on"):
        load_scenario({"team": {"companies": 0}})


def test_team_is_not_a_game_of_ordering() -> None:
    """Nothing that a company orders changes what anybody gets. Seen to fail: holding_cost 0.1 for all."""
    network = build(load_scenario("team"))
    luck, profits = draw(network, 0), []
    for level in (0.0, 1000.0, 5000.0):
        books = simulate(
            network, lambda network, state, t, level=level: no_effort(network, np.full((4, 1), level)), luck
        ).books
        assert books is not None
        profits.append(books.profit)
    assert all(np.array_equal(a, b) for a, b in pairwise(profits))
