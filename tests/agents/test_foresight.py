"""What foresight is worth: the linear programme against the simulation and by hand, and what gradients reach."""

from __future__ import annotations

import itertools
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.foresight import Reach, foresight
from agents.linear_programme import VARIABLES, LinearBound, NoBound, Programme, linear_bound, programme, solve
from agents.loading import make_policy
from agents.rollout import run
from kaizen_env import Network, Scenario, build, draw, load_scenario, simulate
from kaizen_env.dynamics import Decisions, end_customer_value
from kaizen_env.luck import Luck, from_demand
from kaizen_env.simulation import Trajectory, no_effort

networks = runpy.run_path(str(Path(__file__).parents[1] / "networks.py"))  # of the laws, one folder up
random_policy, random_scenario, EVERYTHING = (networks[n] for n in ("random_policy", "random_scenario", "EVERYTHING"))

# Random networks have contracts of every kind.
pytestmark = pytest.mark.filterwarnings("ignore::kaizen_env.errors.ContractWarning")
REFERENCE = "beer_game.json"
PERIODS, WORLDS = 17, 2
EXACT = 1e-9  # relative to the largest number at hand; the simulation and the programme round differently
SOLVED = 1e-7  # relative; to which HiGHS solves


def linear(companies: int, seed: int, **changes: Any) -> Scenario:
    """A random network with every feature but demand that answers to experience, and bankruptcy."""
    fields = random_scenario(companies, seed).model_dump(mode="json") | {"replenishment": "quantity"} | changes
    for market in fields["markets"]:
        market |= {"choice": "fixed", "goodwill": 0}
    for company in fields["companies"]:
        company["credit_limit"] = None
    for link, waiting in zip(fields["trade_links"], itertools.cycle((0.0, 0.7)), strict=False):
        if link["unfilled"] == "backlog":
            link["waiting_cost"] = waiting
    for disruption in fields["disruptions"]:
        disruption["remaining"] = (0.0, 0.3)[seed % 2]
    return load_scenario(fields)


def total(played: Trajectory) -> np.ndarray:
    """End-customer value over the episode (worlds,)."""
    assert played.books is not None
    return end_customer_value(played.network, played.books).sum(axis=0)


def point(played: Trajectory, world: int) -> np.ndarray:
    """What happened, as a point of the programme."""
    flows, states, network = played.flows, played.states, played.network
    assert flows is not None
    assert states is not None
    closing = {name: np.concatenate([getattr(states, name)[1:], getattr(played.final, name)[None]]) for name in STOCKS}
    at_once = np.zeros_like(flows.shipped)
    at_once[:, network.trade.sale] = network.trade.mail[0] * flows.placed
    values = {
        "ordered": flows.ordered,
        "started": flows.started,
        "shipped": flows.shipped,
        "left": closing["on_hand"] + flows.spoiled,
        "unfilled": states.backlog + at_once - flows.shipped,
        "inputs": closing["inputs"],
    }
    return np.concatenate([values[name][..., world].ravel() for name in VARIABLES])


STOCKS = ("on_hand", "inputs")


def check_feasible(found: Programme, x: np.ndarray) -> None:
    close = EXACT * max(1.0, float(np.abs(x).max()))
    assert np.abs(found.equal @ x - found.right).max() < close
    assert (found.below @ x <= found.limit + close).all()
    assert ((x >= found.least - close) & (x <= found.most + close)).all()


@pytest.mark.parametrize("companies, seed", [(n, s) for n in (1, 2, 3, 6) for s in range(6)])
def test_what_the_simulation_does_is_feasible_and_worth_the_same(companies: int, seed: int) -> None:
    network = build(linear(companies, seed))
    luck = draw(network, seed, WORLDS, PERIODS)
    played = simulate(network, random_policy(network, seed), luck, record=EVERYTHING)
    for world in range(WORLDS):
        found = programme(network, luck, world, played.decisions)
        x = point(played, world)
        check_feasible(found, x)
        value = float(total(played)[world])
        assert found.gain @ x + found.constant == pytest.approx(value, rel=EXACT, abs=EXACT)
        best, solution = solve(found)
        assert best >= value - SOLVED * max(1.0, abs(value))
        assert found.gain @ solution + found.constant == pytest.approx(best, rel=SOLVED, abs=SOLVED)


