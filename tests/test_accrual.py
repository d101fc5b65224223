"""Accrued books: what goes into stock is no cost, what comes out of it no gain, and the network's stock is valued once.

Stocks are valued here from the states and the scenario alone, and never by `economics`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import EVERYTHING, random_policy, random_scenario
from test_laws import BACKENDS, any_network, close, slowly

from kaizen_env import Network, Scenario, build, draw, load_scenario, simulate
from kaizen_env.arrays import as_array, as_numpy, segment_sum
from kaizen_env.dynamics import State, end_customer_value, unrealised_profit
from kaizen_env.ledger import delivered_units, ledger, stock_change
from kaizen_env.luck import Luck, from_demand
from kaizen_env.simulation import Trajectory, no_effort

ORDERINGS = st.sampled_from(
    [
        ("quantity", "simultaneous"),
        ("order_up_to", "simultaneous"),
        ("order_up_to", "cascade"),
        ("echelon_order_up_to", "simultaneous"),
        ("echelon_order_up_to", "cascade"),
    ]
)


def played(scenario: Scenario, seed: int, periods: int = 40, worlds: int = 2) -> Trajectory:
    """A random episode, with everything recorded."""
    network = build(scenario)
    return simulate(network, random_policy(network), draw(network, seed, worlds, periods), record=EVERYTHING)


def total(record: Any) -> Any:
    """Flows or books of an episode in one."""
    return type(record)(*(x.sum(axis=0) for x in record))


def at(record: Any, t: int) -> Any:
    """Flows or books of one period."""
    return type(record)(*(x[t] for x in record))


def book_costs(scenario: Scenario) -> np.ndarray:
    """What a unit costs the company that makes it: unit cost and inputs at their price, (companies, 1)."""
    cost = {company.name: company.unit_cost for company in scenario.companies}
    for link in (*scenario.supply_links, *scenario.trade_links):
        cost[link.buyer] += link.bom * link.price
    return np.array([list(cost.values())]).T


def standard_costs(scenario: Scenario) -> np.ndarray:
    """What a unit costs the network: unit cost and inputs at what they cost outside, (companies, 1)."""

    def cost(name: str) -> float:
        (own,) = (company.unit_cost for company in scenario.companies if company.name == name)
        supplied = sum(link.bom * link.price for link in scenario.supply_links if link.buyer == name)
        traded = sum(link.bom * cost(link.seller) for link in scenario.trade_links if link.buyer == name)
        return own + supplied + traded

    return np.array([[cost(company.name)] for company in scenario.companies])


def stocks(state: State) -> tuple[np.ndarray, np.ndarray]:
    """Units of its product that each company has, and inputs on each purchase link, held or on their way."""
    return state.on_hand + state.work_in_process.sum(axis=0), state.inputs + state.in_transit.sum(axis=0)


def own_stock(network: Network, state: State) -> np.ndarray:
    """All stocks of each company at what they are booked at: (companies, worlds)."""
    made, inputs = stocks(state)
    held = segment_sum(network.purchase.price * inputs, network.purchase.by_buyer)
    return book_costs(network.scenario) * made + held


def whole_stock(network: Network, state: State) -> np.ndarray:
    """All stocks of the network at standard cost: (worlds,)."""
    (made, inputs), cost, purchase = stocks(state), standard_costs(network.scenario), network.purchase
    worth = np.where(purchase.is_trade > 0, cost[purchase.partner], purchase.price)
    return (cost * made).sum(axis=0) + (worth * inputs).sum(axis=0)


def opening(t: Trajectory) -> State:
    assert t.states is not None
    return State(*(x[0] for x in t.states))


def moved(t: Trajectory) -> float:
    """Book cost of all that was bought, made and sent: what the error of a sum is relative to."""
    assert t.flows is not None
    flows, cost = total(t.flows), book_costs(t.network.scenario)
    bought = np.abs(t.network.purchase.price) * flows.dispatched
    sent = cost[t.network.sale.seller] * flows.shipped
    return float(bought.sum() + (cost * flows.started).sum() + sent.sum())


# --- laws ------------------------------------------------------------------------------------------------------------


@slowly
@given(companies=st.integers(1, 20), seed=st.integers(0, 10**6), orders=ORDERINGS)
def test_accrued_less_cash_is_the_change_of_stock(companies: int, seed: int, orders: tuple[str, str]) -> None:
    """Over an episode, for each company at book cost and for the network at standard cost.

    Seen to fail: with spoiled units left in the books; with inputs booked when they arrive; with what was scrapped at
    unit cost; consolidated with inputs of trade links at their price, or with standard cost without inputs.
    """
    changes = {"accounting": "accrual", "replenishment": orders[0], "ordering": orders[1]}
    t = played(random_scenario(companies, seed).changed(**changes), seed)
    assert t.books is not None
    before, after, books, scale = opening(t), t.final, total(t.books), moved(t)
    close(books.profit - books.cash_profit, own_stock(t.network, after) - own_stock(t.network, before), scale)
    change = whole_stock(t.network, after) - whole_stock(t.network, before)
    close(books.network_stock_change[0], change, scale)
    value = end_customer_value(t.network, t.books).sum(axis=0)
    cash = books.cash_profit.sum(axis=0) + books.fee.sum(axis=0) + books.customers[0]
    close(value - cash, change, scale + float(np.abs(cash).max()))
    own = (own_stock(t.network, after) - own_stock(t.network, before)).sum(axis=0)
    close(unrealised_profit(t.network, t.books).sum(axis=0), own - change, scale)


def test_every_feature_is_in_some_network_of_the_law() -> None:
    drawn = [random_scenario(n, s).changed(accounting="accrual") for n in (2, 6, 12) for s in range(6)]
    records = [played(scenario, 3, 20) for scenario in drawn]
    sums = [total(t.flows) for t in records]
    assert any(flows.spoiled.any() for flows in sums)
    assert any(flows.scrapped.any() for flows in sums)
    assert any(flows.lost.any() for flows in sums)
    assert any((t.final.alive == 0).any() for t in records)
    assert any(t.luck.passage is not None for t in records)
    assert any(t.final.work_in_process.any() for t in records)
    assert any(np.bincount(t.network.purchase.buyer).max() > 2 for t in records)
    assert any(np.bincount(t.network.trade.seller).max() > 1 for t in records if t.network.trades)


@slowly
@any_network
def test_with_cash_nothing_is_accrued(companies: int, seed: int) -> None:
    """Seen to fail: with accrual whatever the scenario says."""
    t = played(random_scenario(companies, seed).changed(accounting="cash"), seed)
    assert t.books is not None
    np.testing.assert_array_equal(t.books.profit, t.books.cash_profit)
    assert not t.books.network_stock_change.any()
    assert not unrealised_profit(t.network, t.books).any()


@slowly
@any_network
def test_accounting_moves_no_unit(companies: int, seed: int) -> None:
    """States and flows are the same, bit for bit: a company cannot tell from its stocks how its books are kept.

    But for cash where gains are shared, because the value created is another, and then for who is bankrupt by it.
    Seen to fail: with cash that takes up accrued profit; with the value created for gain sharing in cash always.
    """
    scenario = random_scenario(companies, seed)
    cash, accrued = (played(scenario.changed(accounting=how), seed) for how in ("cash", "accrual"))
    shared = bool(scenario.contracts.gain_share)
    assert cash.states is not None
    assert accrued.states is not None
    assert cash.flows is not None
    assert accrued.flows is not None
    if shared and cash.network.mortal:
        return
    for one, other in ((cash.states, accrued.states), (cash.final, accrued.final), (cash.flows, accrued.flows)):
        for name, a, b in zip(one._fields, one, other, strict=True):
            if name != "cash" or not shared:
                assert a.tobytes() == b.tobytes(), name
    if shared and scenario.contracts.gain_share[0].share > 0:
        assert companies == 1 or (cash.final.cash != accrued.final.cash).any()


def test_a_share_of_the_value_created_can_decide_who_is_bankrupt() -> None:
    """A shop that only sells its stock, and pays half of the value created to an agent: which value, the books say.

    It sells 4 at 10 and holds 30 at 1.5: −5 in cash, of which the agent bears half. The 4 had cost 8 each: accrued,
    −37 were created, and the agent bears 18.50. So the shop has −2.50 or 13.50. Seen to fail: with the value created
    for gain sharing in cash always.
    """
    data = shop(stock=30, price=8.0, holding=1.5, credit_limit=1.0)
    data["companies"] += [{"name": "agent"}]
    data["supply_links"] += [{"buyer": "agent"}]
    data["market_links"] += [{"seller": "agent", "market": "town", "share": 0}]
    data["contracts"] = {"gain_share": [{"share": 0.5, "shares": {"agent": 1}, "paid_by": {"shop": 1}}]}
    for how, cash, alive in (("cash", -2.5, 0.0), ("accrual", 13.5, 1.0)):
        t = orders_of(data | {"accounting": how}, np.zeros((2, 1)))
        assert t.final.cash[0, 0] == pytest.approx(cash)
        assert t.final.alive[0, 0] == alive


@slowly
@any_network
def test_the_ledger_of_an_episode(companies: int, seed: int) -> None:
    """Value delivered − the ledger = end-customer value, and value-adding is what reached the customer, never negative.

    Seen to fail: with what was spent as value-adding; with deliveries not carried up to suppliers; without the bom;
    with standard cost in place of what each company added.
    """
    t = played(random_scenario(companies, seed).changed(accounting="accrual"), seed)
    assert t.flows is not None
    assert t.books is not None
    flows, books, net = total(t.flows), total(t.books), t.network
    cost = ledger(net, flows, books)
    all_costs = np.sum(list(cost.values()), axis=(0, 1))
    scale = float(np.abs(list(cost.values())).sum() + books.value.sum()) + moved(t)
    close(books.value.sum(axis=0) - all_costs, end_customer_value(net, books), scale)
    assert (cost["value_adding"] >= 0).all()
    seller = net.market.seller
    delivered = flows.shipped[np.arange(net.sales) if net.sale.market is None else net.sale.market]
    reached = (standard_costs(net.scenario)[seller] * delivered).sum(axis=0)
    close(cost["value_adding"].sum(axis=0), reached, float(reached.max(initial=0.0)))
    close(stock_change(net, flows, books).sum(axis=0), books.network_stock_change[0], scale)


def test_units_that_reached_customers_by_hand() -> None:
    """A mine sells to a plant, to a shop that takes 2 of the plant's and 3 of the mine's, and to customers itself."""
    data: dict[str, Any] = {
        "name": "both",
        "replenishment": "quantity",
        "companies": [{"name": n, "initial_on_hand": 100, "unit_cost": c} for n, c in (("mine", 1), ("plant", 2))]
        + [{"name": "shop", "initial_on_hand": 100, "unit_cost": 4}],
        "supply_links": [{"buyer": "mine", "price": 0.5}],
        "trade_links": [
            {"seller": "mine", "buyer": "plant", "bom": 4, "price": 9},
            {"seller": "mine", "buyer": "shop", "bom": 3, "price": 9},
            {"seller": "plant", "buyer": "shop", "bom": 2, "price": 99},
        ],
        "market_links": [{"seller": "mine", "market": "town"}, {"seller": "shop", "market": "town"}],
        "markets": [{"name": "town", "demand": {"process": "constant", "mean": 20}}],
    }
    t = orders_of(data, np.zeros((3, 1)), 20.0)
    assert t.flows is not None
    assert t.books is not None
    flows, books = total(t.flows), total(t.books)
    # 10 units of the mine and 10 of the shop, in which there are 20 of the plant and 30 + 80 more of the mine.
    assert delivered_units(t.network, flows)[:, 0] == pytest.approx([120, 20, 10])
    assert ledger(t.network, flows, books)["value_adding"][:, 0] == pytest.approx([120 * 1.5, 20 * 2, 10 * 4])
    assert t.network.company.standard_cost[:, 0] == pytest.approx([1.5, 8, 4.5 + 16 + 4])
    assert t.network.company.book_cost[:, 0] == pytest.approx([1.5, 38, 27 + 198 + 4])


@pytest.mark.parametrize("backend", [b for b in BACKENDS if b != "numpy"])
@pytest.mark.parametrize("seed", range(4))
def test_both_libraries_keep_the_same_books(backend: str, seed: int) -> None:
    """Seen to fail: with spoiled units left in the books of one."""
    network = build(random_scenario(9, seed).changed(accounting="accrual"))
    luck, other = draw(network, seed, 2, 30), network.to(backend)
    tape = Luck(*(None if x is None else as_array(x, other.company.unit_cost) for x in luck))
    a, b = (simulate(net, random_policy(net), drawn) for net, drawn in ((network, luck), (other, tape)))
    assert a.books is not None
    assert b.books is not None
    assert a.flows is not None
    assert b.flows is not None
    scale = moved(a)
    for name in ("cash_profit", "profit", "network_stock_change", "lost_sales", "waiting"):
        close(as_numpy(getattr(b.books, name)), getattr(a.books, name), scale)
    for measure in (unrealised_profit, end_customer_value):
        close(as_numpy(measure(other, b.books)), measure(network, a.books), scale)
    ours, theirs = (at(a.flows, 7), at(a.books, 7)), (at(b.flows, 7), at(b.books, 7))
    close(as_numpy(delivered_units(other, theirs[0])), delivered_units(network, ours[0]), scale)
    for kind, cost in ledger(network, *ours).items():
        close(as_numpy(ledger(other, *theirs)[kind]), cost, scale)
    close(as_numpy(stock_change(other, *theirs)), stock_change(network, *ours), scale)


# --- by hand ---------------------------------------------------------------------------------------------------------

PERIODS = 10


def shop(
    stock: float, price: float = 3.0, sold_at: float = 10.0, holding: float = 0.25, **company: Any
) -> dict[str, Any]:
    """One company that makes units at 2 of inputs that come a period later, and sells 4 a period."""
    return {
        "name": "shop",
        "replenishment": "quantity",
        "companies": [{"name": "shop", "holding_cost": holding, "initial_on_hand": stock} | company],
        "supply_links": [{"buyer": "shop", "lead_time": 1, "price": price, "transit_holding_cost": 0.125}],
        "market_links": [{"seller": "shop", "market": "town", "price": sold_at, "value": sold_at, "waiting_cost": 50}],
        "markets": [{"name": "town", "demand": {"process": "constant", "mean": 4}}],
    }


def orders_of(data: dict[str, Any], orders: np.ndarray, demand: float = 4.0) -> Trajectory:
    """An episode of given orders (companies, periods), in units to make."""
    network = build(load_scenario(data))
    luck = from_demand(network, np.full((orders.shape[1] + 1, 1, 1), demand))
    return simulate(network, lambda net, state, t: no_effort(net, orders[:, t : t + 1]), luck, record=EVERYTHING)


def late(first: float, periods: int, periods_in_all: int = PERIODS) -> np.ndarray:
    """Orders of `first` a period that begin after so many."""
    return np.where(np.arange(periods_in_all) < periods, 0.0, first)


def value_of(t: Trajectory) -> float:
    assert t.books is not None
    return float(end_customer_value(t.network, t.books).sum())


def profit_of(t: Trajectory) -> np.ndarray:
    assert t.books is not None
    return t.books.profit.sum(axis=0)[:, 0]


def test_a_company_that_sells_off_its_stock_gains_what_it_need_not_hold() -> None:
    """12 of stock, 4 sold a period: without three orders 8, 4 and then 0 are left, from the second period on.

    120 − (12 + 8 + 4) = 96 less in stock at 0.25, and 3 · 4 less on the way at 0.125, are all that is gained; in cash
    it seems to be 12 · (3 + 2) more, for what was neither bought nor made. Seen to fail: with conversion
    booked at one and a half of unit cost; with cash accounting always.
    """
    data = shop(stock=12, unit_cost=2.0)
    saved = 96 * 0.25 + 12 * 0.125
    for how, sold_off in (("accrual", 0.0), ("cash", 12 * (3 + 2))):
        steady, selling = (orders_of(data | {"accounting": how}, late(4, n)[None]) for n in (0, 3))
        for t in (steady, selling):
            assert t.states is not None
            assert not (t.final.backlog - 4).any()  # nobody waits
        assert steady.final.on_hand[0, 0] == 12
        assert selling.final.on_hand[0, 0] == 0
        assert value_of(selling) - value_of(steady) == pytest.approx(saved + sold_off, rel=1e-12)
        assert profit_of(selling) - profit_of(steady) == pytest.approx([saved + sold_off], rel=1e-12)


def test_a_chain_that_sells_off_its_stock_gains_what_it_need_not_hold() -> None:
    """A maker with a margin of 6 on a unit, and a shop that takes two of them; each has stock for three, two periods.

    The shop orders nothing for three periods, the maker sells nothing then and needs nothing for five. The maker's
    margin on 24 units that the shop takes from its own stock is not earned again; the network earns it anyway, because
    in its books there is no margin in stock. Seen to fail: with stocks of the network at what companies pay.
    """
    data = shop(stock=12, unit_cost=2.0)
    data["companies"].insert(0, {"name": "maker", "unit_cost": 1.0, "holding_cost": 0.5, "initial_on_hand": 16})
    data["supply_links"][0]["buyer"] = "maker"
    link = {"seller": "maker", "buyer": "shop", "bom": 2, "price": 10.0, "transit_holding_cost": 0.75}
    data["trade_links"] = [link]
    # Stock of the maker: 16 a period, or 24, 24, 24, 16, 8 and then none; its inputs on the way: five times 8 less.
    maker, its_way = (160 - (3 * 24 + 16 + 8)) * 0.5, 40 * 0.125
    own, way = 96 * 0.25, 3 * 8 * 0.75
    for how, sold_off in (("accrual", 0.0), ("cash", 40 * (3 + 1) + 12 * 2)):
        orders = [np.stack([late(8, a), late(4, b)]) for a, b in ((0, 0), (5, 3))]
        steady, selling = (orders_of(data | {"accounting": how}, x) for x in orders)
        assert steady.final.on_hand[:, 0].tolist() == [16, 12]
        assert selling.final.on_hand[:, 0].tolist() == [0, 0]
        gained = profit_of(selling) - profit_of(steady)
        assert value_of(selling) - value_of(steady) == pytest.approx(maker + its_way + own + way + sold_off, rel=1e-12)
        assert selling.books is not None
        unrealised = float(unrealised_profit(selling.network, selling.books).sum())
        if how == "accrual":
            assert gained == pytest.approx([maker + its_way - 24 * (10 - 4), own + way], rel=1e-12)
            assert unrealised == pytest.approx(-24 * (10 - 4), rel=1e-12)  # it came out of stock
        else:
            assert gained == pytest.approx([maker + its_way - 24 * 10 + 40 * 4, own + way + 12 * (20 + 2)], rel=1e-12)
            assert unrealised == 0.0


def test_who_makes_less_wastes_less() -> None:
    """With waste a sell-off gains more than holding, and accrual gives none of it back: why what counts ends early.

    A fifth is scrapped, so that 5 are started for 4, each with an excess of 1 on a unit cost of 2, and freight of 0.5.
    Three orders less are 15 units less started and 3 less scrapped, at a book cost of 5. Seen to fail: with scrapped
    units left in the books; with excess conversion booked into stock.
    """
    data = shop(stock=12, unit_cost=2.0, defect_rate=0.2)
    data["supply_links"][0]["freight"] = 0.5
    data["wastes"] = [{"name": "rework", "channel": "unit_cost", "size": 0.5}]
    for how, sold_off in (("accrual", 0.0), ("cash", 12 * 5)):
        steady, selling = (orders_of(data | {"accounting": how}, late(5, n)[None]) for n in (0, 3))
        assert selling.flows is not None
        assert steady.flows is not None
        assert steady.flows.started.sum() - selling.flows.started.sum() == 15
        saved = 96 * 0.25 + 15 * 0.125 + 15 * 1.0 + 3 * 5 + 15 * 0.5
        assert value_of(selling) - value_of(steady) == pytest.approx(saved + sold_off, rel=1e-12)


ORDERS = st.lists(st.integers(0, 12), min_size=6, max_size=6)


@slowly
@given(one=ORDERS, other=ORDERS)
def test_accrual_is_a_potential(one: list[int], other: list[int]) -> None:
    """Of two ways to the same stocks accrued and cash totals differ by the same (Ng, Harada & Russell 1999).

    What is left spoils within the period, so that any orders lead there if the last are alike, whatever is made,
    scrapped, sold and spoiled on the way. Seen to fail: with spoiled units left in the books.
    """
    data = shop(stock=40, unit_cost=2.0, defect_rate=0.25, spoilage=1.0)
    for orders in (one, other):
        t = orders_of(data, np.array([[*orders, 0.0, 4.0]]))
        assert t.books is not None
        assert t.final.on_hand[0, 0] == 0.0
        cash = float(t.books.cash_profit.sum()) + float(t.books.customers.sum())
        # 40 units at 2 + 3, and the flow of 4 / 0.75 at 3 on the way, against 4 on the way.
        assert value_of(t) - cash == pytest.approx(3 * 4 - (40 * 5 + 3 * 4 / 0.75), rel=1e-12)


def test_bankruptcy_looks_at_cash() -> None:
    """A shop that buys 100 at 3 for its stock earns, and cannot pay; one that sells below what a unit cost it can.

    It starts the 4 that come, and pays 300 for what it orders. Accrued: 4 · (10 − 3), less holding of 0.25 · 12 and
    0.125 · 100. The other sells 4 at 10 that cost 30 each, and holds 12. Seen to fail: with cash that takes up accrued
    profit.
    """
    buying = orders_of(shop(stock=12, credit_limit=50.0), np.array([[100.0]]))
    assert buying.books is not None
    assert buying.books.profit[0, 0, 0] == pytest.approx(4 * 7 - 3 - 12.5)
    assert buying.final.cash[0, 0] == pytest.approx(40 - 300 - 3 - 12.5)
    assert buying.final.alive[0, 0] == 0.0
    below = orders_of(shop(stock=12, price=30.0, credit_limit=50.0), np.array([[0.0]]))
    assert below.books is not None
    assert below.books.profit[0, 0, 0] == pytest.approx(4 * (10 - 30) - 3)
    assert below.final.cash[0, 0] == pytest.approx(40 - 3)
    assert below.final.alive[0, 0] == 1.0
