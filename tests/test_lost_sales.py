"""Orders that do not wait (`unfilled: lost`): who bears their cost, where it is booked, and who reckons with it.

Each test was seen to fail once, by a change of the code that its docstring names.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from agents.echelon_order_up_to import shang_song_bounds
from agents.linear_programme import linear_bound
from agents.policy import Setting
from kaizen_env import BatchEnv, DescriptionError, build, load_scenario, simulate
from kaizen_env.dynamics import end_customer_value
from kaizen_env.ledger import ledger
from kaizen_env.luck import from_demand
from kaizen_env.objectives import money_scale
from kaizen_env.simulation import Trajectory, no_effort

LOST_TRADE = {"unfilled": "lost", "lost_sale_cost": 0.7, "customer_lost_sale_cost": 0.4}
LOST_MARKET = {"unfilled": "lost", "lost_sale_cost": 5, "customer_lost_sale_cost": 1.5}


def bread(trade: dict[str, Any] = LOST_TRADE, market: dict[str, Any] = LOST_MARKET, **changes: Any) -> dict[str, Any]:
    """A mill with 6 flour, two for a loaf, and a bakery with 3 loaves; the town wants 10 a day. Pipelines are empty."""
    data: dict[str, Any] = {
        "name": "bread",
        "replenishment": "quantity",
        "initial_pipelines": "empty",
        "companies": [
            {"name": "mill", "unit_cost": 1, "initial_on_hand": 6},
            {"name": "bakery", "unit_cost": 2, "initial_on_hand": 3},
        ],
        "supply_links": [{"buyer": "mill", "price": 0.5}],
        "trade_links": [{"seller": "mill", "buyer": "bakery", "bom": 2, "price": 3, "transit_holding_cost": 0} | trade],
        "market_links": [{"seller": "bakery", "market": "town", "price": 9, "value": 12} | market],
        "markets": [{"name": "town", "demand": {"process": "constant", "mean": 10}}],
    }
    return data | changes


def played(data: dict[str, Any], *orders: float, periods: int = 1) -> Trajectory:
    """An episode in which each company orders the same in every period."""
    network = build(load_scenario(data))
    amounts = np.asarray(orders, float)[:, None]
    demand = np.full((periods + 1, 1, 1), 10.0)
    policy = lambda net, state, t: no_effort(net, amounts)  # noqa: E731
    return simulate(network, policy, from_demand(network, demand), record=("states", "flows", "books"))


def period(t: Trajectory, p: int = 0) -> tuple[Any, Any]:
    """Flows and books of a period, (rows, worlds) each."""
    assert t.flows is not None
    assert t.books is not None
    return type(t.flows)(*(x[p] for x in t.flows)), type(t.books)(*(x[p] for x in t.books))


# --- the books -------------------------------------------------------------------------------------------------------


def test_a_period_with_lost_sales_worked_by_hand() -> None:
    """The bakery orders 4, so 8 flour: 6 are shipped and 2 lost. It ships 3 loaves, and 7 of 10 customers go home.

    Seen to fail: with the cost to the seller charged to the customer; with the cost to the buyer left out of its
    profit; with lost units kept in the backlog; with lost sales left out of the ledger.
    """
    t = played(bread(), 0, 4)
    flows, books = period(t)
    assert flows.shipped[:, 0] == pytest.approx([6, 3])
    assert flows.lost[:, 0] == pytest.approx([2, 7])
    assert t.final.backlog[:, 0] == pytest.approx([0, 10])  # of the next day alone
    assert books.lost_sales[:, 0] == pytest.approx([0.7 * 2, 5 * 7])  # to the seller
    assert books.waiting[:, 0] == pytest.approx([0.4 * 2, 1.5 * 7])  # to the buyer, and to the end customers
    assert not books.penalty.any()
    mill, bakery = 18 - 1.4, 27 - 18 - 0.8 - 35
    assert books.cash_profit[:, 0] == pytest.approx([mill, bakery])
    # Flour is booked at 1 + 0.5, a loaf at 2 + 2 · 3: the mill sold 6 out of stock, the bakery 3 and bought 6 flour.
    assert books.profit[:, 0] == pytest.approx([mill - 1.5 * 6, bakery + 18 - 8 * 3])
    assert books.customers[0, 0] == pytest.approx((12 - 9) * 3 - 10.5)
    # A loaf has a standard cost of 2 + 2 · 1.5; prices between the two cancel.
    value = end_customer_value(t.network, books)[0]
    assert value == pytest.approx((12 - 5) * 3 - 1.4 - 35 - 0.8 - 10.5)
    booked = {kind: cost[:, 0] for kind, cost in ledger(t.network, flows, books).items()}
    assert booked["waiting"] == pytest.approx([1.4 + 0.8, 35 + 10.5])  # at the seller that was short
    assert booked["value_adding"] == pytest.approx([1.5 * 6, 2 * 3])
    assert value == pytest.approx(12 * 3 - sum(cost.sum() for cost in booked.values()))


def test_prices_cancel_where_sales_are_lost() -> None:
    """Dearer flour and dearer bread move money between members, and no value; lost sales cost what they cost.

    Seen to fail: with a lost sale charged at its price.
    """
    dearer = bread()
    dearer["trade_links"][0]["price"], dearer["market_links"][0]["price"] = 8, 11
    (one, other) = (played(data, 0, 4, periods=4) for data in (bread(), dearer))
    for p in range(4):
        (_, a), (_, b) = period(one, p), period(other, p)
        np.testing.assert_allclose(end_customer_value(one.network, a), end_customer_value(other.network, b))
        np.testing.assert_array_equal(a.lost_sales, b.lost_sales)
        np.testing.assert_array_equal(a.waiting, b.waiting)


def test_a_lost_unit_costs_the_same_in_a_longer_period() -> None:
    """It is lost once: the cost is per unit, where waiting and penalties are per unit and day.

    Seen to fail: with each cost, on each kind of link, converted to periods.
    """
    network = build(load_scenario(bread(period_days=7)))
    assert network.sale.lost_sale_cost[:, 0].tolist() == [0.7, 5]
    assert network.sale.customer_lost_sale_cost[:, 0].tolist() == [0.4, 1.5]
    assert network.market.lost_sale_cost[:, 0].tolist() == [5]
    assert network.market.customer_lost_sale_cost[:, 0].tolist() == [1.5]


# --- what cannot apply is refused ------------------------------------------------------------------------------------


SHARED = {"penalty_share": [{"seller": "bakery", "market": "town", "shares": {"mill": 0.5, "bakery": 0.5}}]}
MEND_LOST = "with unfilled: lost; nobody waits; use lost_sale_cost or customer_lost_sale_cost"
MEND_BACKLOG = "with unfilled: backlog; use unfilled: lost, or penalty"
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"trade": {"unfilled": "lost", "penalty": 0.4}}, f"trade_links[0].penalty: got 0.4 {MEND_LOST}"),
    ({"trade": {"unfilled": "lost", "waiting_cost": 2}}, f"trade_links[0].waiting_cost: got 2 {MEND_LOST}"),
    ({"market": {"unfilled": "lost", "penalty": 1}}, f"market_links[0].penalty: got 1 {MEND_LOST}"),
    ({"market": {"unfilled": "lost", "waiting_cost": 1.5}}, f"market_links[0].waiting_cost: got 1.5 {MEND_LOST}"),
    ({"trade": {"lost_sale_cost": 3}}, f"trade_links[0].lost_sale_cost: got 3 {MEND_BACKLOG}"),
    ({"trade": {"customer_lost_sale_cost": 3}}, f"trade_links[0].customer_lost_sale_cost: got 3 {MEND_BACKLOG}"),
    ({"market": {"lost_sale_cost": 3}}, f"market_links[0].lost_sale_cost: got 3 {MEND_BACKLOG}"),
    ({"market": {"customer_lost_sale_cost": 3}}, f"market_links[0].customer_lost_sale_cost: got 3 {MEND_BACKLOG}"),
    (
        {"contracts": SHARED},
        "contracts.penalty_share[0]: nobody waits on this market link (unfilled: lost), so that there is no penalty to"
        " share",
    ),
    ({"market": {"unfilled": "lost", "lost_sale_cost": -1}}, "market_links[0].lost_sale_cost: got -1"),
]


@pytest.mark.parametrize("changes, message", REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_apply_is_refused_with_place_and_mend(changes: dict[str, Any], message: str) -> None:
    """Seen to fail: with each check left out."""
    with pytest.raises(DescriptionError) as refused:
        load_scenario(bread(**changes))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


# --- who reckons with it ---------------------------------------------------------------------------------------------


def scale(market: dict[str, Any]) -> float:
    return money_scale(build(load_scenario(bread(market=market))))


def test_rewards_are_scaled_by_what_can_apply() -> None:
    """10 a day, over two companies: by the value, or by the largest of what a customer that goes home costs.

    Seen to fail: with each cost of a lost sale left out of the scale.
    """
    assert scale({"penalty": 50, "waiting_cost": 50}) == pytest.approx(10 * 50 / 2)
    assert scale({"unfilled": "lost"}) == pytest.approx(10 * 12 / 2)
    assert scale(LOST_MARKET) == pytest.approx(10 * 12 / 2)
    assert scale({"unfilled": "lost", "lost_sale_cost": 40}) == pytest.approx(10 * 40 / 2)
    assert scale({"unfilled": "lost", "customer_lost_sale_cost": 30}) == pytest.approx(10 * 30 / 2)


def rivals(cost: float, **market: Any) -> dict[str, Any]:
    """Red has 2 units and blue 50; each is asked for 5. Who is served has 10 − 5, and all bear a hurdle of 1."""
    link = {"market": "town", "price": 5, "value": 10, "unfilled": "lost", "customer_lost_sale_cost": cost}
    return {
        "name": "rivals",
        "replenishment": "quantity",
        "initial_pipelines": "empty",
        "companies": [
            {"name": "red", "initial_on_hand": 2, "hurdle": 1},
            {"name": "blue", "initial_on_hand": 50, "hurdle": 1},
        ],
        "supply_links": [{"buyer": "red"}, {"buyer": "blue"}],
        "market_links": [{"seller": "red"} | link, {"seller": "blue"} | link],
        "markets": [
            {"name": "town", "demand": {"process": "constant", "mean": 10}, "experience_smoothing": 0.5} | market
        ],
    }


def felt(served: float, lost: float, cost: float) -> float:
    """Experience after a period, from 10 − 5 − 1 = 4, with smoothing 0.5 and the usual 5 customers."""
    return 4 + 0.5 * ((5 * served - cost * lost) / (served + lost) - 1 - 4)


def test_a_lost_customer_is_felt_in_the_choice_of_seller() -> None:
    """Log odds = sensitivity · difference of experience. A customer that goes home at no cost has had nothing.

    Seen to fail: with lost customers not counted; with their cost left out.
    """
    for cost in (0.0, 4.0):
        t = played(rivals(cost, choice="logit", choice_sensitivity=0.3), 0, 0)
        flows, _ = period(t)
        assert t.final.experience[:, 0] == pytest.approx([felt(2, 3, cost), 4])
        red, blue = flows.arrivals[:, 0]
        assert red + blue == pytest.approx(10)
        assert np.log(red / blue) == pytest.approx(0.3 * (felt(2, 3, cost) - 4))


def test_a_lost_customer_costs_goodwill() -> None:
    """Demand = mean · (1 + goodwill · change of experience / value), at even shares.

    Seen to fail: with lost customers not counted; with their cost left out.
    """
    for cost in (0.0, 4.0):
        flows, _ = period(played(rivals(cost, goodwill=0.8), 0, 0))
        assert flows.arrivals.sum() == pytest.approx(10 * (1 + 0.8 * 0.5 * (felt(2, 3, cost) - 4) / 10))


@pytest.mark.parametrize("seller, customer", [(0, 0), (2, 0), (0, 2), (2, 2), (0, 5), (5, 0)])
def test_the_bound_counts_what_a_lost_sale_costs(seller: float, customer: float) -> None:
    """A shop with 5 units at a standard cost of 4 is asked for 4 a day, on three days. A unit is worth 6.

    7 are asked for and not there. An order of the first day comes on the third, at a freight of 5 for a margin of 2: it
    pays where a lost sale costs the two sides together more than 3.

    Seen to fail: with either cost left out of the programme; with both charged where orders wait instead.
    """
    link = {"unfilled": "lost", "lost_sale_cost": seller, "customer_lost_sale_cost": customer}
    data = {
        "name": "shop",
        "replenishment": "quantity",
        "initial_pipelines": "empty",
        "companies": [{"name": "shop", "initial_on_hand": 5}],
        "supply_links": [{"buyer": "shop", "lead_time": 2, "price": 4, "freight": 5}],
        "market_links": [{"seller": "shop", "market": "street", "price": 7, "value": 6} | link],
        "markets": [{"name": "street", "demand": {"process": "constant", "mean": 4}}],
    }
    network = build(load_scenario(data))
    luck = from_demand(network, np.reshape([4.0, 4.0, 4.0, 0.0], (-1, 1, 1)))
    found = linear_bound(network, luck)
    lost = seller + customer
    bought = 4.0 if lost > 3 else 0.0  # of the second day's demand 3 are lost in any case
    assert found.bound[0] == pytest.approx(2 * 5 + (2 - 5) * bought - lost * (7 - bought))
    assert found.orders.sum() == pytest.approx(bought)
    t = simulate(network, lambda net, state, p: no_effort(net, found.orders[p]), luck, record=("books",))
    assert t.books is not None
    assert end_customer_value(network, t.books).sum() == pytest.approx(found.bound[0])


def setting_of(data: dict[str, Any]) -> Setting:
    env = BatchEnv(data, "kaizen2", 1, auto_reset=False)
    env.reset(seed=0)
    return Setting.of(env)


def shop(link: dict[str, Any], **company: Any) -> dict[str, Any]:
    """A shop that buys at 3 and adds 1, with normal demand of 8 and a lead time of 2; a unit is worth 12."""
    return {
        "name": "shop",
        "companies": [{"name": "shop", "unit_cost": 1, "holding_cost": 1} | company],
        "supply_links": [{"buyer": "shop", "lead_time": 2, "price": 3}],
        "market_links": [{"seller": "shop", "market": "street", "price": 9, "value": 12} | link],
        "markets": [{"name": "street", "demand": {"process": "normal", "mean": 8, "sd": 2}}],
    }


def test_a_company_knows_what_a_lost_sale_costs_it() -> None:
    """Its own cost and the margin over book cost, not what the customer bears; mean over links by flow.

    Seen to fail: with the margin left out; with it taken below 0; with the customer's cost; with links weighted alike.
    """
    lost = {"unfilled": "lost", "lost_sale_cost": 2, "customer_lost_sale_cost": 100}
    assert setting_of(shop(lost)).facts.shortage_cost == pytest.approx([2 + 9 - 4])
    assert setting_of(shop(lost | {"price": 1})).facts.shortage_cost == pytest.approx([2])
    two = shop(lost | {"share": 0.75})
    two["market_links"].append({"seller": "depot", "market": "street", "price": 9, "penalty": 1, "share": 0.25})
    two["companies"].append({"name": "depot"})
    two["supply_links"].append({"buyer": "depot"})
    two["market_links"].append({"seller": "shop", "market": "port", "price": 9, "penalty": 1})
    two["markets"].append({"name": "port", "demand": {"process": "constant", "mean": 2}})
    assert setting_of(two).facts.shortage_cost == pytest.approx([(6 * 7 + 2 * 1) / 8, 1])


@pytest.mark.parametrize(
    "link, short",
    [
        ({"unfilled": "lost"}, 12 - 4),
        ({"unfilled": "lost", "lost_sale_cost": 2}, 2 + 8),
        ({"unfilled": "lost", "customer_lost_sale_cost": 3}, 3 + 8),
        ({"unfilled": "lost", "lost_sale_cost": 2, "customer_lost_sale_cost": 3, "value": 1}, 2 + 3),
        ({"waiting_cost": 13, "penalty": 7}, 13),
        ({"penalty": 7}, 7),
    ],
)
def test_echelon_levels_reckon_with_lost_sales(link: dict[str, Any], short: float) -> None:
    """The critical ratio p / (p + h) of a newsvendor, p what a lost sale costs the network: the costs of both sides and
    value − standard cost, where that is not negative. The level covers the lead time: 2 · 8 units and no more, because
    a period's demand is revealed before the order.

    Seen to fail: with the cost of waiting, which is 0, on links that lose sales; with each part of the cost left out;
    with a negative margin counted.
    """
    setting = setting_of(shop(link))
    quantile = stats.norm.ppf(short / (short + 1))
    level = 2 * 8 + quantile * setting.facts.demand_deviation * np.sqrt(2)
    for bound in shang_song_bounds(setting.network, setting.facts):
        np.testing.assert_allclose(bound, level, rtol=1e-5)  # the mean of demand cut at 0
    assert setting.facts.demand_deviation == pytest.approx([2], rel=0.02)
