"""scripts/benchmark.py: the numbers of the leaderboard, and that what fails is named and stops nothing else."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import experimenting
import numpy as np
import pytest
import yaml
from experimenting import POLICIES, contents, numbers, ran, read_json, written

from agents.experiments import bound
from agents.experiments.config import Evaluation
from agents.experiments.statistics import estimate
from agents.loading import make_policy, save_policy
from agents.rollout import run
from kaizen_env import BatchEnv, load_scenario

benchmark = experimenting.module("benchmark")

SHORT: dict[str, Any] = {"scenario": "serial", "periods": 10}
BOARD: dict[str, Any] = {
    "scenarios": [SHORT],
    "regimes": ["isolated"],
    "policies": ["policies.py:Half"],
    "evaluation": {"worlds": 6},
    "warm_up": 0,
    "tail": 0,
    "tensorboard": False,
}


def board(place: Path, **changes: Any) -> Path:
    return written(place, BOARD | changes, "board.yaml")


def rows(place: Path) -> list[dict[str, str]]:
    with (place / "runs" / "board" / "leaderboard.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def directly(policy: str, regime: str = "isolated", worlds: int = 6, **options: Any) -> np.ndarray:
    """End-customer value of a policy in the worlds of an evaluation, without any script."""
    scenario = load_scenario(SHORT)
    return run(make_policy(policy, **options), scenario, regime, Evaluation(worlds=worlds).seeds()).end_customer_value


# --- the numbers -----------------------------------------------------------------------------------------------------


def test_the_leaderboard_is_what_the_policies_reach(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Best first, in common luck, against `static`. Seen to fail: with each policy in worlds of its own."""
    much = {"name": "policies.py:Half", "label": "much", "options": {"order": 0.6}}
    board(place, policies=["random", much, "policies.py:Half", "policies.py:as_ever"])
    assert benchmark.main(["board.yaml"]) == 0
    got = {row["policy"]: row for row in rows(place)}
    values = {
        "random": directly("random"),
        "much": directly("policies.py:Half", order=0.6),
        "Half": directly("policies.py:Half"),
        "as_ever": directly("policies.py:as_ever"),
        "static": directly("static"),
    }
    assert set(got) == set(values)
    for label, value in values.items():
        assert float(got[label]["mean"]) == value.mean()
        if label != "static":
            assert float(got[label]["difference"]) == pytest.approx((value - values["static"]).mean(), abs=1e-12)
    means = [float(row["mean"]) for row in rows(place)]
    assert means == sorted(means, reverse=True)
    summary = read_json(place / "runs" / "board" / "summary.json")
    assert [row["mean"] for row in summary["leaderboard"]] == means
    assert summary["failed"] == []
    said = capsys.readouterr().out
    assert "much" in said
    assert all(len(line) <= 100 for line in said.splitlines() if not line.startswith("run folder"))


def test_learners_are_trained_with_every_seed(place: Path) -> None:
    """And their worlds are told together. Seen to fail: with the first seed alone."""
    board(place, policies=["walk.py:Walk", "static"], seeds=[1, 2, 3])
    assert benchmark.main(["board.yaml"]) == 0
    folder = place / "runs" / "board" / "results" / "serial" / "isolated"
    assert sorted(p.name for p in (folder / "Walk").iterdir()) == ["seed_1", "seed_2", "seed_3"]
    assert [p.name for p in (folder / "static").iterdir()] == ["seed_1"]
    walk = next(row for row in rows(place) if row["policy"] == "Walk")
    each = [read_json(folder / "Walk" / f"seed_{s}" / "summary.json")["per_period"] for s in (1, 2, 3)]
    assert float(walk["mean"]) == pytest.approx(np.mean([e["end_customer_value"] for e in each]), rel=1e-12)
    assert walk["seeds"] == "3"


@pytest.mark.slow
def test_the_same_with_two_processes(place: Path) -> None:
    board(place, policies=["walk.py:Walk", "random", "policies.py:Raises"], regimes=["isolated", "kaizen2"])
    assert benchmark.main(["board.yaml"]) == 1
    done = ran("benchmark", "board.yaml", "--jobs", 2, "--output", "two", cwd=place)
    assert done.returncode == 1
    assert numbers(place / "runs" / "board") == numbers(place / "two")