def test_every_feature_is_in_some_network_of_the_test_before() -> None:
    drawn = [build(linear(n, s)) for n in (1, 2, 3, 6) for s in range(6)]
    assert any(n.process_slots > 1 for n in drawn)
    assert any(n.mail_slots for n in drawn)
    assert any(n.instant_supply for n in drawn)
    assert any((n.company.spoilage > 0).any() and (n.sale.kept == 0).any() and (n.sale.kept == 1).any() for n in drawn)
    assert any(np.isfinite(n.company.capacity).any() and (n.company.defect_rate > 0).any() for n in drawn)
    assert any((n.purchase.bom != 1).any() and n.transit_split is None for n in drawn)
    tapes = [draw(n, s, WORLDS, PERIODS) for n, s in zip(drawn, itertools.cycle(range(6)), strict=False)]
    shares = [tape.passage for tape in tapes if tape.passage is not None]
    assert any((s == 0).any() for s in shares)
    assert any(((s > 0) & (s < 1)).any() for s in shares)
    assert any(tape.capacity is not None and (tape.capacity < 1).any() for tape in tapes)


@pytest.mark.parametrize("seed", range(3))
def test_a_network_in_which_companies_go_bankrupt_stays_below_the_bound(seed: int) -> None:
    fields = linear(3, seed).model_dump(mode="json")
    for company in fields["companies"]:
        company["credit_limit"] = 5.0
    network = build(load_scenario(fields))
    luck = draw(network, seed, WORLDS, PERIODS)
    size = network.company.throughput

    def policy(network: Network, state: Any, t: int) -> Decisions:
        return no_effort(network, size * np.random.default_rng([seed, t]).random((3, WORLDS)) * 2.0)

    played = simulate(network, policy, luck, record=EVERYTHING)
    assert (played.final.alive == 0).any()
    for world in range(WORLDS):
        check_feasible(programme(network, luck, world), point(played, world))
    bound = linear_bound(network, luck).bound
    assert (bound >= total(played) - SOLVED * np.abs(bound)).all()


def test_no_order_up_to_level_beats_the_bound() -> None:
    network = build(load_scenario("serial"))
    luck = draw(network, 3, 4)
    bound = linear_bound(network, luck).bound
    best = np.full(4, -np.inf)
    for more in np.linspace(-2.0, 4.0, 7):
        levels = np.array([[6.49], [5.53], [10.69]]) + more + np.zeros((3, 4))
        best = np.maximum(best, total(simulate(network, lambda net, state, t, to=levels: no_effort(net, to), luck)))
    assert (best < bound).all()


def test_a_world_has_the_bound_that_it_has_alone() -> None:
    network = build(linear(3, 2))
    luck = draw(network, 5, 3, PERIODS)
    together = linear_bound(network, luck)
    assert together.orders.shape == (PERIODS, 3, 3)
    for world in range(3):
        alone = linear_bound(network, draw(network, 5, [world], PERIODS))
        np.testing.assert_allclose(alone.bound[0], together.bound[world], rtol=SOLVED)
    assert len(set(together.bound.round(6))) == 3


# --- by hand ---------------------------------------------------------------------------------------------------------


def shop(demand: list[float], initial: float = 0.0, **company: Any) -> tuple[Network, Luck]:
    """One company: resources 1, freight 0.5, value 10, waiting 2, holding 0.25 per unit; goods come after 2 periods."""
    fields: dict[str, Any] = {
        "name": "shop",
        "replenishment": "quantity",
        "initial_pipelines": "empty",
        "companies": [{"name": "shop", "holding_cost": 0.25} | company],
        "supply_links": [{"buyer": "shop", "lead_time": 2, "price": 1, "freight": 0.5, "initial_inputs": initial}],
        "market_links": [{"seller": "shop", "market": "street", "price": 7, "value": 10, "waiting_cost": 2}],
        "markets": [{"name": "street", "demand": {"process": "constant", "mean": 4}}],
    }
    network = build(load_scenario(fields))
    return network, from_demand(network, np.reshape([*demand, 0.0], (-1, 1, 1)))


def played(network: Network, luck: Luck, found: LinearBound) -> np.ndarray:
    """Value of the orders that the programme places, when they are played."""
    return total(simulate(network, lambda net, state, t: no_effort(net, found.orders[t]), luck))


