"""scripts/compare.py: effects, intervals, payments, and that a stop or more processes change no number."""

from __future__ import annotations

import csv
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import experimenting
import numpy as np
import pytest
from experimenting import LEARNER, begun, contents, numbers, ran, read_json, steps_done, until, written

from agents.experiments import bound, comparison_tables
from agents.experiments.comparison import effects
from agents.experiments.config import CompareConfig, Evaluation
from agents.experiments.gains import side_payments
from agents.experiments.loading import load_experiment
from agents.experiments.statistics import Resampled, improvement, interquartile_mean, mean
from agents.loading import make_policy
from agents.rollout import run
from kaizen_env import load_scenario
from kaizen_env.ledger import KINDS
from kaizen_env.metrics import lean_metrics

compare = experimenting.module("compare")

SHORT: dict[str, Any] = {"scenario": "serial", "periods": 10}
COMPARISON: dict[str, Any] = {
    "scenario": SHORT,
    "policy": "policies.py:Half",
    "evaluation": {"worlds": 6},
    "tensorboard": False,
}
# One company that improves nothing: what could a shared twin tell it?
ALONE: dict[str, Any] = {
    "name": "alone",
    "periods": 20,
    "replenishment": "order_up_to",
    "companies": [{"name": "shop", "holding_cost": 1, "initial_on_hand": 6}],
    "supply_links": [{"buyer": "shop", "lead_time": 1}],
    "market_links": [{"seller": "shop", "market": "town", "penalty": 9, "waiting_cost": 9}],
    "markets": [{"name": "town", "demand": {"process": "normal", "mean": 5, "sd": 1}}],
}
STILL = [
    {"regime": regime, "kaizen": False, "label": regime} for regime in ("isolated", "transparent", "aligned", "kaizen2")
]

SHY = """
class Shy(Walk):
    def reset(self, setting):
        if setting.regime.twin == "network":
            raise PolicyError("Shy will not be seen")
        super().reset(setting)
"""


def config(place: Path, **changes: Any) -> Path:
    return written(place, COMPARISON | changes, "regimes.yaml")


def summary(place: Path, name: str = "regimes") -> Any:
    return read_json(place / "runs" / name / "summary.json")


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


# --- the numbers -----------------------------------------------------------------------------------------------------


def test_effects_worked_by_hand() -> None:
    """Regimes worth 10, 12, 11 and 16, in worlds that differ by much more, in which all have the same luck.

    Seen to fail: with worlds drawn for each regime anew; with the interaction's signs turned.
    """
    luck = np.array([[0.0, 100.0, 300.0, -50.0, 20.0]])
    worth = {"isolated": 10.0, "transparent": 12.0, "aligned": 11.0, "kaizen2": 16.0}
    found = effects({regime: value + luck for regime, value in worth.items()})
    for name, value in {"information": 2.0, "incentive": 1.0, "interaction": 3.0, "dividend": 6.0}.items():
        got = found[name]
        assert (got["value"], got["low"], got["high"]) == pytest.approx((value, value, value), abs=1e-9), name
        assert got["shown"], name
    assert found["information"]["improvement"] == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_an_effect_that_chance_could_have_made_is_not_shown() -> None:
    """Neither one that is nothing but rounding, nor one in a regime that is not there."""
    rng = np.random.default_rng(3)
    noise = {regime: rng.normal(0.0, 1.0, (3, 40)) for regime in ("isolated", "transparent")}
    found = effects(noise)
    assert not found["information"]["shown"]
    assert found["information"]["low"] < 0.0 < found["information"]["high"]
    assert found["incentive"] is None
    assert found["dividend"] is None
    values = {"isolated": 0.1, "transparent": 0.1 + 0.2, "aligned": 0.1, "kaizen2": 0.3}  # 0.1 + 0.2 − 0.3 is not 0
    assert not effects({regime: np.full((1, 3), value) for regime, value in values.items()})["interaction"]["shown"]


def test_the_interquartile_mean_and_its_interval() -> None:
    """Of 0 … 7 it is that of 2 … 5; the interval is that of theory, 1.195 σ²/n being the variance of the midmean of
    normal numbers (Tukey 1960). Seen to fail: with the plain mean; with resamples of half as many worlds."""
    assert interquartile_mean(np.arange(8.0)) == 3.5
    assert interquartile_mean(np.array([1.0, 2.0, 3.0, 1000.0])) == 2.5
    worlds = np.random.default_rng(1).normal(10.0, 2.0, (1, 400))
    value, low, high = Resampled({"a": worlds}).interval("a")
    half = 1.96 * np.sqrt(1.195) * worlds.std() / 20.0
    assert value == interquartile_mean(worlds[0])
    assert (value - low, high - value) == pytest.approx((half, half), rel=0.15)


