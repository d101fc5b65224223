"""Random networks: valid at any size, the same from the same seed, with every feature, able to carry their demand."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from kaizen_env import DescriptionError, Network, Scenario, build, draw, load_scenario, simulate
from kaizen_env.description import COMPANY_CHANNELS, LINK_CHANNELS
from kaizen_env.dynamics import initial_state
from kaizen_env.replenishment import inventory_position
from kaizen_env.scenarios.random_network import random_network
from kaizen_env.simulation import Trajectory, no_effort


def run(network: Network, periods: int, buffer: float) -> Trajectory:
    """An episode at order-up-to levels that keep today's stocks, plus `buffer` periods of what a company starts."""
    starts = network.company.throughput / (1.0 - network.company.defect_rate)
    levels = inventory_position(network, initial_state(network, network.market.mean)) + (1.0 + buffer) * starts
    return simulate(
        network,
        lambda network, state, t: no_effort(network, levels + network.zeros(1, state.on_hand.shape[-1])),
        draw(network, 5, 2, periods),
    )


def links(s: Scenario) -> list[Any]:
    return [*s.supply_links, *s.trade_links, *s.market_links]


@pytest.mark.parametrize("companies", [1, 2, 3, 5, 17, 60])
@pytest.mark.parametrize("seed", [0, 1])
def test_any_size_is_valid_and_runs(companies: int, seed: int) -> None:
    """Stocks stay finite and non-negative. Seen to fail: companies without a supplier left alone (`alone` empty)."""
    s = random_network(companies, seed)
    assert len(s.companies) == companies
    episode = run(build(s), 50, 0.0)
    for record in (episode.states, episode.flows, episode.books):
        assert record is not None
        assert all(np.isfinite(values).all() for values in record)
    for field in ("on_hand", "inputs", "work_in_process", "in_transit", "orders_in_mail", "backlog"):
        assert (getattr(episode.states, field) >= -1e-9).all(), field


def test_one_seed_is_one_network() -> None:
    """Seen to fail: an unseeded generator in `draw`; the seed left out of the stream."""
    assert random_network(80, 3) == random_network(80, 3) == load_scenario({"random": {"companies": 80, "seed": 3}})
    other = random_network(80, 4)
    assert random_network(80, 3).trade_links != other.trade_links
    assert [c.unit_cost for c in random_network(80, 3).companies] != [c.unit_cost for c in other.companies]


def test_it_has_every_feature() -> None:
    """Seen to fail: each of these taken out of the generator in turn."""
    s = random_network(200, 2)
    network = build(s)
    suppliers, customers = Counter(k.buyer for k in s.trade_links), Counter(k.seller for k in s.trade_links)
    assert max(suppliers.values()) > 2, "no assembly"
    assert max(customers.values()) > 2, "no shared supplier"
    assert len(s.markets) > 1
    assert max(Counter(k.market for k in s.market_links).values()) > 1
    assert max(Counter(k.seller for k in s.market_links).values()) > 1
    layer = {c.name: c.position[0] for c in s.companies if c.position}
    assert {layer[k.buyer] - layer[k.seller] for k in s.trade_links} > {1}, "no link skips a layer"
    assert len({k.bom for k in s.trade_links}) > 1
    assert {k.order_lead_time for k in s.trade_links} == {0.0, 1.0}
    assert {k.unfilled for k in s.market_links} == {"lost", "backlog"}
    assert {m.demand.process for m in s.markets} == {"poisson", "normal", "ar1", "seasonal"}
    assert {w.channel for w in s.wastes} == {*COMPANY_CHANNELS, *LINK_CHANNELS}
    assert {w.booked_as for w in s.wastes} == {"motion", "over_processing"}
    assert s.improvement.learning > 0
    assert s.improvement.skill_max > 1
    assert s.culture.imitation > 0
    assert s.platform_fee > 0
    company, purchase = network.company, network.purchase
    for values in (company.defect_rate, company.spoilage, company.process_time % 1, purchase.lead_time % 1):
        assert (values > 0).mean() > 0.9
    short = network.sale.penalty + network.sale.lost_sale_cost
    for values in (company.unit_cost, company.holding_cost, company.wage, short):
        assert (values > 0).all()
    facing = np.unique(network.market.seller)
    assert np.array_equal(np.flatnonzero(company.hurdle), facing)


