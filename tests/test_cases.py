"""Regimes with a network of their own, effects that a config names, and kaizen that begins late."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import experimenting
import numpy as np
import pytest
from experimenting import read_json, written

from agents.experiments.comparison import market_shares
from agents.experiments.config import CompareConfig
from agents.experiments.loading import load_experiment
from agents.experiments.unit import read_table
from agents.loading import make_policy
from agents.rollout import run
from agents.window import Window
from kaizen_env import BatchEnv, DescriptionError, load_scenario

compare = experimenting.module("compare")

RULE: dict[str, Any] = {"name": "worst_own_waste", "options": {"ordering": "order_up_to"}}
CASES: dict[str, Any] = {
    "scenario": {"scenario": "electric_car", "periods": 12},
    "regimes": [
        "isolated",
        {"regime": "isolated", "label": "shy", "scenario": {"culture": {"initial": 0.1}}},
        {"regime": "isolated", "label": "late", "kaizen_delay": 5},
    ],
    "baseline": "shy",
    "effects": {"boldness": {"isolated": 1, "shy": -1}, "half each": {"isolated": 0.5, "late": 0.5, "shy": -1}},
    "policy": RULE,
    "evaluation": {"worlds": 6},
    "warm_up": 6,
    "tail": 4,
}


def summary(place: Path, data: dict[str, Any], name: str) -> Any:
    assert compare.main([str(written(place, data, f"{name}.yaml")), "--output", str(place / name)]) == 0
    return read_json(place / name / "summary.json")


def test_a_case_is_the_network_of_its_own_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """To the last bit; what the change does not name stays, also inside `culture`.

    Seen to fail: with the changes of another regime; with `culture` replaced as a whole.
    """
    said = summary(tmp_path, CASES, "cases")
    printed = capsys.readouterr().out
    whole = load_scenario("electric_car").culture.model_dump() | {"initial": 0.1}
    alone = CASES | {"scenario": CASES["scenario"] | {"culture": whole}, "regimes": ["isolated"]}
    other = summary(tmp_path, {k: v for k, v in alone.items() if k not in ("baseline", "effects")}, "other")
    rest = {key: value for key, value in CASES.items() if key not in ("baseline", "effects")}
    plain = summary(tmp_path, rest | {"regimes": ["isolated"]}, "plain")
    for field in ("value", "low", "high", "mean"):
        assert said["regimes"]["shy"]["learner"][field] == other["regimes"]["isolated"]["learner"][field]
        assert said["regimes"]["isolated"]["learner"][field] == plain["regimes"]["isolated"]["learner"][field]
    shy = load_experiment(tmp_path / "cases.yaml", CompareConfig).cases["shy"]
    assert shy.culture.model_dump() == whole
    assert said["baseline"] == "shy"
    values = {regime: said["regimes"][regime]["learner"]["value"] for regime in said["regimes"]}
    assert said["effects"]["boldness"]["value"] == pytest.approx(values["isolated"] - values["shy"])
    half = 0.5 * (values["isolated"] + values["late"]) - values["shy"]
    assert said["effects"]["half each"]["value"] == pytest.approx(half)
    assert "isolated − shy" in printed
    assert "dividend" not in printed
    # The folder's own config is run again to the same numbers, and goes on where it is the same.
    again = ["--output", str(tmp_path / "cases"), "--resume"]
    assert compare.main([str(tmp_path / "cases" / "config.yaml"), *again]) == 0
    assert compare.main([str(tmp_path / "cases" / "config.yaml"), "--output", str(tmp_path / "again")]) == 0
    assert read_json(tmp_path / "again" / "summary.json") == said


def test_quarters_and_the_timeline_add_up(tmp_path: Path) -> None:
    """The mean of four quarters of equal length is the whole; so is that of the timeline.

    Seen to fail: with the fourth quarter one period short; with all that is simulated.
    """
    said = summary(tmp_path, CASES, "cases")
    for regime, of in said["regimes"].items():
        folder = tmp_path / "cases" / "results" / "electric_car" / regime / "worst_own_waste" / "seed_0"
        lean, timeline = read_table(folder / "lean.csv"), read_table(folder / "timeline.csv")
        quarters = [lean[name].astype(float).mean() for name in lean if "quarter" in name]
        assert len(quarters) == 4
        assert np.mean(quarters) == pytest.approx(of["learner"]["mean"])
        value, period = timeline["end_customer_value"].astype(float), timeline["period"].astype(int)
        assert period.tolist() == list(range(-6, len(period) - 6))
        counted = (period >= 0) & (period < len(period) - 10)
        assert value[counted].mean() == pytest.approx(of["learner"]["mean"])
        assert value.mean() != pytest.approx(of["learner"]["mean"], rel=1e-6)
        assert [q["change"] is None for q in said["quarters"][regime]] == [regime == "shy"] * 4


def test_who_begins_late_does_nothing_until_then_and_what_it_likes_after() -> None:
    """Until then as in a regime without kaizen, whatever is decided; a delay of 0 is none.

    Seen to fail: with a delay one period longer, or counted by the episodes' end.
    """
    rng = np.random.default_rng(0)
    at_once = BatchEnv("electric_car", "isolated", 3, periods=9)
    late = BatchEnv("electric_car", {"kaizen_delay": 4}, 3, periods=9)
    never = BatchEnv("electric_car", "static", 3, periods=9)
    for env in (at_once, late, never):
        env.reset(seed=5)
    for t in range(8):
        actions = rng.uniform(-1.0, 1.0, (3, at_once.companies, len(at_once.action_names)))
        late.step(actions)
        never.step(actions[..., :1])
        pairs = ((late.state.waste, never.state.waste), (late.state.skill, never.state.skill))
        assert [np.array_equal(*pair) for pair in pairs] == [t < 4] * 2
    rule = make_policy(RULE["name"])
    none = run(rule, "electric_car", "isolated", [1, 2], periods=20)
    zero = run(rule, "electric_car", "isolated", [1, 2], periods=20, kaizen_delay=0)
    np.testing.assert_array_equal(none.end_customer_value, zero.end_customer_value)


def test_a_rule_that_follows_its_pay_is_one_of_two() -> None:
    """Seen to fail: with the network's rule for whoever sees the network."""
    for regime, rule in (
        ("isolated", "worst_own_waste"),
        ("transparent", "worst_own_waste"),
        ("aligned", "worst_own_waste"),
        ("kaizen2", "worst_network_waste"),
    ):
        wanted = run(make_policy(rule), "electric_car", regime, [1, 2], periods=30)
        got = run(make_policy("worst_paid_waste"), "electric_car", regime, [1, 2], periods=30)
        np.testing.assert_array_equal(got.profit, wanted.profit)