def test_three_trainings_seldom_show_an_effect_where_there_is_none() -> None:
    """Trainings that differ by chance alone: in about one comparison of twenty an effect is shown.

    Seen to fail: with trainings left as they are; without widening (35 of 300); with common seeds.
    """
    rng, shown = np.random.default_rng(5), 0
    for _ in range(300):
        luck = 3.0 * rng.normal(size=(1, 20))
        values = {k: luck + rng.normal(size=(3, 1)) + 0.3 * rng.normal(size=(3, 20)) for k in "ab"}
        shown += Resampled(values, mean, resamples=500).interval({"a": 1.0, "b": -1.0}).shown
    assert 3 <= shown <= 24  # 15 give or take 2.4 standard deviations


def test_how_likely_a_regime_is_better() -> None:
    """By pairs of trainings in the same world; a draw counts half. Seen to fail: with draws not counted."""
    better, worse = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[2.0, 2.0], [0.0, 5.0]])
    # World 0: 1 < 2, 1 > 0, 3 > 2, 3 > 0. World 1: 2 = 2, 2 < 5, 4 > 2, 4 < 5.
    found = improvement(better, worse)
    assert found.value == (3 + 1.5) / 8
    assert 0.0 <= found.low <= found.value <= found.high <= 1.0


def test_payments_that_leave_nobody_worse_off() -> None:
    """Losers get their loss; winners pay by what they gained. Seen to fail: with equal parts."""
    changes = np.array([6.0, -2.0, 2.0, -2.0])
    payments = side_payments(changes)
    assert payments is not None
    assert payments.tolist() == [-3.0, 2.0, -1.0, 2.0]
    assert side_payments(np.array([1.0, -2.0])) is None  # all together have lost
    assert np.array_equal(side_payments(np.array([1.0, 2.0])), np.zeros(2))  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    for changes in rng.normal(0.3, 1.0, (50, 6)):
        payments = side_payments(changes)
        assert (payments is None) == (changes.sum() < 0)
        if payments is not None:
            assert payments.sum() == pytest.approx(0.0, abs=1e-12)
            assert (changes + payments >= -1e-12).all()


# --- a comparison ----------------------------------------------------------------------------------------------------