def test_capacities_and_prices_leave_room() -> None:
    """Today's capacity is 15 to 60 % above the mean flow of `build`, a price above what a unit costs today.

    Seen to fail: flows computed without scrap; stoppages left out of the capacity; a margin of 0.9.
    """
    s = random_network(300, 6)
    network = build(s)
    first, last = network.waste.channels["capacity"]
    today = network.waste.base["capacity"] + network.waste.slope["capacity"][: last - first].sum(axis=0)
    started = network.company.throughput / (1.0 - network.company.defect_rate)
    room = today / started
    # Demand that is cut at 0 has a slightly higher mean than the generator counts with: 4e-5 at most.
    assert 1.15 * (1.0 - 1e-4) <= room.min() < 1.2
    assert 1.55 < room.max() <= 1.6
    cost = {c.name: c.unit_cost * 1.2 for c in s.companies}
    for link in (*s.supply_links, *s.trade_links):
        cost[link.buyer] += link.bom * (link.price + link.freight)
    for sale in (*s.trade_links, *s.market_links):
        scrap = network.company.defect_rate[network.names.index(sale.seller), 0]
        assert 1.1 - 1e-9 <= sale.price / (cost[sale.seller] / (1.0 - scrap)) <= 1.3 + 1e-9


def test_it_carries_its_demand() -> None:
    """With two periods of safety stock end customers hardly wait. Seen to fail: capacities at 0.9 of the mean flow."""
    network = build(random_network(40, 8))
    states = run(network, 200, 2.0).states
    assert states is not None
    flow = network.sale.flow
    assert (states.backlog[-20:].mean(axis=0) < 3.0 * flow).all()


@pytest.mark.parametrize("option", ["kaizen", "losses", "capacities", "order_delays"])
def test_what_is_switched_off_moves_nothing_else(option: str) -> None:
    """Links, demand, lead times and stocks stay to the last bit. Seen to fail: one generator for all causes."""
    on, off = random_network(60, 9), random_network(60, 9, **{option: False})
    assert on.markets == off.markets
    for a, b in zip(links(on), links(off), strict=True):
        kept = {"seller", "buyer", "market", "bom", "transit_time", "lead_time", "share", "unfilled", "freight"}
        assert a.model_dump(include=kept) == b.model_dump(include=kept)
    for a, b in zip(on.companies, off.companies, strict=True):
        kept = {"unit_cost", "process_time", "hurdle", "initial_on_hand_days"}
        assert a.model_dump(include=kept) == b.model_dump(include=kept)
    gone = {
        "kaizen": not off.wastes and off.platform_fee == 0 and off.improvement.learning == 0,
        "losses": all(c.defect_rate == c.spoilage == 0 for c in off.companies),
        "capacities": all(c.capacity is None for c in off.companies),
        "order_delays": all(k.order_lead_time == 0 for k in off.trade_links),
    }
    assert gone[option]


def test_layers_links_and_markets_are_as_asked() -> None:
    """Seen to fail: `skip` drawn up to 0 layers; extra links not counted in."""
    for layers in (1, 2, 7):
        s = random_network(90, 1, layers=layers, markets=4)
        assert build(s).depth == layers
        assert len(s.markets) == 4
    for wanted in (2.0, 3.0, 4.0):
        s = random_network(500, 1, links=wanted)
        assert len(links(s)) / 500 == pytest.approx(wanted, abs=0.1)  # pairs drawn twice are one link


def test_durations_follow_the_period() -> None:
    """Orders travel whole periods, and lead times are the same in periods. Seen to fail: order delays of a day."""
    day, week = build(random_network(30, 4)), build(random_network(30, 4, period_days=7.0))
    np.testing.assert_allclose(week.purchase.lead_time, day.purchase.lead_time)
    np.testing.assert_allclose(week.company.capacity, 7.0 * day.company.capacity)
    assert week.mail_slots == day.mail_slots == 1


@pytest.mark.parametrize(
    "options, words",
    [
        ({"companies": 0}, "random: companies: got 0; allowed: a whole number from 1 on"),
        ({"companies": 2.5}, "random: companies: got 2.5; allowed: a whole number"),
        ({"companies": 5, "layers": 6}, "random: layers: got 6; at most one per company, 5"),
        ({"companies": 9, "layers": 3, "markets": 4}, "random: markets: got 4; at most one per company of the last"),
        ({"companies": 5, "links": -1}, "random: links: got -1; allowed: a number above 0"),
        ({"companies": 5, "period_days": 0}, "random: period_days: got 0; allowed: a number above 0"),
        ({"companies": 5, "period_days": 400}, "random: improvement.learning: 0.0027 per day is 1.08 per period"),
        ({"companies": 5, "sed": 1}, "unknown key 'sed'; did you mean 'seed'?"),
        ({"companies": 5, "seed": 1.5}, "random: seed: got 1.5; allowed: a whole number"),
    ],
)
def test_refuses_what_makes_no_network(options: dict[str, Any], words: str) -> None:
    """Seen to fail: each check removed in turn."""
    with pytest.raises(DescriptionError) as caught:
        load_scenario({"random": options})
    assert words in str(caught.value)


def test_large_networks() -> None:
    """10,000 companies are made, validated, built and run a period. Seen to fail: names without leading zeros."""
    network = build(random_network(10_000))
    assert network.companies == 10_000
    assert network.names == sorted(network.names)
    assert network.depth == 7
    final = run(network, 1, 0.0).final
    assert np.isfinite(final.cash).all()