def test_an_episode_too_short_for_quarters_has_none(tmp_path: Path) -> None:
    """Three periods: no row of zeros. Seen to fail: with 0 for a quarter without a period."""
    said = summary(tmp_path, CASES | {"scenario": {"scenario": "electric_car", "periods": 3}}, "short")
    assert said["quarters"] == {}


def test_shares_of_demand_by_hand() -> None:
    """Two trainings of eight periods between two that do not count: the last two, and the first above the start.

    Seen to fail: with the last half; with the last period for the first.
    """
    share = np.array([[0.5, 0.5, 0.52, 0.5, 0.5, 0.5, 0.6, 0.8], [0.5] * 8])
    timeline = {"alive": np.array([[1.0] * 8, [1.0] * 7 + [0.5]]), "demand share of shop in town": share}
    timeline = {name: np.pad(values, ((0, 0), (1, 1)), constant_values=0.3) for name, values in timeline.items()}
    timeline["period"] = np.tile(np.arange(-1.0, 9.0), (2, 1))
    outcome = SimpleNamespace(unit=SimpleNamespace(window=Window(8, 1, 1)))
    found = market_shares(SimpleNamespace(columns=lambda table: timeline, outcomes=[outcome]))  # type: ignore[arg-type]
    assert found["alive"] == [1.0, 0.5]
    assert found["sellers"]["shop in town"]["last"] == pytest.approx([0.7, 0.5])
    assert found["sellers"]["shop in town"]["drawn"] == [2, None]


def test_days_until_a_waste_is_halved_worked_by_hand(tmp_path: Path) -> None:
    """A full team, a half-life of four periods of two days: eight days. Without effort never.

    Seen to fail: in periods for days.
    """
    data = {
        "scenario": {
            "name": "line",
            "periods": 12,
            "period_days": 2,
            "replenishment": "order_up_to",
            "companies": [{"name": "shop", "hurdle": 4, "initial_on_hand": 20}],
            "supply_links": [{"buyer": "shop", "lead_time": 0}],
            "market_links": [{"seller": "shop", "market": "town", "price": 9}],
            "markets": [{"name": "town", "demand": {"process": "constant", "mean": 5}}],
            "wastes": [{"name": "hassle", "channel": "hurdle", "half_life": 8}],
        },
        "regimes": ["static", "kaizen2"],
        "policy": "worst_paid_waste",
        "evaluation": {"worlds": 2},
    }
    said = summary(tmp_path, data, "line")
    assert said["lean"]["static"]["days_to_halve"] == {"hassle": None}
    assert said["lean"]["kaizen2"]["days_to_halve"] == {"hassle": 8.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"baseline": "shi"}, "baseline: there is no regime 'shi' here; did you mean 'shy'"),
        ({"effects": {"it": {"shy": 1, "lat": -1}}}, "effects.it: there is no regime 'lat' here"),
        ({"effects": {"it": {"shy": 1, "late": -0.5}}}, "effects.it: weights add up to 0.5; an effect is a difference"),
        ({"effects": {"it": {}}}, "effects.it: weights add up to 0;"),
        ({"foresight": True, "regimes": ["static", *CASES["regimes"]]}, "foresight: it is reached in one network"),
        ({"regimes": [{"regime": "isolated", "scenario": {"period": 3}}]}, "regimes[0].scenario: "),
        ({"regimes": [{"regime": "isolated", "scenario": {"periods": 3}}]}, "regimes[0].scenario: periods: 3"),
        ({"regimes": [{"regime": "isolated", "scenario": "cola"}]}, "regimes[0].scenario: got 'cola'"),
        ({"regimes": [{"regime": "isolated", "kaizen_delay": -1}]}, "kaizen_delay"),
    ],
)
def test_what_does_not_fit_is_said_with_its_place(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    data = CASES | change
    if "regimes" in change and "foresight" not in change:
        data = {k: v for k, v in data.items() if k not in ("baseline", "effects")}
    with pytest.raises(DescriptionError) as caught:
        load_experiment(written(tmp_path, data), CompareConfig)
    assert message in str(caught.value)