def test_a_comparison_is_what_its_policies_reach(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A policy from a file outside the repository, against rules, in the same worlds as without any script.

    Seen to fail: with the worst rule for the best; with the ledger summed over periods.
    """
    scenario = {"scenario": "cola", "periods": 12}
    config(place, scenario=scenario, rules=["random", "worst_own_waste", "worst_network_waste"], warm_up=0, tail=0)
    assert compare.main(["regimes.yaml"]) == 0
    said, folder = summary(place), place / "runs" / "regimes"
    seeds, network = Evaluation(worlds=6).seeds(), load_scenario(scenario)
    episode = run(make_policy("policies.py:Half"), network, "kaizen2", seeds, record=("states", "flows", "books"))
    assert episode.trajectory is not None
    metrics = lean_metrics(episode.trajectory)
    half = said["regimes"]["kaizen2"]["learner"]
    assert half["value"] == pytest.approx(interquartile_mean(episode.end_customer_value), rel=1e-12)
    assert half["mean"] == pytest.approx(episode.end_customer_value.mean(), rel=1e-12)
    assert half["seeds"] == 1
    lean = said["lean"]["kaizen2"]
    for name in ("throughput_days", "value_adding_days", "flow_efficiency", "waste_remaining"):
        assert lean[name] == pytest.approx(getattr(metrics, name).mean(), rel=1e-9), name
    for kind in KINDS:
        assert lean["cost"][kind] == pytest.approx(metrics.cost[kind].sum(axis=0).mean() / 12, rel=1e-9, abs=1e-9)
    wastes = [row for row in rows(folder / "waste.csv") if (row["regime"], row["policy"]) == ("kaizen2", "Half")]
    assert [int(row["period"]) for row in wastes] == list(range(13))
    assert float(wastes[0]["waste_remaining"]) == 1.0
    assert float(wastes[-1]["waste_remaining"]) == pytest.approx(lean["waste_remaining"], rel=1e-12)
    parties = {row["party"]: row for row in said["parties"]["kaizen2"]["rows"]}
    assert parties["home"]["value"] == pytest.approx(episode.profit[-1].mean(), rel=1e-9)
    assert said["parties"]["kaizen2"]["sum"] == pytest.approx(half["mean"], rel=1e-9)  # value is what all have together
    rules = said["regimes"]["kaizen2"]["rules"]
    assert set(rules) == {"random", "worst_own_waste", "worst_network_waste"}
    best = max(rules, key=lambda label: rules[label]["value"])
    assert said["regimes"]["kaizen2"]["best_rule"] == best
    assert said["not_served"]["worst_network_waste"] == ["static", "isolated", "aligned"]
    assert set(said["regimes"]["isolated"]["rules"]) == {"random", "worst_own_waste"}
    assert len(rows(folder / "evaluation.csv")) == 6 * (5 * 3 + 2)
    printed = capsys.readouterr().out
    assert all(len(line.rstrip()) <= 100 for line in printed.splitlines() if not line.startswith("run folder"))
    assert "worst_network_waste takes no part under static, isolated, aligned" in printed
    assert "Half is not trained" in printed
    note = "Half reaches more without kaizen (static) than under isolated"
    assert note not in printed  # it does not improve anyway
    said["regimes"]["static"]["learner"]["change"] = {"value": 5.0, "low": 4.0, "high": 6.0, "shown": True}
    assert any(line.startswith(note) for line in comparison_tables.notes(said))


def test_one_company_has_no_use_for_sight(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor for pay by the network's value where its rule is the same: nothing is shown, to the last bit."""
    config(place, scenario=ALONE, regimes=STILL, policy="order_up_to", rules=["static"], evaluation={"worlds": 20})
    assert compare.main(["regimes.yaml"]) == 0
    for name, effect in summary(place)["effects"].items():
        assert (effect["value"], effect["low"], effect["high"], effect["shown"]) == (0.0, 0.0, 0.0, False), name
    printed = capsys.readouterr().out
    assert printed.count("no effect shown") == 5  # each effect, and the headline
    assert "nobody has less than under isolated" in printed


def test_a_learner_of_one_company_has_no_use_for_sight(place: Path) -> None:
    """The control as it is shipped, trained more briefly: three trainings find nothing, and nothing large.

    Seen to fail: with `transparent` trained for two steps.
    """
    path = experimenting.ROOT / "configs" / "controls" / "one_company.yaml"
    shorter = ["policy.options.iterations=15", "policy.options.worlds=8", "scenario.periods=30", "tensorboard=false"]
    less = ["regimes=[isolated, transparent]", "rules=[]"]
    sets = [word for change in (*shorter, *less) for word in ("--set", change)]
    assert compare.main([str(path), "--output", "run", *sets]) == 0
    information = read_json(place / "run" / "summary.json")["effects"]["information"]
    assert not information["shown"]
    assert information["high"] - information["low"] < 0.05 * 9.0  # of what it costs a customer to wait


def test_a_rule_that_beats_the_learner_is_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And the training budget, which is the same everywhere. Seen to fail: with the difference turned."""
    config(
        place,
        scenario=ALONE,
        regimes=["isolated", "transparent"],
        policy={"name": "walk.py:Walk", "options": {"steps": 4}},
        rules=["order_up_to"],
        seeds=[0, 1, 2],
        evaluation={"worlds": 10},
    )
    assert compare.main(["regimes.yaml"]) == 0
    printed, said = capsys.readouterr().out, summary(place)
    assert said["regimes"]["isolated"]["best_rule_less_learner"]["value"] > 0
    assert "* isolated: the rule order_up_to beats Walk by +" in printed
    assert "training: Walk, 3 seeds × 4 steps in every regime" in printed
    assert said["budget"] == {"isolated": [4, 4, 4], "transparent": [4, 4, 4]}
    assert said["effects"]["dividend"] is None


def test_shares_of_foresight(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 is the regime `static`, 1 what is reached by whoever knows the luck: nobody has more in any world.

    Seen to fail: counted from elsewhere; without what the policies have reached.
    """
    seeds, scenario = Evaluation(worlds=2).seeds(), {"scenario": "cola", "periods": 20}
    half = run(make_policy("policies.py:Half"), scenario, "kaizen2", seeds).end_customer_value
    own_waste = run(make_policy("worst_own_waste"), scenario, "kaizen2", seeds).end_customer_value
    static = run(make_policy("policies.py:Half"), scenario, "static", seeds).end_customer_value
    best = np.maximum(np.maximum(half, own_waste), static)
    found = SimpleNamespace(reached=best + np.array([500.0, -500.0]))  # in the second world a policy has done better
    monkeypatch.setattr(bound, "foresight", lambda *_, **__: found)
    regimes, rules = ["static", "kaizen2"], [{"name": "worst_own_waste", "regimes": ["kaizen2"]}]
    config(place, scenario=scenario, regimes=regimes, rules=rules, foresight=True, evaluation={"worlds": 2})
    assert compare.main(["regimes.yaml"]) == 0
    said, ends = summary(place), summary(place)["foresight"]
    assert ends["static"] == pytest.approx(static.mean(), rel=1e-12)
    assert ends["reached"] == pytest.approx(best.mean() + 250.0, rel=1e-12)
    assert said["regimes"]["static"]["learner"]["normalised"]["value"] == 0.0
    share = (half.mean() - ends["static"]) / (ends["reached"] - ends["static"])
    assert said["regimes"]["kaizen2"]["learner"]["normalised"]["value"] == pytest.approx(share, rel=1e-9)
    kept = contents(place / "runs" / "regimes")
    assert compare.main(["regimes.yaml", "--resume"]) == 0
    assert contents(place / "runs" / "regimes") == kept


# --- what fails, and stops -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"regimes": []}, "regimes: got []"),
        ({"regimes": ["isolate"]}, "did you mean 'isolated'?"),
        ({"policies": ["static"]}, "unknown key 'policies'; did you mean 'policy'?"),
        ({"policy": {"name": "static", "regimes": ["isolated"]}}, "policy serves every regime"),
        ({"policy": "absent.py:Mine"}, "there is no file"),
        ({"rules": ["static", "static"]}, "rules[1]: 'static' is there already"),
        ({"rules": ["worst_network_waste"], "regimes": ["isolated"]}, "rules[0]: no regime here will do: "),
        ({"foresight": True, "regimes": ["isolated"]}, "foresight: shares are counted from 'static'"),
        ({"foresight": "much"}, "foresight: got 'much'"),
        ({"seeds": []}, "seeds: got []"),
        ({"scenario": "absent.yaml"}, "scenario: "),
    ],
)
def test_a_config_that_cannot_be_used(
    place: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], said: str
) -> None:
    config(place, **changes)
    assert compare.main(["regimes.yaml"]) == 2
    assert said in capsys.readouterr().err
    assert not (place / "runs").exists()