def test_shares_of_foresight(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """0 is `static`, 1 what is reached by whoever knows the luck: nobody has more in any world.

    Seen to fail: counted from 0; without what the policies have reached.
    """
    half, static = directly("policies.py:Half"), directly("static")
    over = np.where(np.arange(6) < 3, 5.0, -5.0)  # in half of the worlds a policy has done better
    found = SimpleNamespace(reached=np.maximum(half, static) + over)
    monkeypatch.setattr(bound, "foresight", lambda *_, **__: found)
    board(place, foresight=True)
    assert benchmark.main(["board.yaml"]) == 0
    best = np.maximum(half, static).mean() + 2.5
    shares = {row["policy"]: float(row["share"]) for row in rows(place)}
    assert shares["static"] == 0.0
    assert shares["Half"] == pytest.approx((half.mean() - static.mean()) / (best - static.mean()), rel=1e-9)
    assert "share 0 = static, 1 = foresight" in capsys.readouterr().out


def test_every_scenario_and_regime_has_its_table(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    regimes = ["isolated", {"regime": "kaizen2", "alignment": 0.5}, {"twin": "echelon", "label": "seen far"}]
    team = {"scenario": "team", "periods": 5}
    only = {"name": "random", "scenarios": ["team"], "regimes": ["seen far"]}
    board(place, scenarios=[SHORT, team], regimes=regimes, policies=["static", only])
    assert benchmark.main(["board.yaml"]) == 0
    cells = [(row["scenario"], row["regime"], row["policy"]) for row in rows(place)]
    labels = ["isolated", "twin network, objective network, alignment 0.5", "seen far"]
    everywhere = [(scenario, label, "static") for scenario in ("serial", "team") for label in labels]
    assert [cell for cell in cells if cell[2] == "static"] == everywhere
    assert [cell for cell in cells if cell[2] == "random"] == [("team", "seen far", "random")]
    said = capsys.readouterr().out
    for label in labels:
        assert f"team, {label}:" in said


def test_a_saved_policy_takes_part(place: Path) -> None:
    """By its folder, also on the command line, with the numbers that it had before."""
    env = BatchEnv(load_scenario(SHORT), "isolated")
    save_policy(make_policy("policies.py:Half", order=0.4), place / "kept", env)
    board(place, policies=[{"saved": "kept", "label": "mine"}])
    assert benchmark.main(["board.yaml", "--policy", "kept", "--policy", "random"]) == 0
    got = {row["policy"]: float(row["mean"]) for row in rows(place)}
    assert set(got) == {"mine", "kept", "random", "static"}
    assert got["mine"] == got["kept"] == directly("policies.py:Half", order=0.4).mean()


# --- what fails ------------------------------------------------------------------------------------------------------

FAILURES = {
    "policies.py:Raises": "policy 'Raises', period 0: act raised KeyError: 'nowhere'",
    "policies.py:RaisesInReset": "policy 'RaisesInReset': reset raised ZeroDivisionError: no world",
    "policies.py:NotANumber": "policy 'NotANumber', period 0, company 'retailer': 'order' in world 1 is nan",
    "policies.py:WrongShape": "policy 'WrongShape', period 0: actions of shape (2, 2); allowed: (6, 3, 1)",
    "policies.py:WrongType": "policy 'WrongType', period 0: actions of type <U4",
    "policies.py:Ragged": "policy 'Ragged', period 0: the actions are ragged",
    "policies.py:Unmakeable": "cannot be made: RuntimeError: not today",
    "policies.py:Nothing": "has no 'Nothing'; it has: ",
    "broken.py:Mine": "cannot be imported: SyntaxError",
    "leaves.py:Mine": "cannot be imported: SystemExit: 0",
    "absent.py:Mine": "there is no file",
    "absent.module:Mine": "cannot be imported: ModuleNotFoundError",
    "echelon_order_up": "there is no agent 'echelon_order_up'; did you mean 'echelon_order_up_to'?",
}


def test_what_fails_is_named_and_stops_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its own line. Seen to fail: with an error that leaves `run`."""
    written(place, "def (", "broken.py")
    written(place, "import sys\nsys.exit(0)", "leaves.py")
    named = [{"name": name, "label": f"p{i}"} for i, name in enumerate(FAILURES)]
    board(place, policies=[*named, "policies.py:Half"])
    assert benchmark.main(["board.yaml"]) == 1
    said = capsys.readouterr().err
    for i, (name, why) in enumerate(FAILURES.items()):
        line = next(
            line for line in said.splitlines() if line.startswith(f"benchmark: p{i}, serial, isolated, seed 0: ")
        )
        assert why in line, name
    assert f"{len(FAILURES)} of {len(FAILURES) + 2} failed" in said
    assert {row["policy"] for row in rows(place)} == {"Half", "static"}
    failed = read_json(place / "runs" / "board" / "summary.json")["failed"]
    assert len(failed) == len(FAILURES)
    trace = place / "runs" / "board" / "results" / "serial" / "isolated" / "p0" / "seed_0" / "error.txt"
    assert "policies.py" in trace.read_text()  # the place in the user's own file


def test_a_mended_policy_takes_part_on_resume(place: Path) -> None:
    """What was computed stays as it is, bit by bit and unwritten."""
    written(place, POLICIES.replace('raise KeyError("nowhere")', "return 1 / 0"), "mine.py")
    board(place, policies=["mine.py:Raises", "random"])
    assert benchmark.main(["board.yaml"]) == 1
    folder = place / "runs" / "board" / "results" / "serial" / "isolated"
    before = contents(folder / "random"), (folder / "random" / "seed_0" / "summary.json").stat().st_mtime_ns
    written(place, POLICIES.replace('raise KeyError("nowhere")', "return self.setting.actions(order=0.5)"), "mine.py")
    done = ran("benchmark", "board.yaml", "--resume", cwd=place)
    assert done.returncode == 0, done.stderr
    assert (contents(folder / "random"), (folder / "random" / "seed_0" / "summary.json").stat().st_mtime_ns) == before
    assert {row["policy"] for row in rows(place)} == {"Raises", "random", "static"}
    assert not (folder / "Raises" / "seed_0" / "error.txt").exists()


@pytest.mark.parametrize(
    "scenario, regime, said",
    [
        ({"scenario": "serial", "order_max": 3}, "isolated", "was made for another scenario hash"),
        ({"scenario": "team", "periods": 10}, "isolated", "was made for another scenario: 'team', here 'serial'"),
        (SHORT, "kaizen2", "was made for another regime: {'twin': 'network', 'objective': 'network'}"),
    ],
)
def test_a_policy_that_was_saved_for_another(
    place: Path, capsys: pytest.CaptureFixture[str], scenario: Any, regime: str, said: str
) -> None:
    save_policy(make_policy("static"), place / "kept", BatchEnv(load_scenario(scenario), regime))
    board(place, policies=[{"saved": "kept"}, "policies.py:Half"])
    assert benchmark.main(["board.yaml"]) == 1
    assert said in capsys.readouterr().err
    assert {row["policy"] for row in rows(place)} == {"Half", "static"}


def test_a_slow_policy_is_named_with_its_time(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And goes on. Seen to fail: with SLOW = 2."""
    board(place, policies=["policies.py:Slow"])
    assert benchmark.main(["board.yaml"]) == 0
    assert "benchmark: slow: policy 'Slow', period 0: act took 1.1 s for 6 worlds" in capsys.readouterr().err
    assert {row["policy"] for row in rows(place)} == {"Slow", "static"}


def test_a_learner_that_fails_with_one_seed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The others are told, and how many they are."""
    board(place, policies=[{"name": "walk.py:Walk", "options": {"fails_with_seed": 2}}], seeds=[1, 2, 3])
    assert benchmark.main(["board.yaml"]) == 1
    captured = capsys.readouterr()
    assert "Walk, serial, isolated, seed 2: policy 'Walk': Walk diverged" in captured.err
    assert "Walk (2 seeds)" in captured.out


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"scenarios": []}, "scenarios: got []"),
        ({"policies": []}, "policies: got []"),
        ({"regimes": "isolated"}, "regimes: got 'isolated'"),
        ({"policy": "static"}, "unknown key 'policy'; did you mean 'policies'?"),
        ({"policies": [{"nmae": "static"}]}, "policies[0].nmae: unknown key 'nmae'; did you mean 'name'?"),
        ({"policies": ["static", {"name": "random", "label": "static"}]}, "policies[1]: 'static' is there already"),
        ({"policies": ["static", "static"]}, "{name: static, label: another}"),
        ({"scenarios": ["serial", SHORT]}, "scenarios[1]: 'serial' is there already"),
        (
            {"regimes": ["kaizen2", {"twin": "network", "objective": "network"}]},
            "regimes[1]: 'kaizen2' is there already",
        ),
        (
            {"policies": [{"name": "static", "regimes": ["isolate"]}]},
            "policies[0].regimes: there is no 'isolate' here; did",
        ),
        ({"policies": [{"name": "static", "scenarios": ["x"]}]}, "policies[0].scenarios: there is no 'x' here"),
        ({"policies": [{"saved": "x", "options": {"a": 1}}]}, "a saved policy brings its own options"),
        ({"regimes": [{"label": "", "twin": "own"}]}, "regimes[0]: label: got ''"),
    ],
)
def test_a_config_that_cannot_be_used(
    place: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], said: str
) -> None:
    board(place, **changes)
    assert benchmark.main(["board.yaml"]) == 2
    assert said in capsys.readouterr().err
    assert not (place / "runs").exists()


def test_a_dry_run_tells_what_would_fail(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    board(place, policies=["walk.py:Walk", "policies.py:Raises"], seeds=[1, 2])
    assert benchmark.main(["board.yaml", "--dry-run"]) == 1
    captured = capsys.readouterr()
    assert "act raised KeyError" in captured.err
    assert "4 evaluations of 6 worlds, after 2 trainings" in captured.out
    assert not (place / "runs").exists()


# --- names and paths -------------------------------------------------------------------------------------------------


def test_no_name_leads_out_of_the_run_folder(place: Path) -> None:
    """Labels of regimes may be anything; names of policies may be paths. Seen to fail: with labels as file names."""
    regimes = [{"label": label} for label in ("../../up", "/up", "..", "a/b", "C:\\up", "\x00", "up\n", "ü" * 200)]
    (place / "deep").mkdir()
    shutil.copy(place / "policies.py", place / "deep" / "policies.py")
    board(place, regimes=regimes, policies=["deep/policies.py:Half"])
    before = set(contents(place))
    assert benchmark.main(["board.yaml"]) == 0
    new = [Path(name) for name in set(contents(place)) - before if "__pycache__" not in name]
    assert all(name.parts[:2] == ("runs", "board") for name in new)
    folders = [p.name for p in (place / "runs" / "board" / "results" / "serial").iterdir()]
    assert len(folders) == len(regimes)
    assert {row["regime"] for row in rows(place)} == {regime["label"] for regime in regimes}


# --- intervals -------------------------------------------------------------------------------------------------------


def test_the_interval_is_that_of_theory() -> None:
    """For the mean of many normal numbers ± 1.96 σ/√n; with seeds as chance too, both variances add.

    Seen to fail: with worlds drawn without replacement; with seeds left as they are.
    """
    rng = np.random.default_rng(1)
    worlds = rng.normal(10.0, 2.0, (1, 400))
    mean, low, high = estimate(worlds)
    half = 1.96 * worlds.std() / 20.0
    assert mean == worlds.mean()
    assert (mean - low, high - mean) == pytest.approx((half, half), rel=0.1)
    both = rng.normal(0.0, 3.0, (60, 1)) + rng.normal(0.0, 2.0, (1, 80))
    mean, low, high = estimate(both)
    half = 1.96 * np.sqrt(both.mean(axis=1).var() / 60 + both.mean(axis=0).var() / 80)
    assert (mean - low, high - mean) == pytest.approx((half, half), rel=0.1)


def test_the_interval_of_what_does_not_vary() -> None:
    """And the same values give the same interval."""
    assert estimate(np.full((2, 5), 3.0)) == pytest.approx((3.0, 3.0, 3.0), abs=1e-12)
    values = np.random.default_rng(0).normal(size=(3, 7))
    assert estimate(values) == estimate(values.copy())


# --- what the repository brings --------------------------------------------------------------------------------------


def test_the_benchmark_of_the_repository_runs(place: Path) -> None:
    """Every rule wherever it takes part, in few and short worlds."""
    config = experimenting.ROOT / "configs" / "benchmark.yaml"
    changes = [f"scenarios.{i}.periods=8" for i in range(len(yaml.safe_load(config.read_text())["scenarios"]))]
    sets = [word for change in [*changes, "evaluation.worlds=2"] for word in ("--set", change)]
    assert benchmark.main([str(config), *sets]) == 0


def test_the_template_of_the_docs_takes_part(place: Path) -> None:
    """Copied out of docs/agents.md into a file outside the repository, and named on the command line."""
    page = (experimenting.ROOT / "docs" / "agents.md").read_text(encoding="utf-8")
    template = page.split("```python\n", 1)[1].split("```", 1)[0]
    assert len(template.splitlines()) <= 30
    written(place, template, "mine.py")
    board(place, policies=["static"], regimes=["isolated", "kaizen2"], scenarios=["serial", "cola"])
    sets = ("--set", "scenarios.0.periods=10", "--set", "scenarios.1.periods=10")
    assert benchmark.main(["board.yaml", "--policy", "mine.py:Mine", *sets]) == 0
    assert len([row for row in rows(place) if row["policy"] == "Mine"]) == 4