def test_a_shop_that_knows_its_demand_delivers_as_soon_as_goods_can_come() -> None:
    network, luck = shop([5.0, 3.0, 0.0, 4.0, 1.0, 7.0])
    found = linear_bound(network, luck)
    # Goods come from period 2 on, so 5 wait once and 8 once more; all 20 are served in the end, at 1.5 each.
    assert found.bound[0] == pytest.approx(10 * 20 - 1.5 * 20 - 2 * (5 + 8))
    np.testing.assert_allclose(found.orders[:, 0, 0], [8, 4, 1, 7, 0, 0], atol=1e-9)
    np.testing.assert_allclose(played(network, luck, found), found.bound)


def test_a_shop_with_little_capacity_makes_ahead_of_a_peak() -> None:
    network, luck = shop([0.0, 0.0, 0.0, 0.0, 9.0, 0.0], capacity=4, unit_cost=1.0)
    found = linear_bound(network, luck)
    # Made in periods 2, 3 and 4: 1 held two closings, 4 held one; conversion costs 1 more than before.
    assert found.bound[0] == pytest.approx(10 * 9 - 2.5 * 9 - 0.25 * (1 + 5))
    np.testing.assert_allclose(played(network, luck, found), found.bound)


def test_a_shop_that_loses_capacity_makes_even_earlier() -> None:
    network, luck = shop([0.0, 0.0, 0.0, 0.0, 9.0, 0.0], capacity=4)
    luck = luck._replace(capacity=np.reshape([1.0, 1, 1, 0.5, 1, 1], (-1, 1, 1)))
    # 3, 2 and 4 are made in periods 2, 3 and 4.
    assert linear_bound(network, luck).bound[0] == pytest.approx(10 * 9 - 1.5 * 9 - 0.25 * (3 + 5))


def test_a_passage_half_closed_lets_half_of_the_stock_through() -> None:
    fields = two_stages() | {"initial_pipelines": "empty"}
    fields["companies"][0] |= {"initial_on_hand": 10, "holding_cost": 0}
    fields["companies"][1] |= {"initial_on_hand": 0}
    network = build(load_scenario(fields))
    luck = from_demand(network, np.reshape([0.0, 8.0, 0.0], (-1, 1, 1)))
    luck = luck._replace(passage=np.reshape([0.5, 1.0], (-1, 1, 1)))
    # To have 5 of the 10 sent, the shop must order 10: 5 wait for one period, at 0.1 each; 5 leave stock at cost 1.
    assert linear_bound(network, luck).bound[0] == pytest.approx((6 - 1) * 5 - 0.1 * 5)
    # With ten times the stock it may order 16 and have 8 sent, and 8 wait; or fewer: each costs 0.1 and is worth 5.
    fields["companies"][0]["initial_on_hand"] = 100
    assert linear_bound(build(load_scenario(fields)), luck).bound[0] == pytest.approx((6 - 1) * 8 - 0.1 * 8)
    fields["accounting"] = "cash"  # in which what was in stock at the start costs nothing
    assert linear_bound(build(load_scenario(fields)), luck).bound[0] == pytest.approx(6 * 8 - 0.1 * 8)


def test_what_lies_before_a_machine_must_be_made_whether_or_not_it_is_wanted() -> None:
    network, luck = shop([0.0] * 4, initial=7.0, capacity=3, unit_cost=1.0)
    # 3, 3 and 1 are made in periods 0, 1 and 2, and are held from then on; what making costs goes into stock.
    assert linear_bound(network, luck).bound[0] == pytest.approx(-0.25 * (3 + 6 + 7 + 7))
    network = build(network.scenario.changed(accounting="cash"))
    assert linear_bound(network, luck).bound[0] == pytest.approx(-7 - 0.25 * (3 + 6 + 7 + 7))


def two_stages() -> dict[str, Any]:
    """A maker and a shop that loses the sales it cannot serve."""
    return {
        "name": "two",
        "replenishment": "quantity",
        "initial_pipelines": "empty",
        "companies": [
            {"name": "maker", "holding_cost": 0.3, "initial_on_hand": 1},
            {"name": "shop", "holding_cost": 1, "initial_on_hand": 1},
        ],
        "supply_links": [{"buyer": "maker", "lead_time": 1, "price": 1}],
        "trade_links": [{"seller": "maker", "buyer": "shop", "transit_time": 1, "price": 2, "waiting_cost": 0.1}],
        "market_links": [{"seller": "shop", "market": "street", "value": 6, "unfilled": "lost"}],
        "markets": [{"name": "street", "demand": {"process": "constant", "mean": 1}}],
    }


