"""Lean metrics against numbers worked by hand, and against laws that they must keep."""

from __future__ import annotations

import numpy as np
import pytest
from networks import episode
from test_period import chain, constant_luck, full_effort, ordering

from kaizen_env import build, load_scenario, simulate
from kaizen_env.dynamics import initial_state
from kaizen_env.luck import from_demand
from kaizen_env.metrics import end_demand, gini, lean_metrics
from kaizen_env.replenishment import inventory_position
from kaizen_env.simulation import no_effort


def shop(**company: float) -> dict[str, object]:
    """One company, supplied in one day."""
    return {
        "name": "shop",
        "replenishment": "quantity",
        "companies": [{"name": "shop", "unit_cost": 2} | company],
        "supply_links": [{"buyer": "shop", "price": 3, "initial_in_transit": 0}],
        "market_links": [{"seller": "shop", "market": "town", "price": 9, "waiting_cost": 1}],
        "markets": [{"name": "town", "demand": {"process": "constant", "mean": 4}}],
    }


def test_service_worked_by_hand() -> None:
    """Demand 4, 6, 2 from a stock of 7 and 5 more on day 2: 4, 3 and 5 shipped, of which 4 + 3 + 2 at once.

    At the end of day 1, 3 wait for a day: 3 / 12 days on average. Seen to fail: with old backlog counted as at once.
    """
    network = build(load_scenario(shop(initial_on_hand=7)))
    luck = from_demand(network, np.array([4, 6, 2, 0.0])[:, None, None])
    t = simulate(network, lambda n, s, p: no_effort(n, np.array([[5.0 if p == 1 else 0.0]])), luck)
    assert t.flows is not None
    assert t.flows.shipped[:, 0, 0].tolist() == [4, 3, 5]
    assert t.states is not None
    assert end_demand(network, t.states, t.flows)[:, 0, 0].tolist() == [4, 6, 2]
    metrics = lean_metrics(t)
    assert metrics.fill_rate == pytest.approx([9 / 12])
    assert metrics.order_to_delivery_days == pytest.approx([3 / 12])


def test_money_worked_by_hand() -> None:
    """Steady 4 a day at a profit of 9 − 3 − 2 each; stock 8 in transit and on hand at standard values 3 and 5."""
    data = shop(initial_on_hand=8)
    data["supply_links"][0] |= {"initial_in_transit": 4}  # type: ignore[index]
    network = build(load_scenario(data))
    metrics = lean_metrics(simulate(network, ordering(4), constant_luck(network, 10, demand=4)))
    assert metrics.network_profit == pytest.approx([160])
    assert metrics.profit.shape == (1, 1)
    assert metrics.profit_gini == pytest.approx([0])
    assert metrics.inventory_turns == pytest.approx([365 * 4 * 5 / (8 * 5 + 4 * 3)])
    assert metrics.throughput_days == pytest.approx([1 + 2])
    assert metrics.muda_share["value_adding"] == pytest.approx([1])
    assert np.isnan(metrics.bullwhip).all()  # constant demand has no variance
    assert metrics.survivors.tolist() == [1]


def test_flow_times_follow_the_slowest_way() -> None:
    """Two mills, 2 and 5 days from the bakery, whose own process takes 3 days, one of them needed.

    Seen to fail: with the mean over suppliers; with value added on the quicker way.
    """
    data = chain(wastes=[{"name": "slow", "channel": "process_time", "size": 2 / 3}])
    data["companies"] = [
        {"name": "near", "process_time": 0.9},
        {"name": "far", "process_time": 0.3},
        {"name": "bakery", "process_time": 3},
    ]
    data["supply_links"] = [{"buyer": "near"}, {"buyer": "far"}]
    data["trade_links"] = [
        {"seller": "near", "buyer": "bakery", "transit_time": 2},
        {"seller": "far", "buyer": "bakery", "transit_time": 5},
    ]
    network = build(load_scenario(data))
    metrics = lean_metrics(simulate(network, ordering(10, 10, 10), constant_luck(network, 40)))
    assert metrics.throughput_days == pytest.approx([1 + 0.3 + 5 + 3])
    assert metrics.value_adding_days == pytest.approx([0.1 + 1])
    assert metrics.flow_efficiency == pytest.approx([1.1 / 9.3])


def test_bullwhip_of_passing_demand_on_is_one() -> None:
    """Order-up-to with a fixed level passes each company's demand on, in its own units (two flour per loaf).

    Seen to fail: with the variance of backlogs in place of that of orders.
    """
    data = chain() | {"replenishment": "order_up_to", "ordering": "cascade"}
    data["companies"][0] |= {"defect_rate": 0}
    network = build(load_scenario(data))
    demand = np.random.default_rng(1).uniform(8, 12, (401, 1, 3))
    level = inventory_position(network, initial_state(network, 0 * demand[0]))
    t = simulate(network, lambda n, s, p: no_effort(n, level), from_demand(network, demand))
    np.testing.assert_allclose(lean_metrics(t).bullwhip, 1.0, rtol=1e-9)


def test_realised_half_life_is_the_one_given() -> None:
    """Full effort halves a waste in its half-life, in days, whatever the period. Seen to fail: in periods."""
    wastes = [{"name": "forms", "channel": "hurdle", "half_life": 20}, {"name": "idle", "channel": "yield"}]
    network = build(load_scenario(chain(wastes=wastes, period_days=2)))
    metrics = lean_metrics(simulate(network, full_effort(1), constant_luck(network, 10, demand=20)))
    assert metrics.half_life_days["forms"] == pytest.approx([20])
    assert np.isinf(metrics.half_life_days["idle"]).all()
    assert metrics.waste_remaining == pytest.approx([(0.5 + 1) / 2])


def test_gini_worked_by_hand() -> None:
    assert gini(np.array([[1.0], [1.0], [1.0]])) == pytest.approx([0])
    assert gini(np.array([[0.0], [0.0], [3.0]])) == pytest.approx([2 / 3])
    assert gini(np.array([[1.0], [3.0]])) == pytest.approx([0.25])
    assert np.isnan(gini(np.array([[1.0], [-3.0]]))).all()


def test_metrics_of_any_episode_add_up() -> None:
    """Shares sum to 1, value = customers + profit + fees − what is not yet earned.

    Seen to fail: with the fee of closed twins counted.
    """
    for seed in range(12):
        t = episode(9, seed)
        m = lean_metrics(t)
        parts = m.customer_surplus + m.network_profit + m.platform_revenue - m.unrealised_profit
        np.testing.assert_allclose(m.end_customer_value, parts, rtol=1e-9)
        np.testing.assert_allclose(sum(m.muda_share.values()), 1.0)
        assert ((m.fill_rate >= 0) & (m.fill_rate <= 1 + 1e-9)).all()
        table = m.table()
        assert {"end_customer_value", "fill_rate", "muda_share_waiting", "survivors"} <= set(table)
        assert all(isinstance(v, float) for v in table.values())


def test_metrics_say_what_they_need() -> None:
    network = build(load_scenario(chain()))
    t = simulate(network, ordering(1, 1), constant_luck(network, 2), record=("books",))
    with pytest.raises(ValueError, match="metrics need what was not recorded: states, flows"):
        lean_metrics(t)
