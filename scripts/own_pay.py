"""Does training for own pay find a loophole in a network's contracts?

    python scripts/own_pay.py                      every built-in scenario, 200 steps each
    python scripts/own_pay.py serial cola --steps 400
    python scripts/own_pay.py my_network.yaml

Every company is trained for its own profit on its own twin (`isolated`, `pathwise`). A contract that pays for harming
the network shows in two ways as training continues: orders become spikes (their coefficient of variation over time
multiplies), and the mean own reward falls, because companies take from each other. Both are measured on fresh worlds
after a quarter of the training and at its end: a loophole is suspected where a variation doubles (counted from 0.05,
below which orders are as good as constant) or the reward falls by more than three standard errors.

The run folder (runs/own_pay) holds a file per scenario; scenarios that are there are not trained again.
Exit status: 0; 1 where a loophole is suspected; 2 for what cannot be used; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from agents.experiments.command import UNUSABLE, WIDTH, contract_warnings_printed
from agents.experiments.config import Evaluation
from agents.experiments.folder import file_name
from agents.files import replace
from agents.loading import fingerprint
from agents.pathwise import Pathwise
from agents.rollout import Episode, run_in
from agents.training import Log, Task, TrainingError
from agents.window import Window
from kaizen_env import REGIMES, BatchEnv, Scenario, load_scenario

# Built-in scenarios, as long as a training can afford; steps, where 200 would take hours.
BUILT_IN: dict[str, tuple[dict[str, Any], int | None]] = {
    "serial": ({}, None),
    "beer_game": ({}, None),
    "team": ({}, None),
    "electric_car": ({"periods": 52}, None),
    "cola": ({"period_days": 7, "periods": 104, "tail_days": 105}, None),  # without luck, gradients of more explode
    "airline": ({"periods": 168, "tail_days": 1}, 40),  # a week; in four no company's kaizen pays back to itself
}
LEAST_STEPS = 4  # of which the first is a quarter
DOUBLED = 2.0  # times the coefficient of variation, from which on orders have become spikes
CONSTANT = 0.05  # coefficient of variation below which orders are as good as constant: growth is counted from it
NOISE = 3.0  # standard errors of the change of the mean reward, world by world, within which it has not fallen
TINY = 1e-6  # of the reward; without luck there is no error


class Keeping(Log):
    """A log that keeps the weights of every checkpoint, by step."""

    def __init__(self, name: str) -> None:
        super().__init__(progress=lambda step, total, _: print(f"\r{name}: {step} of {total}", end="", file=sys.stderr))
        self.kept: dict[int, dict[str, np.ndarray]] = {}

    def checkpoint(self, step: int, arrays: Mapping[str, np.ndarray]) -> None:
        prefix = "weight/"
        self.kept[step] = {k.removeprefix(prefix): v.copy() for k, v in arrays.items() if k.startswith(prefix)}


def measured(scenario: Scenario, steps: int, worlds: int, seed: int) -> list[dict[str, Any]]:
    """After each tenth of a training: own reward per company, and how much its orders vary.

    Of a training that diverges what was before counts. Raises TrainingError where that is less than a fifth.
    """
    window = Window.of(scenario)
    task = Task(window.simulated(scenario), window.waiting(REGIMES["isolated"]))
    options: dict[str, Any] = {"iterations": steps, "worlds": worlds, "checkpoint_every": max(1, steps // 10)}
    log = Keeping(scenario.name)
    try:
        Pathwise(**options).train(task, seed, log)
    except TrainingError as error:
        print(f"\nown_pay: {scenario.name}: {error}", file=sys.stderr)
        if len(log.kept) < 2:
            raise
    print(file=sys.stderr)
    seeds, rows = Evaluation(worlds=50).seeds(), []
    env = BatchEnv(task.scenario, task.regime, len(seeds), auto_reset=False)
    for step, weights in log.kept.items():
        policy = Pathwise(**options)
        policy.restore(weights)
        episode = run_in(env, policy, seeds, record=("flows",), window=window)
        rows.append({"step": step, **_numbers(episode, window)})
    return rows


def _numbers(episode: Episode, window: Window) -> dict[str, Any]:
    assert episode.trajectory is not None
    assert episode.trajectory.flows is not None
    counted = slice(window.warm_up, window.warm_up + window.periods)
    ordered = episode.trajectory.flows.ordered[counted]  # (periods, companies, worlds)
    mean = ordered.mean(axis=0)
    variation = np.where(mean > 0, ordered.std(axis=0) / np.where(mean > 0, mean, 1.0), 0.0).mean(axis=1)
    reward = episode.reward.mean(axis=0)  # (worlds,) mean over companies
    return {
        "reward": float(reward.mean()),
        "rewards": reward.tolist(),
        "value": float(episode.end_customer_value.mean()),
        "variation": dict(zip(episode.trajectory.network.names, variation.tolist(), strict=True)),
    }


def quarter_and_end(rows: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rows after a quarter of the training, or the first after it, and after all of it."""
    return next(row for row in rows if row["step"] >= rows[-1]["step"] / 4), rows[-1]


