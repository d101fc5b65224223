"""Contracts for being late: what they change and leave, who gains by lateness, and what warns of it."""

from __future__ import annotations

import warnings

import pytest

from kaizen_env import BatchEnv, DescriptionError, Scenario, build, load_scenario, scenarios
from kaizen_env.checks import pays_for_lateness
from kaizen_env.errors import ContractWarning
from kaizen_env.scenarios.lateness import CONTRACTS


def pair(**link: float) -> dict[str, object]:
    return {
        "name": "pair",
        "companies": [{"name": "maker", "unit_cost": 3}, {"name": "shop", "unit_cost": 1}],
        "supply_links": [{"buyer": "maker"}],
        "trade_links": [{"seller": "maker", "buyer": "shop", "price": 2, **link}],
        "market_links": [{"seller": "shop", "market": "town", "price": 9, "penalty": 2, "waiting_cost": 2}],
        "markets": [{"name": "town", "demand": {"process": "constant", "mean": 5}}],
    }


def under(contract: str) -> Scenario:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ContractWarning)
        return load_scenario({"scenario": load_scenario(pair(penalty=0.5)), "lateness": contract})


def test_waiting_costs_what_the_penalty_pays() -> None:
    """Unless the link says otherwise; 0 is a number. Seen to fail: with `or` for `is None`."""
    for given, cost in (({}, 0.0), ({"penalty": 0.5}, 0.5), ({"penalty": 0.5, "waiting_cost": 0.0}, 0.0)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ContractWarning)
            network = build(load_scenario(pair(**given)))
        assert network.sale.waiting_cost[0, 0] == cost


def test_a_link_that_pays_for_lateness_is_named_with_its_gain() -> None:
    """Once, where it is read; not where it is changed otherwise. Seen to fail: with a warning at every change."""
    says = r"trade_links\[0\]: 'shop' gains 0.3 per unit and day when 'maker' serves it late"
    with pytest.warns(ContractWarning, match=says):
        scenario = load_scenario(pair(penalty=0.5, waiting_cost=0.2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        BatchEnv(scenario, periods=9)
        load_scenario(pair(penalty=0.5, waiting_cost=0.5))
        load_scenario(pair(penalty=0.5, waiting_cost=0.9))


@pytest.mark.parametrize("name", scenarios())
def test_no_built_in_scenario_pays_for_lateness(name: str) -> None:
    assert pays_for_lateness(load_scenario(name)) == []


def test_what_each_contract_changes() -> None:
    """Seen to fail: with shares by company alone; with the market's own penalty taken away."""
    assert [(k.penalty, k.cost_of_waiting) for k in under("neutral").trade_links] == [(0.5, 0.5)]
    assert [(k.penalty, k.cost_of_waiting) for k in under("none").trade_links] == [(0.0, 0.0)]
    assert [(k.penalty, k.cost_of_waiting) for k in under("paid").trade_links] == [(0.5, 0.0)]
    assert pays_for_lateness(under("paid"))
    shared = under("shared")
    assert [(k.penalty, k.cost_of_waiting) for k in shared.trade_links] == [(0.0, 0.0)]
    (contract,) = shared.contracts.penalty_share
    assert contract.shares == pytest.approx({"maker": 0.75, "shop": 0.25})  # of 3 and 1 that they add to a unit
    for name in CONTRACTS:
        assert [k.penalty for k in under(name).market_links] == [2.0]


def test_a_waiting_cost_that_is_stated_is_real_and_stays() -> None:
    """But where it is less than the penalty, and the contract is to be neutral. Seen to fail: with None for all."""
    stated = load_scenario(pair(penalty=0.5, waiting_cost=0.6))
    for contract, expected in (("neutral", 0.5), ("none", 0.0), ("shared", 0.0), ("paid", 0.5)):
        (link,) = load_scenario({"scenario": stated, "lateness": contract}).trade_links
        assert (link.penalty, link.cost_of_waiting) == (expected, 0.6)
    with pytest.warns(ContractWarning):
        paying = load_scenario(pair(penalty=0.5, waiting_cost=0.2))
    (link,) = load_scenario({"scenario": paying, "lateness": "neutral"}).trade_links
    assert (link.penalty, link.cost_of_waiting) == (0.5, 0.5)


def test_the_textbook_chain_shares_by_the_holding_cost_added() -> None:
    (contract,) = load_scenario({"scenario": "serial", "lateness": "shared"}).contracts.penalty_share
    assert contract.shares == pytest.approx({"factory": 2 / 7, "wholesaler": 2 / 7, "retailer": 3 / 7})


@pytest.mark.parametrize(
    ("scenario", "contract", "said"),
    [
        ("electric_car", "nutral", "got 'nutral'; did you mean 'neutral'?; allowed: neutral, none, shared, paid"),
        ("electric_car", 3, "lateness: got 3"),
        ("electric_car", ["none"], "lateness: got ['none']"),
        ("cola", "shared", "no market link pays a penalty that companies could share"),
    ],
)
def test_what_is_not_a_contract_is_refused(scenario: str, contract: object, said: str) -> None:
    with pytest.raises(DescriptionError) as caught:
        load_scenario({"scenario": scenario, "lateness": contract})
    assert said in str(caught.value)
