"""Every mistake in a description gets one clear error: where, what was found, what is allowed, how to mend it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from kaizen_env import DescriptionError, Scenario, build, load_scenario

GOOD: dict[str, Any] = {
    "name": "two",
    "companies": [{"name": "mill", "unit_cost": 1}, {"name": "bakery", "unit_cost": 2}],
    "supply_links": [{"buyer": "mill"}],
    "trade_links": [{"seller": "mill", "buyer": "bakery"}],
    "market_links": [{"seller": "bakery", "market": "town", "price": 9}],
    "markets": [{"name": "town", "demand": {"process": "poisson", "mean": 5}}],
    "wastes": [{"name": "scrap", "channel": "yield"}],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """A copy of the good scenario with one value set, added to a list (index -1), or removed (None)."""
    data = copy.deepcopy(GOOD)
    *parents, last = [int(p) if p.lstrip("-").isdigit() else p for p in path.split(".")]
    place: Any = data
    for part in parents:
        place = place.setdefault(part, {}) if isinstance(place, dict) else place[part]
    if value is None:
        del place[last]
    elif last == -1:
        place.append(value)
    else:
        place[last] = value
    return data


def message(data: dict[str, Any]) -> str:
    with pytest.raises(DescriptionError) as caught:
        load_scenario(data)
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_the_good_one_is_good() -> None:
    """Without this, the tests below could pass for another reason than the one they name."""
    assert build(load_scenario(GOOD)).companies == 2


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("companie", 1, "unknown key 'companie'; did you mean 'companies'?"),
        ("companies.0.unitcost", 1, "companies[0].unitcost: unknown key 'unitcost'; did you mean 'unit_cost'?"),
        ("markets.0.demand.mena", 1, "unknown key 'mena'; did you mean 'mean'?"),
        ("markets.0.demand.process", "poison", "markets[0].demand: got 'poison'; did you mean 'poisson'?; allowed: c"),
        ("name", None, "name: this key is required"),
        ("companies.0.capacity", "many", "companies[0].capacity: got 'many'"),
        ("companies.0.defect_rate", 1.0, "companies[0].defect_rate: got 1.0; input should be less than 1"),
        ("companies.0.name", "../mill", "companies[0].name: got '../mill'; a name may not begin with"),
        ("companies.0.unit_cost", float("nan"), "companies[0].unit_cost: got nan"),
        ("trade_links.0.transit_time", -2, "trade_links[0].transit_time: got -2; input should be greater than or"),
        ("supply_links.0.lead_time", -1, "supply_links[0].lead_time: got -1"),
        ("trade_links.0.order_lead_time", 0.5, "trade_links[0].order_lead_time: 0.5 days are 0.5 periods"),
        ("trade_links.0.seller", "mil", "trade_links[0].seller: there is no company 'mil'; did you mean 'mill'?"),
        ("market_links.0.market", "twon", "market_links[0].market: there is no market 'twon'; did you mean 'town'?"),
        ("companies.-1", {"name": "shop"}, "companies[2]: nobody buys from 'shop'; give it a trade link"),
        ("supply_links", [], "companies[0]: 'mill' buys nothing; give it a supply link"),
        ("markets.-1", {"name": "city", "demand": {"process": "poisson", "mean": 1}}, "no company serves 'city'"),
        ("companies.-1", {"name": "mill"}, "companies: the name 'mill' stands 2 times"),
        ("trade_links.-1", {"seller": "mill", "buyer": "bakery"}, "from 'mill' to 'bakery' stands 2 times"),
        ("trade_links.-1", {"seller": "bakery", "buyer": "mill"}, "form a cycle"),
        ("market_links.0.share", 0.8, "the shares of market 'town' sum to 0.8; they must sum to 1"),
        ("wastes.0.channel", "yeild", "wastes[0].channel: got 'yeild'; did you mean 'yield'?; allowed: yield, "),
        ("wastes.0.floor", 2, "wastes[0].floor: got 2"),
        ("wastes.-1", {"name": "slow", "channel": "unit_cost"}, "waste 'slow' on channel unit_cost needs a size"),
        ("wastes.-1", {"name": "scrap 2", "channel": "yield"}, "on channel yield sum to 2; at most 1"),
        ("wastes.0", {"name": "s", "channel": "yield", "initial": 0.2, "floor": 0.5}, "floor 0.5 is above initial 0.2"),
        (
            "companies.0.wastes",
            {"scrp": {"size": 0.5}},
            "companies[0].wastes.scrp: no such waste; did you mean 'scrap'?",
        ),
        ("companies.0.wastes", {"scrap": {"initial": 0.1, "floor": 0.5}}, "floor 0.5 is above initial 0.1"),
        ("companies.0.initial_on_hand_days", 3, None),
        ("ordering", "cascade", None),
        ("improvement", {"learning": 2}, "improvement.learning: 2 per day is 2 per period of 1 days; at most 1"),
        (
            "contracts",
            {"penalty_share": [{"seller": "bakery", "market": "town", "shares": {"mill": 0.5}}]},
            "contracts.penalty_share[0].shares: the shares sum to 0.5; they must sum to 1",
        ),
        (
            "contracts",
            {"penalty_share": [{"seller": "mill", "market": "town", "shares": {"mill": 1}}]},
            "there is no market link from 'mill' to 'town'",
        ),
        (
            "contracts",
            {"gain_share": [{"shares": {"mill": 1}, "paid_by": {"custmers": 1}}]},
            "there is no company 'custmers'; did you mean 'customers'?",
        ),
        (
            "disruptions",
            [{"name": "x", "company": "mil", "probability": 0.1, "duration": 2}],
            "disruptions[0].company: there is no company 'mil'",
        ),
        (
            "disruptions",
            [{"name": "x", "seller": "bakery", "buyer": "mill", "probability": 0.1, "duration": 2}],
            "disruptions[0]: there is no trade link from 'bakery' to 'mill'",
        ),
        (
            "disruptions",
            [{"name": "x", "probability": 0.1, "duration": 2}],
            "disruptions[0]: a disruption hits either a company",
        ),
    ],
)
def test_mistakes(path: str, value: Any, words: str | None) -> None:
    """Each mistake changes one thing in a good scenario. Seen to fail: with the check of each line taken out."""
    data = changed(path, value)
    if words is None:
        load_scenario(data)  # allowed: these stand here to show where the line runs
    else:
        assert words in message(data)


def test_two_amounts_of_one_stock_are_refused() -> None:
    data = changed("companies.0.initial_on_hand", 5)
    data["companies"][0]["initial_on_hand_days"] = 2
    assert "companies[0]: give initial_on_hand (units) or initial_on_hand_days, not both" in message(data)


def test_cascade_needs_levels() -> None:
    data = changed("ordering", "cascade") | {"replenishment": "quantity"}
    assert "ordering: cascade goes only with order-up-to replenishment" in message(data)


def test_every_problem_is_named_at_once() -> None:
    data = changed("companies.0.unitcost", 1)
    data["trade_links"][0]["transit_time"] = -1
    text = message(data)
    assert len(text.splitlines()) == 2
    assert all(line.startswith("the scenario given: ") for line in text.splitlines())


def test_files_are_named_in_errors(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    with pytest.raises(DescriptionError, match=r"mine\.yaml: there is no such file"):
        load_scenario(file)
    file.write_text("name: [")
    with pytest.raises(DescriptionError, match=r"mine\.yaml: not valid YAML"):
        load_scenario(file)
    file.write_text("- a list")
    with pytest.raises(DescriptionError, match=r"mine\.yaml: found list; a scenario is a mapping"):
        load_scenario(file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DescriptionError, match=r"mine\.yaml: cannot be read as UTF-8"):
        load_scenario(file)
    file.write_text("!!python/object/apply:os.system [echo]")
    with pytest.raises(DescriptionError, match=r"mine\.yaml: not valid YAML"):
        load_scenario(file)
    file.write_text(yaml.safe_dump(changed("companies.0.unitcost", 1)))
    with pytest.raises(DescriptionError, match=r"mine\.yaml: companies\[0\]\.unitcost: unknown key"):
        load_scenario(str(file))


def test_a_file_is_a_scenario_and_numbers_may_be_written_as_1e_3(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    text = yaml.safe_dump(GOOD).replace("unit_cost: 1\n", "unit_cost: 1e-3\n")
    assert "1e-3" in text
    file.write_text(text)
    assert load_scenario(file).companies[0].unit_cost == 0.001
    assert load_scenario({"scenario": str(file), "period_days": 7}).period_days == 7
    inside = tmp_path / "child.yaml"
    inside.write_text("scenario: mine.yaml\nperiods: 5\n")
    assert load_scenario(inside).periods == 5


def test_a_demand_file_stands_beside_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text("demand\n3\n5\n")
    data = changed("markets.0.demand", {"process": "trace", "file": "sales.csv"})
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(data))
    scenario = load_scenario(tmp_path / "mine.yaml")
    assert build(scenario).market.mean[0, 0] == 4
    assert load_scenario({"scenario": str(tmp_path / "mine.yaml"), "periods": 3}).periods == 3
    (tmp_path / "sales.csv").write_text("demand\n3\n\n5\n")
    with pytest.raises(DescriptionError, match=r"mine\.yaml: .*sales\.csv: row 3, column 'demand': found a gap"):
        load_scenario(tmp_path / "mine.yaml")


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(DescriptionError, match="no built-in scenario 'seriel'; did you mean 'serial'"):
        load_scenario("seriel")
    with pytest.raises(DescriptionError, match="unknown key 'companys'; did you mean 'companies'"):
        load_scenario({"random": {"companys": 3}})


def test_descriptions_cannot_be_changed() -> None:
    scenario = load_scenario(GOOD)
    with pytest.raises(ValueError, match="frozen"):
        scenario.name = "other"  # type: ignore[misc]
    assert isinstance(scenario.changed(periods=3), Scenario)
    assert scenario.periods != 3


def test_durations_and_rates_are_converted_once() -> None:
    """Weekly periods of the same network. Seen to fail: with spoilage per day multiplied by the days of a period."""
    data = changed("companies.0", {"name": "mill", "capacity": 10, "spoilage": 0.1, "process_time": 3.5})
    week = build(load_scenario(data | {"period_days": 7}))
    assert week.company.capacity[0, 0] == 70
    assert week.company.spoilage[0, 0] == pytest.approx(1 - 0.9**7)
    assert week.company.process_time[0, 0] == 0.5
    assert week.purchase.lead_time[:, 0].tolist() == [pytest.approx(1 / 7), 1.0]
    assert week.market.mean[0, 0] == 35
