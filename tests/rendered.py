"""Environments in mid-episode, and what their tables and pictures show, for the tests of rendering."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb

from kaizen_env import BatchEnv, Scenario, load_scenario
from kaizen_env.envs.render import render
from kaizen_env.pictures import picture

WILLEMS = (Path(__file__).parents[1] / ".." / "shared" / "willems").resolve()
LONG_REGIME = {"twin": "members", "objective": "group", "alignment": 0.25, "twin_lag": 3, "shared_twin_noise": 0.1}
SUFFIXES = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


def played(scenario: Any, regime: Any = "isolated", steps: int = 8, worlds: int = 1, **overrides: Any) -> BatchEnv:
    """A batch in mid-episode, after random actions."""
    batch = BatchEnv(scenario, regime, worlds, auto_reset=False, **overrides)
    batch.reset(seed=5)
    rng = np.random.default_rng(1)
    for _ in range(steps):
        batch.step(rng.uniform(-1, 1, (worlds, batch.companies, len(batch.action_names))))
    return batch


def mortal(limit: float = 2e6) -> Scenario:
    """The electric car with companies that can go bankrupt."""
    scenario = load_scenario("electric_car")
    return scenario.changed(companies=[c.model_copy(update={"credit_limit": limit}) for c in scenario.companies])


def rows_of(text: str) -> dict[str, dict[str, str]]:
    """The cells of a table by company and column; cells stand right under the names of their columns."""
    lines = text.split("\n")
    head = next(line for line in lines if line.startswith("company "))
    names = ["on hand", "inputs", "in transit", "backlog", "orders", "profit", "waste", "culture", "twin", "alive"]
    ends = {name: head.index(name) + len(name) for name in names if name in head}
    table = lines[lines.index(head) + 1 :]
    rows = {}
    for line in table[: next(i for i, line in enumerate(table) if line.startswith("network")) + 1]:
        starts = [20, *ends.values()]
        rows[line[:20].strip()] = {
            name: line[a:b].strip() for (name, b), a in zip(ends.items(), starts[:-1], strict=True)
        }
    return rows


def value(cell: str) -> float:
    return float(cell[:-1]) * SUFFIXES[cell[-1]] if cell[-1] in SUFFIXES else float(cell)


def share_of_colour(pixels: np.ndarray, colour: str) -> float:
    """Share of the pixels that have a colour, within the rounding of antialiasing."""
    return float((np.abs(pixels.astype(int) - np.array(to_rgb(colour)) * 255).max(axis=-1) <= 3).mean())


def changed(batch: BatchEnv, **fields: Any) -> np.ndarray:
    """The body of the picture of the same moment with other fields of the state."""
    other = batch.copy()
    other.state = other.state._replace(**fields)
    pixels = render(other, "rgb_array")
    assert isinstance(pixels, np.ndarray)
    return pixels[picture.HEAD : -picture.FOOT]
