"""What the elements of an action do: orders by each kind of replenishment, efforts, openness."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from walks import everything

from kaizen_env import BatchEnv, DescriptionError, load_scenario, parallel_env

pytestmark = pytest.mark.filterwarnings("error")


def ordered(batch: BatchEnv, order: float | np.ndarray, **others: float) -> np.ndarray:
    """Production orders (companies,) of one period in world 0; all other elements are −1 where they are not given."""
    actions = np.full((batch.worlds, batch.companies, len(batch.action_names)), -1.0)
    actions[..., 0] = order
    for name, value in others.items():
        actions[..., batch.action_names.index(name)] = value
    batch.step(actions)
    assert batch.flows is not None
    return batch.flows.ordered[:, 0]


def test_a_quantity_goes_from_nothing_to_the_most() -> None:
    """0 … `order_max` periods of what is started in the mean, linearly.

    Seen to fail: [−1, 1] taken for [0, 1]; good units for started ones.
    """
    scenario = load_scenario("cola").changed(replenishment="quantity", order_max=3.0)
    batch = BatchEnv(scenario, "static", periods=10)
    started = np.array([1000.0] * 4 + [1000.0, 950.0, 760.0, 760.0, 760.0, 760.0])  # 5 % and 20 % are scrap
    batch.reset(seed=0)
    for action in (-1.0, -0.5, 0.0, 0.25, 1.0):
        np.testing.assert_allclose(ordered(batch, action), 3.0 * started * (action + 1) / 2, rtol=1e-12)
    each = np.linspace(-1, 1, 10)
    np.testing.assert_allclose(ordered(batch, each), 3.0 * started * (each + 1) / 2, rtol=1e-12)


@pytest.mark.parametrize("name", ["serial", "cola", "electric_car", "airline", "everything"])
def test_a_level_of_0_keeps_the_stocks_of_the_start(name: str) -> None:
    """With mean demand and no disruptions, order-up-to at 0 orders what is started in the mean, in every period.

    Seen to fail: levels that forget the backlog of the start, or what is in process.
    """
    scenario = everything() if name == "everything" else load_scenario(name)
    steady = [m.model_copy(update={"demand": constant(m.demand, scenario.period_days)}) for m in scenario.markets]
    scenario = scenario.changed(markets=steady, disruptions=[])
    batch = BatchEnv(scenario, "static", periods=10)
    batch.reset(seed=0)
    company = batch.network.company
    started = (company.throughput / (1 - company.defect_rate))[:, 0]
    np.testing.assert_allclose(ordered(batch, 0.0), started, rtol=1e-9)
    if name in ("cola", "serial"):  # which start in balance
        for _ in range(5):
            np.testing.assert_allclose(ordered(batch, 0.0), started, rtol=1e-9)


def constant(demand: Any, days: float) -> Any:
    from kaizen_env.demand import Constant

    return Constant(mean=demand.mean_of_period(days) / days)


def serial(replenishment: str) -> BatchEnv:
    batch = BatchEnv(load_scenario("serial"), "kaizen2", replenishment=replenishment, periods=30)
    batch.reset(seed=6)
    for action in (0.4, -0.8, 0.1, -0.2, 0.9):
        ordered(batch, action * np.array([1.0, -1.0, 0.5]))
    return batch


def test_an_order_up_to_level_raises_the_inventory_position() -> None:
    """Position by hand: on hand + inputs + on the way + on order − backlog, against twice the steady level · u.

    Seen to fail: the echelon position; orders below 0.
    """
    batch = serial("order_up_to")
    for action in (-0.9, -0.3, 0.2, 0.6):
        s = batch.state
        owed = s.backlog[:, 0]
        pipeline = s.inputs[:, 0] + s.in_transit.sum(axis=0)[:, 0] + np.array([0.0, owed[0], owed[1]])
        position = s.on_hand[:, 0] + pipeline - owed
        mean = batch.network.market.mean[0, 0]
        # At the start: stock, one mean period per period of lead time, and the mean demand that is waiting.
        waiting = np.array([0.0, 0.0, mean])
        started = np.array([0.6878919081, 0.5267248112, 1.4908812132]) + mean * np.array([2, 1, 1]) - waiting + mean
        want = np.maximum(2 * started * (action + 1) / 2 - position, 0.0)
        np.testing.assert_allclose(ordered(batch, action), want, rtol=1e-9, atol=1e-9)


def test_an_echelon_level_raises_the_echelon_position() -> None:
    """Echelon position by hand: everything downstream, less what end customers wait for, and the own pipeline.

    Seen to fail: the inventory position; the market's backlog added.
    """
    batch = serial("echelon_order_up_to")
    state, most = batch.state, batch.actions.most[:, 0]
    for action in (-0.9, 0.0, 0.6):
        s = batch.state
        held, owed = s.on_hand[:, 0], s.backlog[:, 0]
        under_way = (s.inputs + s.in_transit.sum(axis=0))[:, 0]
        stock = np.array(
            [held.sum() + under_way[1] + under_way[2], held[1] + under_way[2] + held[2], held[2]]
        )  # echelon stock, before what customers wait for
        position = stock - owed[2] + under_way + np.array([0.0, owed[0], owed[1]])
        want = np.maximum(most * (action + 1) / 2 - position, 0.0)
        np.testing.assert_allclose(ordered(batch, action), want, rtol=1e-9, atol=1e-9)
    assert state is not batch.state
    mean = batch.network.market.mean[0, 0]
    held = np.array([0.6878919081, 0.5267248112, 1.4908812132])
    level = np.cumsum((held + mean * np.array([2, 1, 1]))[::-1])[::-1] - mean + mean  # all that is downstream
    np.testing.assert_allclose(most, 2 * level, rtol=1e-9)


def test_echelon_levels_need_a_twin_that_shows_the_echelon() -> None:
    """Seen to fail: `neighbours` let through."""
    for twin in ("own", "neighbours", "group", "members"):
        wanted = f"twin: {twin} does not show the echelon .* choose twin: network or twin: echelon"
        with pytest.raises(DescriptionError, match=wanted):
            parallel_env("serial", {"twin": twin}, replenishment="echelon_order_up_to")
    for twin in ("network", "echelon"):
        assert parallel_env("serial", {"twin": twin}, replenishment="echelon_order_up_to").batch.horizon == 100


def test_efforts_are_shares_of_the_team_by_name() -> None:
    """An effort of u is booked as u of the wage, and its waste falls by Schneiderman's half-life law.

    Seen to fail: `effort_` elements in the order of the description instead of by channel; −1 as half an effort.
    """
    scenario = load_scenario("cola")
    scenario = scenario.changed(wastes=scenario.wastes[::-1])
    batch = BatchEnv(scenario, "isolated", periods=4)
    assert batch.action_names == [
        "order",
        *(f"effort_{name}" for name in ("scrap", "over_processing", "changeovers", "hassle")),
        "joint_effort",
        "training",
        "openness",
    ]
    wage = np.array([c.wage for c in scenario.companies])
    wastes = list(batch.network.company_waste_names)
    for chosen in wastes:
        batch.reset(seed=0)
        before = batch.state.waste[..., 0]
        ordered(batch, 0.0, **{f"effort_{chosen}": 0.5})
        assert batch.books is not None
        np.testing.assert_allclose(batch.books.effort[:, 0], 0.75 * wage)
        fell = before - batch.state.waste[..., 0]
        half_life = 548.0 if chosen == "hassle" else 91.0
        power = 0.75 * 0.5 / half_life  # skill 1, culture ½; no backsliding from level 1
        np.testing.assert_allclose(fell[wastes.index(chosen)], 1 - 2.0**-power, rtol=1e-9)
        assert not np.delete(fell, wastes.index(chosen), axis=0).any()


def test_an_open_twin_is_chosen_above_a_half() -> None:
    """Seen to fail: openness above 0 of [0, 1]."""
    batch = BatchEnv("cola", {"twin": "members"}, periods=4)
    batch.reset(seed=0)
    ordered(batch, 0.0, openness=-0.01)
    assert not batch.state.open_twin.any()
    ordered(batch, 0.0, openness=0.01)
    assert batch.state.open_twin.all()


def test_actions_that_a_scenario_does_not_use_are_absent() -> None:
    """Seen to fail: `training` without innovation; `openness` left out for `members`."""
    names = {
        (scenario, twin): BatchEnv(scenario, {"twin": twin}).action_names
        for scenario in ("serial", "team", "beer_game")
        for twin in ("own", "members")
    }
    assert names["serial", "own"] == names["beer_game", "own"] == ["order"]
    assert names["serial", "members"] == ["order", "openness"]
    assert names["team", "own"] == ["order", "effort_hassle"]
    assert BatchEnv("cola", "static").action_names == ["order"]


def test_forced_periods_order_the_mean_whatever_is_decided() -> None:
    """Sterman's benchmark: four weeks of 4 cases, then what was decided. Seen to fail: one week fewer."""
    batch = BatchEnv("beer_game", "isolated", forced_periods=4)
    batch.reset(seed=0)
    for week in range(6):
        batch.step(np.full((1, 4, 1), -1.0))
        assert batch.flows is not None
        assert batch.flows.ordered[:, 0].tolist() == [4.0 if week < 4 else 0.0] * 4


def test_forced_periods_need_orders_that_are_quantities() -> None:
    """Seen to fail: without the check."""
    with pytest.raises(DescriptionError, match="forced_periods: 4 goes only with replenishment: quantity"):
        BatchEnv("serial", "isolated", forced_periods=4)
