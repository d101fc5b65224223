"""Laws that every network keeps in every period: nothing appears or vanishes, in units or in money."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import EVERYTHING, episode, random_policy, random_scenario

from kaizen_env import BatchEnv, Scenario, build, draw, simulate
from kaizen_env.arrays import as_array, as_numpy, gather, segment_sum
from kaizen_env.dynamics import Books, Decisions, Flows, end_customer_value, initial_state, step
from kaizen_env.ledger import KINDS, ledger, total_cost
from kaizen_env.simulation import Trajectory

any_network = given(companies=st.integers(1, 30), seed=st.integers(0, 10**6))
slowly = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)


def close(a: np.ndarray, b: np.ndarray, scale: float = 1.0, rel: float = 1e-9) -> None:
    np.testing.assert_allclose(a, b, rtol=rel, atol=rel * max(scale, 1.0))


def closing(trajectory: Trajectory, name: str) -> np.ndarray:
    """A field of the state at the end of every period."""
    assert trajectory.states is not None
    return np.concatenate((getattr(trajectory.states, name)[1:], getattr(trajectory.final, name)[None]))


def by_company(values: np.ndarray, segments: object) -> np.ndarray:
    return np.stack([segment_sum(v, segments) for v in values])  # type: ignore[arg-type]


@slowly
@any_network
def test_units_are_conserved_per_company_and_link(companies: int, seed: int) -> None:
    """In = out + change in stock + scrapped + spoiled + lost, for each stock of the model.

    Seen to fail: with `left * (1 - spoilage)` kept but `spoiled` not booked; with `transit[1:]` cut at its last slot.
    """
    t = episode(companies, seed)
    net, s, f = t.network, t.states, t.flows
    assert s is not None
    assert f is not None
    scale = float(max(s.on_hand.max(), s.inputs.max(), s.backlog.max()))
    started = f.started[:, net.purchase.buyer]
    close(closing(t, "inputs"), s.inputs + f.received - net.purchase.bom * started, scale)
    good = f.started - f.scrapped
    close(closing(t, "work_in_process").sum(axis=1), s.work_in_process.sum(axis=1) + good - f.finished, scale)
    sent = by_company(f.shipped, net.sale.by_seller)
    close(closing(t, "on_hand"), s.on_hand + f.finished - sent - f.spoiled, scale)
    close(closing(t, "in_transit").sum(axis=1), s.in_transit.sum(axis=1) + f.dispatched - f.received, scale)
    close(closing(t, "backlog"), s.backlog + f.arrivals - f.shipped - f.lost, scale)
    due = f.arrivals[:, _index(net.trade.sale, net.sales)]
    close(closing(t, "orders_in_mail").sum(axis=1), s.orders_in_mail.sum(axis=1) + f.placed - due, scale)
    traded = f.dispatched[:, _index(net.purchase.trade, net.purchases)]
    close(traded, f.shipped[:, _index(net.trade.sale, net.sales)], scale)


def _index(index: np.ndarray | None, rows: int) -> np.ndarray:
    return np.arange(rows) if index is None else index


@slowly
@any_network
def test_nothing_is_negative_infinite_or_not_a_number(companies: int, seed: int) -> None:
    """Seen to fail: with stock left after shipping not kept from falling below 0 by rounding."""
    t = episode(companies, seed)
    assert t.states is not None
    assert t.flows is not None
    for record in (t.states, t.final, t.flows, t.books):
        for name, field in zip(record._fields, record, strict=True):  # type: ignore[union-attr]
            assert np.isfinite(field).all(), name
    for record in (t.states, t.final, t.flows):
        for name, field in zip(record._fields, record, strict=True):
            if name not in ("cash", "experience"):
                assert (field >= 0).all(), name
    for name in ("waste", "link_waste", "culture"):
        assert (getattr(t.states, name) <= 1 + 1e-12).all()


@slowly
@any_network
def test_transfers_cancel(companies: int, seed: int) -> None:
    """End-customer value is value delivered minus real resources: prices, penalties, fees, contracts drop out.

    Seen to fail: with the penalty of trade links not passed on to the waiting buyer; with what waiting costs a buyer
    borne by nobody; with a gain share paid by nobody.
    """
    t = episode(companies, seed)
    net, flows, books = t.network, t.flows, t.books
    assert flows is not None
    assert books is not None
    value = end_customer_value(net, books)
    for p in range(len(value)):
        now = Books(*(field[p] for field in books))
        real = now.value.sum(axis=0) - total_cost(net, Flows(*(field[p] for field in flows)), now).sum(axis=0)
        moved = sum(float(np.abs(x).sum()) for x in now)
        close(value[p], real, moved, rel=1e-12)


@slowly
@any_network
def test_prices_penalties_and_contracts_move_money_but_not_value(companies: int, seed: int) -> None:
    """The same episode with all prices within the network raised is worth the same to the network.

    Seen to fail: with the price of a trade link charged to the buyer but not earned by the seller.
    """
    scenario = random_scenario(companies, seed).changed(contracts={})
    companies_that_live = [c.model_copy(update={"credit_limit": None}) for c in scenario.companies]
    scenario = scenario.changed(companies=companies_that_live)
    dearer = scenario.changed(
        trade_links=[
            k.model_copy(update={"price": k.price + 3, "penalty": (k.penalty + 1) * (k.unfilled == "backlog")})
            for k in scenario.trade_links
        ],
        platform_fee=scenario.platform_fee + 2,
    )
    values = []
    for each in (scenario, dearer):
        net = build(each)
        t = simulate(net, random_policy(net), draw(net, seed, 2, 20))
        assert t.books is not None
        values.append(end_customer_value(net, t.books))
    close(values[0], values[1], float(np.abs(values[0]).max()))


@slowly
@any_network
def test_ledger_sums_to_total_cost(companies: int, seed: int) -> None:
    """Every real cost is booked once, per company. Seen to fail: with the link freight booked at the seller."""
    t = episode(companies, seed)
    assert t.flows is not None
    assert t.books is not None
    flows, books = Flows(*(x.sum(axis=0) for x in t.flows)), Books(*(x.sum(axis=0) for x in t.books))
    booked = ledger(t.network, flows, books)
    assert tuple(booked) == KINDS
    total = total_cost(t.network, flows, books)
    close(sum(booked.values()), total, float(np.abs(total).max()))  # type: ignore[arg-type]


@slowly
@given(companies=st.integers(1, 12), seed=st.integers(0, 10**6))
def test_a_batch_is_its_worlds_run_alone(companies: int, seed: int) -> None:
    """World b of a batch has the luck of world b to the last bit, and its results to 1e-10.

    Seen to fail: with one random generator shared by the worlds of a batch.
    """
    network = build(random_scenario(companies, seed))
    together = draw(network, seed, 4, 30)
    batch = simulate(network, random_policy(network), together, record=EVERYTHING)
    for world in (0, 3):
        luck = draw(network, seed, [world], 30)
        np.testing.assert_array_equal(luck.demand[:, :, 0], together.demand[:, :, world])
        alone = simulate(network, random_policy(network, worlds=[world]), luck, record=EVERYTHING)
        for record in ("states", "flows", "books"):
            for a, b in zip(getattr(alone, record), getattr(batch, record), strict=True):
                close(a[..., 0], b[..., world], float(np.abs(b).max()) if b.size else 1.0, rel=1e-10)


@slowly
@given(companies=st.integers(1, 12), seed=st.integers(0, 10**6))
def test_arguments_stay_untouched(companies: int, seed: int) -> None:
    """A period writes into nothing it was given. Seen to fail: with `state.on_hand += finished` in the step."""
    network = build(random_scenario(companies, seed))
    luck = draw(network, seed, 2, 3)
    state = initial_state(network, luck.demand[0])
    decisions = random_policy(network)(network, state, 0)
    given_things = (*state, *decisions, *(x for x in luck if x is not None))
    before = [x.copy() for x in given_things]
    for x in given_things:
        x.flags.writeable = False
    step(network, state, decisions, luck.period(0))
    for x, copy in zip(given_things, before, strict=True):
        np.testing.assert_array_equal(x, copy)


def test_a_dead_company_makes_ships_and_improves_nothing() -> None:
    """Seen to fail: with production not multiplied by `alive`."""
    found = 0
    for seed in range(40):
        t = episode(8, seed, periods=30)
        assert t.states is not None
        assert t.flows is not None
        assert t.books is not None
        alive = t.states.alive
        assert (np.diff(alive, axis=0) <= 0).all()
        dead = alive == 0
        found += int(dead.sum())
        for flow in (t.flows.started, t.flows.ordered, by_company(t.flows.shipped, t.network.sale.by_seller)):
            assert (flow[dead] == 0).all()
        assert (t.books.effort[dead] == 0).all()
    assert found > 100


ORDERS = [
    ("quantity", "simultaneous"),
    ("order_up_to", "simultaneous"),
    ("order_up_to", "cascade"),
    ("echelon_order_up_to", "simultaneous"),
    ("echelon_order_up_to", "cascade"),
]
BACKENDS = [
    "numpy",
    pytest.param("torch", marks=pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs PyTorch")),
]


def mortal_scenario(companies: int, seed: int, orders: tuple[str, str]) -> Scenario:
    """A random scenario in which every company can go bankrupt, with one way to order."""
    scenario = random_scenario(companies, seed)
    limited = [c.model_copy(update={"credit_limit": 50.0}) for c in scenario.companies]
    return scenario.changed(companies=limited, replenishment=orders[0], ordering=orders[1])


def same_bits(a: Any, b: Any) -> None:
    """Two records agree in every bit of every field."""
    for name, one, other in zip(a._fields, a, b, strict=True):
        assert as_numpy(one).tobytes() == as_numpy(other).tobytes(), f"{type(a).__name__}.{name}"


@pytest.mark.parametrize("backend", BACKENDS)
@slowly
@given(
    companies=st.integers(1, 15),
    seed=st.integers(0, 10**6),
    orders=st.sampled_from(ORDERS),
    largest=st.sampled_from([1.0, 1e3, 1e300]),
)
def test_the_decision_of_a_dead_company_changes_nothing(
    backend: str, companies: int, seed: int, orders: tuple[str, str], largest: float
) -> None:
    """Order, effort and openness of the dead leave every bit of the next state, the flows and the books as it is.

    Companies that are dead from the start, in some worlds, and those that go bankrupt on the way.
    Seen to fail: with `alive` applied after the passes of cascade ordering only; with the sum of efforts not multiplied
    by `alive`; with the twins of the dead opened.
    """
    network = build(mortal_scenario(companies, seed, orders)).to(backend)
    rng, worlds, periods = np.random.default_rng(seed), 3, 6
    like = network.company.unit_cost
    luck = draw(network, seed, worlds, periods)
    luck = luck._replace(**{name: as_array(x, like) for name, x in luck._asdict().items() if x is not None})
    dead = rng.random((companies, worlds)) < 0.3
    dead[rng.integers(companies), 0] = True
    state = initial_state(network, luck.demand[0])
    state = state._replace(alive=as_array(np.where(dead, 0.0, 1.0), like))
    decide = random_policy(network)
    for t in range(periods):
        decisions = decide(network, state, t)
        gone = as_numpy(state.alive) == 0
        other = Decisions(
            *(as_array(np.where(gone, rng.uniform(0.0, largest, x.shape), as_numpy(x)), like) for x in decisions)
        )
        base = step(network, state, decisions, luck.period(t))
        for ours, theirs in zip(base, step(network, state, other, luck.period(t)), strict=True):
            same_bits(ours, theirs)
        state = base[0]


@slowly
@given(
    companies=st.integers(2, 12),
    seed=st.integers(0, 10**6),
    orders=st.sampled_from(ORDERS),
    regime=st.sampled_from([{"twin": "members"}, {"twin": "echelon"}, {"twin": "network", "control": "planner"}]),
)
def test_the_action_of_a_dead_agent_changes_nothing(
    companies: int, seed: int, orders: tuple[str, str], regime: dict[str, str]
) -> None:
    """Observations, rewards, endings and infos of an environment stay as they are, whatever a dead agent does.

    Seen to fail: with `alive` applied after the passes of cascade ordering only (rewards of the living); with the
    clipped actions of the dead counted.
    """
    if orders[0] == "echelon_order_up_to" and regime["twin"] == "members":
        regime = {"twin": "echelon"}
    env = BatchEnv(mortal_scenario(companies, seed, orders), regime, 2, auto_reset=False)
    env.reset(seed=seed)
    rng = np.random.default_rng(seed)
    alive = np.ones((companies, 2))
    alive[rng.integers(companies)] = 0.0
    env.state = env.state._replace(alive=alive)
    for _ in range(min(env.horizon, 6)):
        gone = env.state.alive.T[..., None] == 0
        actions = rng.uniform(-1.0, 1.0, (2, companies, len(env.action_names)))
        twin = env.copy()
        theirs = twin.step(np.where(gone, rng.uniform(-3.0, 3.0, actions.shape), actions))
        ours = env.step(actions)
        for one, other in zip(ours[:4], theirs[:4], strict=True):
            assert one.tobytes() == other.tobytes()
        for name, one in ours[4].items():
            assert one.tobytes() == theirs[4][name].tobytes(), name
        same_bits(env.state, twin.state)


def test_a_changed_order_moves_only_what_it_can_reach() -> None:
    """An order of one company changes, within its period, its own purchases and its suppliers' backlogs alone.

    Seen to fail: with `spread` reading the rows of the previous company.
    """
    network = build(random_scenario(12, 3).changed(replenishment="quantity"))
    luck = draw(network, 1, 1, 2)
    state = initial_state(network, luck.demand[0])
    decisions = random_policy(network)(network, state, 0)
    for i in range(network.companies):
        order = decisions.order.copy()
        order[i] += 5.0
        _, base, _ = step(network, state, decisions, luck.period(0))
        _, other, _ = step(network, state, decisions._replace(order=order), luck.period(0))
        assert set(np.flatnonzero((other.ordered != base.ordered).any(axis=1))) == {i}
        placed = np.flatnonzero((other.placed != base.placed).any(axis=1))
        assert set(placed) == set(np.flatnonzero(network.trade.buyer == i))
        supplied = np.flatnonzero((other.supplied != base.supplied).any(axis=1))
        buyers = network.purchase.buyer[_index(network.purchase.supply, network.purchases)]
        assert set(supplied) == set(np.flatnonzero(buyers == i))


@pytest.mark.parametrize("allocation", ["proportional", "priority"])
def test_a_short_seller_ships_all_it_has(allocation: str) -> None:
    """Seen to fail: with the proportional fill computed from the unshared backlog of each link."""
    for seed in range(10):
        scenario = random_scenario(10, seed).changed(allocation=allocation, disruptions=[])
        network = build(scenario)
        t = simulate(network, random_policy(network), draw(network, seed, 2, 30))
        assert t.states is not None
        assert t.flows is not None
        offered = (t.states.on_hand + t.flows.finished) * t.states.alive
        at_once = np.zeros_like(t.flows.arrivals)
        at_once[:, _index(network.trade.sale, network.sales)] = network.trade.mail[0] * t.flows.placed
        wanted = by_company(t.states.backlog + at_once, network.sale.by_seller)
        shipped = by_company(t.flows.shipped, network.sale.by_seller)
        close(shipped, np.minimum(offered, wanted), float(wanted.max()))


def test_gather_of_the_identity_is_no_copy() -> None:
    values = np.arange(3.0)
    assert gather(values, None) is values


@slowly
@any_network
def test_a_fee_that_changes_moves_money_and_no_value(companies: int, seed: int) -> None:
    """A platform that asks for anything, of companies that open, close and die: fees cancel, the closed pay none.

    Seen to fail: with the fee of closed twins; with a fee that nobody pays.
    """
    scenario, ordering = random_scenario(companies, seed), {"replenishment": "order_up_to"}
    env = BatchEnv(scenario, {"twin": "members"}, 2, auto_reset=False, platform=1e3, **ordering)
    env.reset(seed=seed)
    rng = np.random.default_rng(seed)
    for _ in range(min(env.horizon, 12)):
        actions = rng.uniform(-1.0, 1.0, (2, env.companies, len(env.action_names)))
        before, fee = env.state, rng.uniform(-1.0, 1.0, 2)
        env.step(actions, fee)
        net, flows, books = env.network, env.flows, env.books
        assert flows is not None
        assert books is not None
        moved = sum(float(np.abs(x).sum()) for x in books)
        real = books.value.sum(axis=0) - total_cost(net, flows, books).sum(axis=0)
        close(end_customer_value(net, books), real, moved, rel=1e-12)
        close(books.fee, 0.5 * (fee + 1.0) * env.highest_fee * before.open_twin, moved, rel=1e-12)
        assert (books.fee[before.open_twin == 0] == 0).all()
        assert (books.fee[before.alive == 0] == 0).all()
