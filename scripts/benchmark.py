"""A leaderboard: policies on scenarios under regimes, all in the same luck.

    python scripts/benchmark.py configs/benchmark.yaml
    python scripts/benchmark.py configs/benchmark.yaml --policy path/to/mine.py:Mine --policy runs/x/seed_0/policy
    python scripts/benchmark.py configs/benchmark.yaml --set evaluation.worlds=20 --jobs 2
    python scripts/benchmark.py configs/benchmark.yaml --resume     go on after Ctrl-C, a kill, a full disk

Rules are run, learners trained first, for every scenario, regime and seed. Every policy meets the same worlds, which no
training has met. `static` always takes part: it is what the others are compared with. A policy that fails is listed
and stops no other. The run folder holds leaderboard.csv, summary.json and under results/ everything of every policy.

Exit status: 0 all done; 1 a policy failed, and is listed; 2 the command, the config or the folder cannot be used, and
nothing was begun; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agents.experiments.bound import reached_by_foresight
from agents.experiments.command import carry_out, parser
from agents.experiments.config import REFERENCE, BenchmarkConfig, Experiment
from agents.experiments.folder import RunFolder
from agents.experiments.statistics import estimate
from agents.experiments.unit import Outcome
from agents.files import replace

COLUMNS: tuple[str, ...] = (
    "scenario",
    "regime",
    "policy",
    "memory",
    "seeds",
    "worlds",
    "mean",
    "low",
    "high",
    "difference",
    "difference_low",
    "difference_high",
    "share",
    "seconds_per_period",
)


def main(arguments: list[str] | None = None) -> int:
    options = parser("benchmark", __doc__ or "")
    options.add_argument(
        "--policy", metavar="SPEC", action="append", default=[], help="one more: a name, file.py:Class, a saved policy"
    )
    given = options.parse_args(arguments)
    return carry_out("benchmark", BenchmarkConfig, given, report, given.policy)


def report(experiment: Experiment, folder: RunFolder, outcomes: list[Outcome], console: Console) -> None:
    """Write `leaderboard.csv` and `summary.json`, and print a table for every scenario and regime."""
    rows: list[dict[str, Any]] = []
    best = _best(outcomes, reached_by_foresight(experiment, folder.path)) if experiment.config["foresight"] else {}
    for (scenario, regime), cell in groupby(outcomes, lambda o: (o.unit.scenario.name, o.unit.regime_label)):
        board = leaderboard(scenario, regime, list(cell), best.get(scenario))
        rows += board
        if board:
            console.print(table(scenario, regime, board))
    for scenario, value in best.items():
        console.print(f"{escape(scenario)}: share 0 = {REFERENCE}, 1 = foresight ({_number(value)})", highlight=False)
    for label, memory in {row["policy"]: row["memory"] for row in rows if row["memory"] != "none"}.items():
        console.print(f"memory of {escape(label)}: {escape(memory)}", highlight=False)
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    replace(folder.path / "leaderboard.csv", text.getvalue().encode())
    failed = [{"unit": outcome.unit.name, "error": outcome.error} for outcome in outcomes if outcome.error]
    timeless = [{name: row[name] for name in COLUMNS if name != "seconds_per_period"} for row in rows]
    summary = {"name": experiment.name, "leaderboard": timeless, "failed": failed}
    replace(folder.path / "summary.json", json.dumps(summary, indent=1).encode())
    console.print(f"run folder: {folder.path}", soft_wrap=True, highlight=False)


def _best(outcomes: Iterable[Outcome], reached: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Of every scenario, the mean over worlds of the best that is known to be possible.

    Whoever knows the luck could do what any policy here has done, so that is possible too.
    """
    best = dict(reached)
    for outcome in outcomes:
        if outcome.values is not None:
            name = outcome.unit.scenario.name
            best[name] = np.maximum(best[name], outcome.values)
    return {name: float(values.mean()) for name, values in best.items()}


def leaderboard(
    scenario: str, regime: str, outcomes: Iterable[Outcome], best: float | None = None
) -> list[dict[str, Any]]:
    """A row of `COLUMNS` for each policy that came through, best first; money is end-customer value per period.

    `share` is what part a policy reaches of what `best`, with foresight, adds to `static`.
    """
    of_policy: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.values is not None:
            of_policy.setdefault(outcome.unit.policy.called, []).append(outcome)
    # (seeds, worlds) of each; world w is the same luck for all, so that differences are taken within worlds.
    values = {label: np.stack([o.values for o in found if o.values is not None]) for label, found in of_policy.items()}
    rows = []
    for label, found in of_policy.items():
        mean, low, high = estimate(values[label])
        apart: tuple[Any, ...] = (None, None, None)
        if REFERENCE in values and label != REFERENCE:
            apart = estimate(values[label] - values[REFERENCE])
        seconds = float(np.mean([outcome.timing["seconds_per_period"] for outcome in found]))
        worlds, memory = values[label].shape[1], found[0].summary["memory"]
        still = float(values[REFERENCE].mean()) if REFERENCE in values else None
        share = (mean - still) / (best - still) if best is not None and still is not None and best > still else None
        numbers = (len(found), worlds, mean, low, high, *apart, share, seconds)
        rows.append(dict(zip(COLUMNS, (scenario, regime, label, memory, *numbers), strict=True)))
    return sorted(rows, key=lambda row: -row["mean"])


def table(scenario: str, regime: str, rows: list[dict[str, Any]]) -> Table:
    """The leaderboard of one scenario and regime, at most 100 columns wide."""
    found = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        title=escape(f"{scenario}, {regime}: end-customer value per period, {rows[0]['worlds']} worlds"),
        title_justify="left",
    )
    found.add_column("policy", overflow="fold")
    shares = any(row["share"] is not None for row in rows)
    heads = ("mean", "95 % interval", f"− {REFERENCE}", "95 % interval")
    for name in (*heads, *(["share"] if shares else []), "ms a period"):
        found.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        label = row["policy"] if row["seeds"] == 1 else f"{row['policy']} ({row['seeds']} seeds)"
        apart = ["", ""]
        if row["difference"] is not None:
            apart = [
                _signed(row["difference"]),
                f"{_signed(row['difference_low'])} … {_signed(row['difference_high'])}",
            ]
        interval = f"{_number(row['low'])} … {_number(row['high'])}"
        times = f"{row['seconds_per_period'] * 1e3:.2f}"
        share = [f"{row['share']:.2f}"] if shares else []
        found.add_row(escape(label), _number(row["mean"]), interval, *apart, *share, times)
    return found


def _number(value: float) -> str:
    """About four digits."""
    size = abs(value)
    return f"{value:.4g}" if size >= 1e6 else f"{value:,.{0 if size >= 1e3 else 1 if size >= 100 else 2}f}"


def _signed(value: float) -> str:
    return ("+" if value >= 0 else "") + _number(value)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print(
            "\nbenchmark: stopped; what is finished stays, and the same command with --resume goes on", file=sys.stderr
        )
        sys.exit(130)