def test_two_stages_reach_the_bound_by_the_best_of_all_orders() -> None:
    network = build(load_scenario(two_stages()))
    tape = np.reshape([1.0, 0, 2, 1, 2, 0, 1], (-1, 1, 1))
    periods = len(tape) - 1
    plans = np.array(list(itertools.product(range(3), repeat=2 * (periods - 2))), dtype=np.float64)
    orders = np.zeros((periods, 2, len(plans)))  # nothing ordered in the last two periods reaches a customer
    orders[:-2] = plans.T.reshape(periods - 2, 2, -1)
    many = from_demand(network, np.repeat(tape, len(plans), axis=-1))
    best = total(simulate(network, lambda net, state, t: no_effort(net, orders[t]), many, record=("books",))).max()
    assert linear_bound(network, from_demand(network, tape)).bound[0] == pytest.approx(best, rel=SOLVED)


def board(forced: int) -> Scenario:
    """The beer game, in which value is minus the cost of the four stages."""
    fields = load_scenario("beer_game").model_dump(mode="json") | {"forced_periods": forced}
    for link in (*fields["trade_links"], *fields["market_links"]):
        link["waiting_cost"] = 1.0
    return load_scenario(fields)


@pytest.mark.parametrize("forced", [0, 4])
def test_the_beer_game_has_the_known_bound(forced: int, reference: dict[str, Any]) -> None:
    network = build(board(forced))
    known = reference["results"][f"clairvoyant_lp_forced{forced}"]["total"]
    luck = draw(network, 0)
    found = linear_bound(network, luck)
    assert found.bound[0] == pytest.approx(-known, abs=1e-6)
    np.testing.assert_allclose(found.orders[:forced], 4.0)
    np.testing.assert_allclose(played(network, luck, found), found.bound, rtol=1e-9)


def test_no_order_is_larger_than_it_can_be() -> None:
    network, luck = shop([0.0, 0.0, 0.0, 0.0, 9.0, 0.0])
    tied = linear_bound(network, luck, largest=np.array([4.0]))
    assert tied.bound[0] == pytest.approx(10 * 9 - 1.5 * 9 - 0.25 * (1 + 5))  # as with little capacity
    np.testing.assert_allclose(tied.orders[:, 0, 0], [1, 4, 4, 0, 0, 0], atol=1e-9)


@pytest.mark.parametrize("what", ["goodwill", "logit", "bankrupt", "torch", "price"])
def test_what_would_be_no_bound_is_refused(what: str) -> None:
    fields = load_scenario(shop([0.0])[0].scenario).model_dump(mode="json")
    says = "goodwill"
    if what == "goodwill":
        fields["markets"][0]["goodwill"] = 0.5
    if what == "logit":
        fields["markets"][0] |= {"choice": "logit", "choice_sensitivity": 1.0}
    if what == "price":
        fields["supply_links"][0] |= {"price": -2.0, "freight": 0.0}
        fields["companies"][0]["holding_cost"] = 0.0
        fields["accounting"] = "cash"  # accrued, what is bought below nothing is worth as little in stock
        says = "without limit"
    if what == "bankrupt":
        fields |= {"forced_periods": 1}
        fields["companies"][0]["credit_limit"] = 3.0
        says = "credit_limit"
    network = build(load_scenario(fields))
    luck = draw(network, 0, 1, 4)
    if what == "torch":
        network, says = network.to("torch"), "torch"
    with pytest.raises(NoBound, match=says):
        linear_bound(network, luck)


# --- what is reached -------------------------------------------------------------------------------------------------


def test_foresight_meets_the_bound_in_serial_systems_and_the_beer_game() -> None:
    for scenario in ("serial", board(4)):
        found = foresight(scenario, "static", [3, 4], rules=(), steps=1)
        assert found.bound is not None
        assert found.gap is not None
        assert (np.abs(found.gap) < 1e-9).all()
        np.testing.assert_allclose(found.reached, found.bound, rtol=1e-9)


