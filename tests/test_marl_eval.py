"""marl_eval.json: the layout that marl-eval checks (Gorsane et al. 2022), filled with the numbers of the run."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import experimenting
import numpy as np
import pytest
from experimenting import LEARNER, POLICIES, written

from agents.experiments.comparison import Cell
from agents.experiments.marl_eval import MOST_STEPS, _named

compare = experimenting.module("compare")
COMPARISON: dict[str, Any] = {
    "scenario": {"scenario": "serial", "periods": 6},
    "policy": {"name": "walk.py:Walk", "options": {"steps": 130, "every": 130}},
    "rules": ["policies.py:Half", {"name": "policies.py:Half", "label": "half, or less", "options": {"order": 0.1}}],
    "regimes": ["isolated", {"regime": "kaizen2", "alignment": 0.5}],
    "seeds": [0, 4],
    "evaluation": {"worlds": 3},
    "tensorboard": False,
}

SHY = """
class Shy(Walk):
    def train(self, task, seed, log):
        if seed == 4 and task.regime.twin == "network":
            raise PolicyError("Shy will not be seen with seed 4")
        super().train(task, seed, log)
"""


def compared(place: Path, name: str = "run", **changes: Any) -> Path:
    """The folder of a comparison."""
    written(place, POLICIES, "policies.py")
    written(place, LEARNER + SHY, "walk.py")
    written(place, COMPARISON | changes)
    compare.main([str(place / "config.yaml"), "--output", str(place / name)])
    return place / name


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compared(tmp_path_factory.mktemp("marl_eval"))


def read(folder: Path) -> Any:
    return json.loads((folder / "marl_eval.json").read_text(encoding="utf-8"))


def checked(told: Any) -> None:
    """What the tool asks of a file, environment by environment: else it cannot stack numbers into arrays."""
    for tasks in told.values():
        algorithms = [tuple(of) for of in tasks.values()]
        assert len(set(algorithms)) == 1
        assert not any("," in name for name in algorithms[0])
        assert len({name.lower() for name in algorithms[0]}) == len(algorithms[0])
        runs = [tuple(of) for task in tasks.values() for of in task.values()]
        assert len(set(runs)) == 1
        each = [of for task in tasks.values() for algorithm in task.values() for of in algorithm.values()]
        assert len({tuple(steps) for steps in each}) == 1
        assert all(list(steps)[-1] == "absolute_metrics" for steps in each)
        assert len({frozenset(step) - {"step_count"} for steps in each for step in steps.values()}) == 1
        for steps in each:
            counts = [step["step_count"] for name, step in steps.items() if name != "absolute_metrics"]
            assert all(isinstance(count, int) for count in counts)
            assert counts == sorted(set(counts))


def test_the_layout_is_what_the_tool_asks(run: Path) -> None:
    """Seen to fail: elapsed_time beside the metrics; rules with one run; regimes' own names, with commas."""
    told = read(run)
    checked(told)
    assert set(told) == {"kaizen_env", "kaizen_env_training"}
    half = "twin network; objective network; alignment 0.5"
    assert list(told["kaizen_env_training"]["serial"]) == ["Walk@isolated", f"Walk@{half}"]
    assert set(told["kaizen_env"]["serial"]) == {
        f"{policy}@{regime}" for policy in ("Walk", "Half", "half; or less") for regime in ("isolated", half)
    }


def test_the_numbers_are_those_of_the_run(run: Path) -> None:
    """Per world from evaluation.csv; a rule the same in every run; steps and what was logged at them.

    Seen to fail: with the first training in every run; with worlds sorted; with the first rows of the log.
    """
    told = read(run)
    reached = told["kaizen_env"]["serial"]
    with (run / "evaluation.csv").open(newline="") as opened:
        rows = [row for row in csv.DictReader(opened) if row["regime"] == "isolated"]
    for policy, seed, of in (("Walk", "0", "0"), ("Walk", "4", "4"), ("Half", "0", "0"), ("Half", "4", "0")):
        worlds = [row for row in rows if (row["policy"], row["seed"]) == (policy, of)]
        steps = reached[f"{policy}@isolated"][f"seed_{seed}"]
        for metric in ("end_customer_value", "customer_surplus", "network_profit", "platform_revenue"):
            numbers = [float(row[metric]) for row in worlds]
            assert steps["absolute_metrics"][metric] == numbers
            assert steps["step_0"][metric] == [pytest.approx(np.mean(numbers), rel=1e-12)]
        assert steps["step_0"]["step_count"] == (130 if policy == "Walk" else 0)
    with (run / "results/serial/isolated/Walk/seed_4/training.csv").open(newline="") as opened:
        log = {int(row["step"]): float(row["length"]) for row in csv.DictReader(opened)}
    steps = told["kaizen_env_training"]["serial"]["Walk@isolated"]["seed_4"]
    last = steps.pop("absolute_metrics")
    assert len(steps) == MOST_STEPS
    counts = [step["step_count"] for step in steps.values()]
    assert (counts[0], counts[-1]) == (1, 130)
    assert all(step["length"] == [log[step["step_count"]]] for step in steps.values())
    assert last == {"length": [log[130]]}


def test_a_seed_that_fails_somewhere_is_left_out(tmp_path: Path) -> None:
    """The tool wants the same runs everywhere. Seen to fail: with every seed that came through."""
    policy = {"name": "walk.py:Shy", "options": {"steps": 7}}
    told = read(compared(tmp_path, policy=policy))
    checked(told)
    assert set(told["kaizen_env"]["serial"]["Half@isolated"]) == {"seed_0"}
    assert set(told["kaizen_env_training"]["serial"]["Shy@isolated"]) == {"seed_0"}


def test_rules_alone_have_no_training(tmp_path: Path) -> None:
    told = read(compared(tmp_path, policy="policies.py:Half", rules=["static"]))
    checked(told)
    assert set(told) == {"kaizen_env"}
    assert set(told["kaizen_env"]["serial"]["static@isolated"]) == {"seed_0"}


def test_two_runs_of_a_config_tell_the_same(run: Path, tmp_path: Path) -> None:
    """To the last bit: no clock is in it, nor in the profiles. Seen to fail: with a time in the file."""
    again = compared(tmp_path)
    for name in ("marl_eval.json", "profiles.csv"):
        assert (again / name).read_bytes() == (run / name).read_bytes(), name


def test_names_stay_different_in_lower_case() -> None:
    """Seen to fail: without the number."""
    cell = Cell(())
    assert list(_named([("Half@a,b", cell), ("half@A;b", cell), ("HALF@a,b", cell)])) == [
        "Half@a;b",
        "half@A;b (2)",
        "HALF@a;b (3)",
    ]
