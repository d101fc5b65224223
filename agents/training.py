"""Policies that train, and the log of a training: numbers, checkpoints, progress."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kaizen_env import BatchEnv, Regime, Scenario

from .files import read_arrays, replace, write_arrays
from .loading import dates, made_for
from .policy import Policy, PolicyError


class TrainingError(PolicyError):
    """Training cannot go on; what was written before stays."""


@dataclass(frozen=True)
class Task:
    """What a learner is trained for."""

    scenario: Scenario
    regime: Regime

    @staticmethod
    def of(scenario: Any, regime: Any = "isolated", **overrides: Any) -> Task:
        """A task from what `BatchEnv` takes. Raises DescriptionError."""
        env = BatchEnv(scenario, regime, **overrides)
        return Task(env.scenario, env.regime)

    def env(self, worlds: int = 1, *, auto_reset: bool = False) -> BatchEnv:
        """An environment of so many worlds."""
        return BatchEnv(self.scenario, self.regime, worlds, auto_reset=auto_reset)


class Learner(Policy):
    """A policy that is trained before it acts. After `train` it acts as trained; `arrays` is what it has learnt.

    A training is a number of steps of equal size, each of which follows from what is learnt so far, its own number and
    the seed alone: so a training that was stopped and goes on from a checkpoint ends as if it had never stopped.
    """

    @abstractmethod
    def train(self, task: Task, seed: int, log: Log) -> None:
        """Train for `task`, from the checkpoint of `log` where there is one. Raises TrainingError when it diverges."""


class Log:
    """Where a training writes: `training.csv`, TensorBoard events, `checkpoint.npz`; to nowhere without a folder.

    `progress` is called with (steps done, steps in all, numbers of the last row).
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        tensorboard: bool = False,
        resume: bool = False,
        progress: Callable[[int, int, Mapping[str, float]], None] | None = None,
    ) -> None:
        self.folder = None if folder is None else Path(folder)
        self.progress = progress
        self.rows: list[dict[str, float]] = []
        self._start: tuple[int, dict[str, np.ndarray]] | None = None
        self._writer: Any = None
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        if resume:
            self._load()
        elif (self.folder / "checkpoint.npz").exists():
            raise TrainingError(
                f"{self.folder} holds a checkpoint; go on from it with resume=True, or name another folder"
            )
        self._write_rows()
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            purge = None if self._start is None else self._start[0] + 1
            self._writer = SummaryWriter(str(self.folder / "tensorboard"), purge_step=purge)

    def start(self, learner: Learner, task: Task, seed: int) -> tuple[int, dict[str, np.ndarray]]:
        """Steps done and what the checkpoint holds; (0, {}) at the beginning.

        Raises TrainingError for the checkpoint of another learner, task or seed.
        """
        self._owner = {
            "policy": learner.name,
            "options": learner.options,
            "made_for": made_for(task.env()),
            "episode": [task.scenario.periods, task.regime.warm_up, task.regime.kaizen_delay, *dates(task.scenario)],
            "seed": seed,
        }
        if self._start is None:
            return 0, {}
        assert self.folder is not None
        saved = json.loads((self.folder / "checkpoint.json").read_text())
        for key, value in self._owner.items():
            if saved.get(key) != json.loads(json.dumps(value)):
                raise TrainingError(
                    f"the checkpoint in {self.folder} is of another {key.replace('_', ' ')} ({_short(saved.get(key))},"
                    f" now {_short(value)}); resume with what it was begun with, or train into another folder"
                )
        return self._start

    def record(self, step: int, total: int, **numbers: float) -> None:
        """A row of the log: after `step` of `total` steps."""
        row = {"step": step, **{name: float(value) for name, value in numbers.items()}}
        self.rows.append(row)
        if self.folder is not None:
            with (self.folder / "training.csv").open("a", newline="") as file:
                writer = csv.DictWriter(file, list(self.rows[0]))
                if len(self.rows) == 1:
                    writer.writeheader()
                writer.writerow(row)
        if self._writer is not None:
            for name, value in numbers.items():
                self._writer.add_scalar(name, value, step)
        if self.progress is not None:
            self.progress(step, total, numbers)

    def checkpoint(self, step: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep what is needed to go on after `step`; a kill leaves the last checkpoint or this one, whole.

        The row of `step` is recorded before: rows after the checkpoint are done again on resume, none is missing.
        """
        if self.folder is None:
            return
        replace(self.folder / "checkpoint.json", json.dumps(self._owner).encode())
        write_arrays(self.folder / "checkpoint.npz", {**arrays, "_step": np.array(step)})

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _load(self) -> None:
        assert self.folder is not None
        file = self.folder / "checkpoint.npz"
        if not file.exists():
            return
        try:
            arrays = read_arrays(file)
            step = int(arrays.pop("_step"))
            lines = (self.folder / "training.csv").read_text().splitlines(keepends=True)
            if lines and not lines[-1].endswith("\n"):  # cut by a full disk
                lines.pop()
            read = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(lines)]
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise TrainingError(
                f"the checkpoint {file} is broken ({type(error).__name__}: {error}); remove it to begin anew"
            ) from None
        self._start = step, arrays
        self.rows = [row | {"step": int(row["step"])} for row in read if row["step"] <= step]

    def _write_rows(self) -> None:
        """The rows up to the checkpoint, and no more."""
        assert self.folder is not None
        text = io.StringIO()
        if self.rows:
            writer = csv.DictWriter(text, list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)
        replace(self.folder / "training.csv", text.getvalue().encode())


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else text[:77] + "..."
