"""Running scripts/train.py, benchmark.py and compare.py in tests, and policies to run with them."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import yaml

from agents.files import read_arrays

ROOT = Path(__file__).parents[1]

# A learner whose every step follows from what is learnt, its own number and the seed, as the protocol asks.
LEARNER = """
import time
import numpy as np
from agents.policy import PolicyError
from agents.training import Learner, TrainingError

class Walk(Learner):
    def __init__(self, steps=30, pause=0.0, fails_with_seed=None, every=1):
        self.steps, self.pause, self.fails_with_seed, self.every = steps, pause, fails_with_seed, every
        self.place = np.zeros(2)

    def train(self, task, seed, log):
        done, kept = log.start(self, task, seed)
        self.place = kept.get("place", self.place)
        for step in range(done, self.steps):
            time.sleep(self.pause)
            if seed == self.fails_with_seed and step == 5:
                raise TrainingError("Walk diverged in step 5; take fewer steps")
            self.place = 0.9 * self.place + np.random.default_rng([seed, step]).normal(size=2)
            log.record(step + 1, self.steps, length=float(np.abs(self.place).sum()))
            if (step + 1) % self.every == 0:
                log.checkpoint(step + 1, {"place": self.place})

    def act(self, observations):
        return self.setting.actions(order=0.5 + 0.1 * np.tanh(self.place[0]))

    def arrays(self):
        return {"place": self.place}

    def restore(self, arrays):
        if set(arrays) != {"place"}:
            raise PolicyError(f"Walk has a place, and was given {sorted(arrays)}")
        self.place = arrays["place"]
"""

POLICIES = """
import time
import numpy as np
from agents.policy import Policy

class Half(Policy):
    def __init__(self, order: float = 0.5):
        self.order = order

    def act(self, observations):
        return self.setting.actions(order=self.order)

def as_ever(observation, agent):
    return np.zeros(1)

class Raises(Policy):
    def act(self, observations):
        raise KeyError("nowhere")

class RaisesInReset(Policy):
    def reset(self, setting):
        raise ZeroDivisionError("no world")

    def act(self, observations): ...

class NotANumber(Half):
    def act(self, observations):
        actions = super().act(observations)
        actions[1, 2, 0] = np.nan
        return actions

class WrongShape(Policy):
    def act(self, observations):
        return np.zeros((2, 2))

class WrongType(Policy):
    def act(self, observations):
        return np.full((len(observations), 3, 1), "much")

class Ragged(Policy):
    def act(self, observations):
        return [[[0.0]], [[0.0], [0.0]]]

class Unmakeable(Policy):
    def __init__(self):
        raise RuntimeError("not today")

    def act(self, observations): ...

class Slow(Half):
    def reset(self, setting):
        super().reset(setting)
        self.slept = False

    def act(self, observations):
        if not self.slept:
            time.sleep(1.05)
        self.slept = True
        return super().act(observations)

nothing = 3
"""


def module(name: str) -> ModuleType:
    """A script, imported."""
    spec = importlib.util.spec_from_file_location(f"script_{name}", ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def command(name: str, *arguments: object) -> list[str]:
    return [sys.executable, str(ROOT / "scripts" / f"{name}.py"), *map(str, arguments)]


def environment() -> dict[str, str]:
    """That of this process, with the packages of this repository before all others."""
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def ran(name: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The script in a process of its own."""
    return subprocess.run(
        command(name, *arguments), cwd=cwd, env=environment(), capture_output=True, text=True, check=False
    )


def begun(name: str, *arguments: object, cwd: Path) -> subprocess.Popen[str]:
    """The script at work in a process of its own, which leads a group of processes."""
    return subprocess.Popen(
        command(name, *arguments),
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_answers_interrupts,
    )


def _answers_interrupts() -> None:
    """Ctrl-C counts, also where the tests run in the background of a shell, which ignores it for all it begins."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def written(folder: Path, data: Any, name: str = "config.yaml") -> Path:
    path = folder / name
    path.write_text(data if isinstance(data, str) else yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return path


def steps_done(folder: Path) -> int:
    """Steps of the last checkpoint of a unit; 0 where there is none."""
    file = folder / "checkpoint.npz"
    return int(read_arrays(file)["_step"]) if file.exists() else 0


def until(true: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 60.0) -> None:
    """Wait for it. Raises AssertionError where the process ends before, or nothing comes."""
    end = time.monotonic() + seconds
    while not true():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def read_json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def contents(folder: Path) -> dict[str, str]:
    """Hash of every file below, by its path."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def numbers(folder: Path) -> dict[str, str]:
    """As `contents`, without what tells of the time, the place and the machine, and without what a stop leaves."""
    left_out = ("timing.json", "leaderboard.csv", "versions.json", ".lock", "config.yaml", "error.txt")
    kept = {name: what for name, what in contents(folder).items() if not name.endswith(left_out)}
    return {name: what for name, what in kept.items() if "tensorboard" not in name and not name.endswith(".new")}


def same_arrays(one: Path, other: Path) -> bool:
    """Whether two saved policies hold the same, to the last bit."""
    first, second = read_arrays(one / "arrays.npz"), read_arrays(other / "arrays.npz")
    return set(first) == set(second) and all(np.array_equal(first[name], second[name]) for name in first)
