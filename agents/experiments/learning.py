"""Learning curves: what the log of a training says of how well it went, step by step."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .comparison import Cell
from .unit import read_evaluation

REWARD = "reward"  # the column of training.csv that is taken, or else the first one after `step`
COUNT = "agent_steps"  # where a learner counts what its agents have done, as well as its own steps


class Curve(NamedTuple):
    """One training by its log; rows whose number is not finite (a step that diverged and was undone) are left out."""

    seed: int
    quantity: str  # name of the column: what is told is the learner's own choice, and its unit
    steps: np.ndarray  # (rows,) steps of the training
    counts: np.ndarray  # (rows,) steps that agents have taken in an environment; where it is not told, `steps`
    values: np.ndarray  # (rows,) in the worlds of the training, and as its regime pays: no two regimes compare


def curves(cell: Cell) -> list[Curve]:
    """A curve of every training of one policy under one regime; none for what was not trained, or told nothing."""
    found = []
    for outcome in cell.outcomes:
        log = outcome.unit.folder / "training.csv"
        if not log.exists() or len(log.read_text(encoding="utf-8").splitlines()) < 2:
            continue
        columns = read_evaluation(log)
        told = [name for name in columns if name not in ("step", COUNT)]
        if not told:
            continue
        quantity = REWARD if REWARD in told else told[0]
        known = np.isfinite(columns[quantity])
        if known.any():
            steps, counts = columns["step"], columns.get(COUNT, columns["step"])
            found.append(Curve(outcome.unit.seed, quantity, steps[known], counts[known], columns[quantity][known]))
    return found
