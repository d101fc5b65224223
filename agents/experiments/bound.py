"""What foresight reaches in the worlds of an experiment: computed once, then read from its file."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from kaizen_env import Regime, Scenario

from ..files import replace
from ..foresight import foresight
from ..window import Window
from .config import Experiment
from .folder import file_name
from .unit import as_csv, read_evaluation


def reached_by_foresight(experiment: Experiment, folder: Path) -> dict[str, np.ndarray]:
    """Of every scenario, (worlds,) end-customer value per period; kept in `foresight/SCENARIO.csv`.

    It starts from rules alone, and from no policy of the experiment: so it is the same, whatever came through.
    """
    improves = any(regime.kaizen for regime in experiment.regimes.values())
    seeds = experiment.evaluation.seeds()
    return {
        name: _reached(scenario, experiment.windows[name], improves, seeds, folder / f"foresight/{file_name(name)}.csv")
        for name, scenario in experiment.scenarios.items()
    }


def _reached(scenario: Scenario, window: Window, improves: bool, seeds: list[int], file: Path) -> np.ndarray:
    if file.exists():
        try:
            kept = read_evaluation(file)
            if list(kept["luck"]) == seeds and list(kept["periods counted"]) == [window.periods] * len(seeds):
                return kept["reached"]
        except (ValueError, KeyError):
            pass  # broken: it is computed again
    told, columns = Console(stderr=True), (TextColumn("foresight, {task.description}"), BarColumn(bar_width=24))
    if not told.is_terminal:
        print(f"foresight in {len(seeds)} worlds of {scenario.name}", file=sys.stderr, flush=True)
    with Progress(*columns, console=told, transient=True, disable=not told.is_terminal) as progress:
        bar = progress.add_task("rules")
        found = foresight(
            window.simulated(scenario),
            window.waiting(Regime(kaizen=improves)),
            seeds,
            window=window,
            progress=lambda what, done, steps, _: progress.update(bar, description=what, completed=done, total=steps),
        )
    file.parent.mkdir(exist_ok=True)
    counted = [window.periods] * len(seeds)
    table = {"world": range(len(seeds)), "luck": seeds, "periods counted": counted, "reached": found.reached}
    replace(file, as_csv(table).encode())
    return found.reached
