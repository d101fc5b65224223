"""A comparison in the JSON layout of marl-eval (Gorsane et al. 2022), for those who use that tool's statistics.

    {environment: {task: {algorithm: {run: {step_0: {step_count, metric: [numbers]}, …,
                                            absolute_metrics: {metric: [numbers]}}}}}}

What each level is here:

    environment      `kaizen_env`: what policies reach in the worlds of the evaluation;
                     `kaizen_env_training`: what the log of the learner says. There are two, because the tool wants the
                     same metrics at every step of one environment, and a training is not evaluated on its way.
    task             the scenario, so that files of several scenarios can be joined (its `concatenate_json_files`)
    algorithm        policy@regime, without commas, which the tool does not take, and different in lower case, to which
                     it turns all names
    run              `seed_N`, N the seed of the training. The tool wants the same runs of every algorithm: a seed that
                     did not come through in all regimes is left out. A rule is not trained, and has run once: what it
                     reached stands in every run.
    step_count       steps that agents took in training up to here, as far as the learner counts them, and else steps of
                     its own; 0 for a rule
    absolute_metrics numbers of the policy as it is at the end of its training (Gorsane et al. take the best one met)

In `kaizen_env` the only step is the last, with the mean of every metric; absolute_metrics has a number per world, the
worlds in the same order everywhere: `end_customer_value`, `customer_surplus`, `network_profit`, `platform_revenue`,
money per period, mean over the episode. In `kaizen_env_training` the metric is the column of training.csv that tells
how well it goes (`reward`, or the first), in the learner's own unit and as each regime pays. There are equally many
steps in every run, at most 100, evenly spaced in its log up to the last, whose number absolute_metrics repeats.

`elapsed_time` is left out: two runs of one config would not be the same, and the tool does not need it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .comparison import Cell, Cells
from .learning import Curve, curves

REACHED, TRAINING = "kaizen_env", "kaizen_env_training"
METRICS = ("end_customer_value", "customer_surplus", "network_profit", "platform_revenue")
MOST_STEPS = 100


def marl_eval(scenario: str, learner: str, seeds: Sequence[int], found: Cells) -> dict[str, Any]:
    """All cells of a comparison; `seeds` those of the trainings, `learner` whose training is told."""
    by_name = _named((f"{label}@{regime}", cell) for regime, of in found.items() for label, cell in of.items())
    logs = {name: {c.seed: c for c in curves(cell)} for name, cell in by_name.items()}
    trained = [cell for cell in by_name.values() if _is_trained(cell)]
    common = [seed for seed in seeds if all(seed in _seeds(cell) for cell in trained)]
    runs = common if trained else seeds[:1]
    reached = {
        name: {f"seed_{seed}": _reached(cell, seed, logs[name].get(seed)) for seed in runs}
        for name, cell in by_name.items()
    }
    told = {REACHED: {scenario: reached}}
    training = [name for name, cell in by_name.items() if cell.outcomes[0].unit.policy.called == learner]
    of_learner = {name: [logs[name].get(seed) for seed in runs] for name in training}
    known = [curve for of in of_learner.values() for curve in of if curve is not None]
    if known and len(known) == len(runs) * len(training):  # the tool wants all runs
        count = min(MOST_STEPS, *(len(curve.steps) for curve in known))
        told[TRAINING] = {
            scenario: {
                name: {f"seed_{curve.seed}": _trained(curve, count) for curve in of if curve is not None}
                for name, of in of_learner.items()
            }
        }
    return told


def _named(cells: Iterable[tuple[str, Cell]]) -> dict[str, Cell]:
    """By names without commas that stay different in lower case."""
    found: dict[str, Cell] = {}
    for text, cell in cells:
        plain = name = text.replace(",", ";")
        taken, more = {other.lower() for other in found}, 2
        while name.lower() in taken:
            name, more = f"{plain} ({more})", more + 1
        found[name] = cell
    return found


def _seeds(cell: Cell) -> list[int]:
    return [outcome.unit.seed for outcome in cell.outcomes]


def _is_trained(cell: Cell) -> bool:
    return any((outcome.unit.folder / "training.csv").exists() for outcome in cell.outcomes)


def _reached(cell: Cell, seed: int, log: Curve | None) -> dict[str, Any]:
    """One training of a cell, or what its rule has reached."""
    row = _seeds(cell).index(seed) if seed in _seeds(cell) else 0
    worlds = {metric: cell.column("evaluation", metric)[row] for metric in METRICS}
    return {
        "step_0": {
            "step_count": 0 if log is None else int(log.counts[-1]),
            **{metric: [float(numbers.mean())] for metric, numbers in worlds.items()},
        },
        "absolute_metrics": {metric: numbers.tolist() for metric, numbers in worlds.items()},
    }


def _trained(curve: Curve, count: int) -> dict[str, Any]:
    """One training by `count` rows of its log."""
    rows = np.linspace(0, len(curve.steps) - 1, count).round().astype(int) if count > 1 else np.array([-1])
    steps = {
        f"step_{place}": {"step_count": int(curve.counts[row]), curve.quantity: [float(curve.values[row])]}
        for place, row in enumerate(rows)
    }
    return {**steps, "absolute_metrics": {curve.quantity: [float(curve.values[-1])]}}