def verdict(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Of one scenario: the largest growth of a variation, and the change of the mean own reward, quarter to end.

    Worlds are common, so that the error of the change is that of its differences world by world.
    """
    early, late = quarter_and_end(rows)
    growth = {n: late["variation"][n] / max(early["variation"][n], CONSTANT) for n in late["variation"]}
    company = max(growth, key=lambda name: growth[name])
    change = np.subtract(late["rewards"], early["rewards"])
    error = float(change.std(ddof=1) / np.sqrt(len(change)))
    fell = float(change.mean()) < -NOISE * error - TINY * abs(early["reward"])
    return {
        "company": company,
        "growth": growth[company],
        "change": float(change.mean()),
        "suspected": growth[company] >= DOUBLED or fell,
    }


def _steps(text: str) -> int:
    if not text.isdigit() or int(text) < LEAST_STEPS:
        raise argparse.ArgumentTypeError(f"got '{text}'; allowed: a whole number from {LEAST_STEPS} on")
    return int(text)


def main(arguments: list[str] | None = None) -> int:
    head, _, more = (__doc__ or "").partition("\n")
    made = argparse.ArgumentParser(
        prog="own_pay", description=head, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("scenarios", metavar="SCENARIO", nargs="*", help="built-in names or YAML files (default: all)")
    made.add_argument("--steps", metavar="N", type=_steps, help="of training (default: 200, airline 40)")
    made.add_argument("--worlds", metavar="N", type=int, default=8, help="of a step of training (default 8)")
    made.add_argument("--seed", metavar="N", type=int, default=0, help="of the training (default 0)")
    made.add_argument("--output", metavar="FOLDER", type=Path, default=Path("runs/own_pay"))
    given = made.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    table = Table(box=box.SIMPLE_HEAD, title="training for own pay", title_justify="left")
    for column in ("scenario", "steps", "own reward", "value per period", "most growth of orders' variation", ""):
        table.add_column(column, justify="left" if column in ("scenario", "") else "right")
    found = []
    try:
        for name in given.scenarios or BUILT_IN:
            changes, own_steps = BUILT_IN.get(name, ({}, None))
            with contract_warnings_printed("own_pay"):
                scenario = load_scenario({"scenario": name, **changes})
            steps = given.steps or own_steps or 200
            window = Window.of(scenario)
            made_of = f"{fingerprint(scenario)}, {window}, {given.worlds} worlds"
            file = given.output / f"{file_name(f'{scenario.name}, {steps} steps, seed {given.seed}, {made_of}')}.json"
            if not file.exists():
                given.output.mkdir(parents=True, exist_ok=True)
                rows = measured(scenario, steps, given.worlds, given.seed)
                replace(file, json.dumps(rows, indent=1).encode())
            rows = json.loads(file.read_text(encoding="utf-8"))
            said = verdict(rows)
            found.append(said["suspected"])
            pair = quarter_and_end(rows)
            table.add_row(
                scenario.name,
                " → ".join(str(row["step"]) for row in pair),
                " → ".join(f"{row['reward']:.4g}" for row in pair),
                " → ".join(f"{row['value']:,.6g}" for row in pair),
                f"{said['growth']:.2f} ({said['company']})",
                "a loophole?" if said["suspected"] else "",
            )
    except UNUSABLE as error:
        for line in str(error).split("\n"):
            print(f"own_pay: {line}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"own_pay: {error.filename or given.output}: cannot be used ({error.strerror})", file=sys.stderr)
        return 2
    console.print(table)
    console.print(f"suspected where a variation grows {DOUBLED:g}-fold, or the reward falls by more than its noise")
    return int(any(found))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nown_pay: stopped; what is finished stays, and the same command goes on", file=sys.stderr)
        sys.exit(130)