def test_what_fails_is_named_and_the_rest_is_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A learner that does not come through in one regime, with one seed; a rule that raises."""
    written(place, LEARNER + SHY, "walk.py")
    policy = {"name": "walk.py:Shy", "options": {"steps": 3}}
    config(place, policy=policy, rules=["policies.py:Raises"], seeds=[1], regimes=["isolated", "aligned", "kaizen2"])
    assert compare.main(["regimes.yaml"]) == 1
    captured, said = capsys.readouterr(), summary(place)
    assert "kaizen2: Shy did not come through; effects that need it are left out" in captured.out
    assert "Shy will not be seen" in captured.err
    assert "act raised KeyError: 'nowhere'" in captured.err
    assert said["effects"]["dividend"] is None
    assert said["effects"]["incentive"] is not None
    assert len(said["failed"]) == 4


def test_a_dry_run_writes_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config(place, policy="walk.py:Walk", seeds=[0, 1], rules=["static"], foresight=True)
    assert compare.main(["regimes.yaml", "--dry-run", "--set", "rules.0.label=as it is", "--policy", "random"]) == 0
    printed = capsys.readouterr().out
    assert "15 evaluations" not in printed
    assert "20 evaluations of 6 worlds, after 10 trainings" in printed
    assert "and foresight in 6 worlds" in printed
    assert "label: as it is" in printed
    assert not (place / "runs").exists()


@pytest.mark.slow
def test_a_stop_and_two_processes_change_no_number(place: Path) -> None:
    """Killed in a training and gone on with two processes, against one that was left alone.

    Seen to fail: with a step left out on resume.
    """
    changes: dict[str, Any] = {"regimes": ["isolated", "kaizen2"], "rules": ["random"], "seeds": [0, 1]}
    policy = {"name": "walk.py:Walk", "options": {"steps": 20, "pause": 0.02}}
    config(place, policy=policy, **changes)
    process = begun("compare", "regimes.yaml", "--output", "stopped", cwd=place)
    first = place / "stopped" / "results" / "serial" / "isolated" / "Walk" / "seed_0"
    until(lambda: steps_done(first) >= 5, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (place / "stopped" / "summary.json").exists()
    done = ran("compare", "regimes.yaml", "--output", "stopped", "--resume", "--jobs", 2, cwd=place)
    assert done.returncode == 0, done.stderr
    assert compare.main(["regimes.yaml"]) == 0
    assert numbers(place / "stopped") == numbers(place / "runs" / "regimes")
    assert (place / "stopped" / "summary.json").read_bytes() == (
        place / "runs" / "regimes" / "summary.json"
    ).read_bytes()


def test_the_config_of_a_run_gives_the_same_run(place: Path) -> None:
    """The complete config in the folder is taken again, with every rule where it took part."""
    rules = ["static", "echelon_order_up_to"]
    config(place, rules=rules, regimes=["isolated", "kaizen2"], evaluation={"worlds": 2})
    assert compare.main(["regimes.yaml"]) == 0
    folder = place / "runs" / "regimes"
    assert compare.main([str(folder / "config.yaml"), "--output", "again"]) == 0
    assert (place / "again" / "summary.json").read_bytes() == (folder / "summary.json").read_bytes()
    again = load_experiment(folder / "config.yaml", CompareConfig).policies["echelon_order_up_to"]
    assert again.regimes == ["kaizen2"]