def test_a_climb_without_the_linear_programme_comes_close_to_its_bound() -> None:
    scenario = load_scenario("serial").changed(replenishment="quantity", periods=PERIODS)
    network = build(scenario)
    luck = draw(network, 1, 2)
    steady = network.company.throughput
    begin = Decisions(*(np.stack([x] * PERIODS) for x in no_effort(network, steady + np.zeros((3, 2)))))
    reach = Reach(network, luck, 4.0 * steady, [], 0, 0, 64, True)
    seen: list[int] = []
    climbed, values = reach.climb([begin], 200, 0.02, lambda done, value: seen.append(done))
    np.testing.assert_allclose(reach.value(climbed[0]), values[0], rtol=1e-9)
    bound, start = linear_bound(network, luck, largest=4.0 * steady[:, 0]).bound, reach.value(begin)
    assert seen == list(range(1, 201))
    assert (values[0] <= bound + SOLVED * np.abs(bound)).all()
    assert (values[0] - start > 0.95 * (bound - start)).all()


def test_a_climb_leaves_forced_orders_and_is_the_same_in_parts() -> None:
    scenario = load_scenario("serial").changed(replenishment="quantity", periods=6)
    network = build(scenario)
    luck, steady = draw(network, 1, 3), network.company.throughput
    starts = [
        Decisions(*(np.stack([x] * 6) for x in no_effort(network, k * steady + np.zeros((3, 3))))) for k in (1, 2)
    ]
    whole, parts = (Reach(network, luck, 4.0 * steady, [], 2, 0, columns, True) for columns in (64, 2))
    climbed, values = whole.climb(starts, 5, 0.02)
    again, same = parts.climb(starts, 5, 0.02)
    for k in range(2):
        np.testing.assert_allclose(again[k].order, climbed[k].order, rtol=1e-9)
        np.testing.assert_allclose(same[k], values[k], rtol=1e-9)
        np.testing.assert_allclose(climbed[k].order[:2], starts[k].order[:2], rtol=1e-12)
        assert (climbed[k].order[2:] != starts[k].order[2:]).any()
        assert (values[k] > whole.value(starts[k])).all()


def test_the_efforts_of_a_team_are_those_of_the_social_optimum() -> None:
    scenario = load_scenario({"team": {"companies": 2}}).changed(periods=6)
    found = foresight(scenario, "isolated", [0], rules=(), steps=60, rate=0.05)
    # v/c = ½ in every period but the last, whose effort comes too late; each is worth ¼ (Holmstrom 1982).
    np.testing.assert_allclose(found.decisions.effort[:-1, 0], 0.5, atol=0.01)
    np.testing.assert_allclose(found.decisions.effort[-1, 0], 0.0, atol=0.01)
    assert found.reached[0] == pytest.approx(2 * 0.25 * 5 / 6, rel=2e-3)
    assert found.bound is None
    assert "kaizen" in found.no_bound


def test_foresight_is_never_below_a_rule_and_its_decisions_can_be_played() -> None:
    seeds, periods = [7, 8], 12
    rules = ("worst_own_waste", "worst_network_waste", "order_up_to")
    found = foresight("electric_car", "isolated", seeds, rules=rules, steps=6, rounds=1, periods=periods)
    assert found.refused == {}
    assert {"static", "even", *rules} < set(found.starts)
    for name in ("static", *rules):
        alone = run(make_policy(name), "electric_car", "kaizen2", seeds, periods=periods)
        np.testing.assert_allclose(found.starts[name], alone.end_customer_value, rtol=1e-9)
        assert (found.reached >= found.starts[name]).all()
    network = found.network
    tapes = [draw(network, seed, 1, periods) for seed in seeds]
    luck = Luck(np.concatenate([tape.demand for tape in tapes], axis=-1), None, None)
    again = simulate(network, lambda net, state, t: Decisions(*(x[t] for x in found.decisions)), luck)
    np.testing.assert_allclose(total(again) / periods, found.reached, rtol=1e-9)
    busy = found.decisions._replace(effort=found.decisions.effort + 0.1)
    planned = Reach(network, luck, np.full((8, 1), np.inf), [], 0, 0, 64, False).planned(busy)
    assert planned is not None
    np.testing.assert_array_equal(planned.order, linear_bound(network, luck, kaizen=busy).orders)
    assert (planned.order != linear_bound(network, luck).orders).any()
    static = found.starts["static"]
    np.testing.assert_allclose(found.normalised(static, static), 0.0)
    np.testing.assert_allclose(found.normalised(found.reached, static), 1.0)
