"""Who opens its twin, at which fee, and who earns by it?

    python scripts/opening.py configs/adoption.yaml
    python scripts/opening.py configs/platform.yaml --resume     go on after Ctrl-C, a kill, a full disk

Every set of open twins is simulated in common luck; then companies answer each other, from nobody open and from
everybody open, at every fee of the config. The run folder holds summary.json (all that is printed, and more),
openings.csv, adoption.png, platform.png, and under sets/ what every set of open twins leads to.

Exit status: 0 all done; 2 the command, the config or the folder cannot be used, and nothing was begun; 130 stopped by
Ctrl-C.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from agents.experiments.command import carry_out, parser
from agents.experiments.comparison_tables import number, signed
from agents.experiments.config import Experiment
from agents.experiments.folder import RunFolder
from agents.experiments.opening_figures import write_figures
from agents.experiments.openings import (
    EVERYBODY,
    NOBODY,
    OpeningConfig,
    PlatformLearner,
    as_table,
    networks,
    openings,
    stages,
    table,
)
from agents.experiments.platform_learning import learnt
from agents.experiments.unit import Outcome
from agents.files import replace


def main(arguments: list[str] | None = None) -> int:
    given = parser("opening", __doc__ or "").parse_args(arguments)
    return carry_out("opening", OpeningConfig, given, report, stages=stages)


def report(experiment: Experiment, folder: RunFolder, outcomes: list[Outcome], console: Console) -> None:
    """Simulate what is not there yet, write `summary.json`, the table and the figures, and print what they say."""
    told, tables = Console(stderr=True), {}
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed} of {task.total}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=told, transient=True, disable=not told.is_terminal) as progress:
        scenarios = networks(experiment)
        for label, scenario in scenarios.items():
            bar = progress.add_task(escape(label), total=2 ** len(scenario.companies))
            tables[label] = table(
                experiment, label, scenario, folder.path, lambda done, _, bar=bar: progress.update(bar, completed=done)
            )
            if not told.is_terminal:
                print(f"{label}: {2 ** len(scenario.companies)} sets: done", file=sys.stderr, flush=True)
        said = openings(experiment, tables)
        said["learners"] = []
        for given in experiment.config["learners"]:
            learner = PlatformLearner.model_validate(given)
            bar = progress.add_task(escape(f"platform, {learner.label}"), total=None)
            found = learnt(
                experiment,
                learner,
                scenarios[learner.case],
                tables[learner.case],
                folder.path,
                lambda what, done, whole, bar=bar: progress.update(bar, completed=done, total=whole),
            )
            said["learners"].append(found)
            if not told.is_terminal:
                print(f"platform, {learner.label}: done", file=sys.stderr, flush=True)
    replace(folder.path / "summary.json", json.dumps(said, indent=1, allow_nan=False).encode())
    replace(folder.path / "openings.csv", as_table(said).encode())
    write_figures(folder.path, said)
    console.print(adoption(said))
    console.print("highest fee: of those in the config, at which all twins end up open, from nobody and from everybody")
    console.print("first: who gains most by opening alone; seed: the fewest that must be held open for those to open")
    console.print("that stay open once all are; ∿: goes round in circles, of which it is the mean\n")
    console.print(platform(said))
    if said["learners"]:
        console.print(learners(said))
    console.print(f"run folder: {folder.path}", soft_wrap=True, highlight=False)


def adoption(said: Mapping[str, Any]) -> Table:
    """Where adoption ends at no fee, and how high a fee it bears."""
    made = _table(f"{said['scenario']}: open twins without a fee, and the highest fee that all bear, {_worlds(said)}")
    heads = ("case", "α", "exposure", "from nobody", "from all", "highest fee", "from all", "first", "seed")
    for name in heads:
        made.add_column(name, justify="left" if name in ("case", "first", "seed") else "right", overflow="fold")
    for row in said["rows"]:
        free = [next((at for at in row["from"][s]["fees"] if at["fee"] == 0), None) for s in (NOBODY, EVERYBODY)]
        bears = [row["from"][s]["highest_fee"] for s in (NOBODY, EVERYBODY)]
        seed = "more than 3" if row["seed"] is None else ", ".join(row["seed"]) or "none"
        if free[1] is None or not (free[1]["settled"] and free[1]["open"]):
            seed = "—"  # nothing to come to
        made.add_row(
            escape(row["case"]),
            f"{row['alignment']:g}",
            f"{row['exposure']:g}",
            *(_share(at) for at in free),
            *(_span(fee) for fee in bears),
            escape(row["first"] or "nobody"),
            escape(seed),
        )
    return made


def platform(said: Mapping[str, Any]) -> Table:
    """What a platform earns at the fee that earns most, and what the network is worth there."""
    made = _table("the platform, from everybody open: money per period; gain: value over that with closed twins")
    for name in (
        "case",
        "α",
        "exposure",
        "best fee",
        "revenue",
        "95 % interval",
        "gain there",
        "gain at best",
        "at fee",
    ):
        made.add_column(name, justify="left" if name == "case" else "right", overflow="fold")
    for row in said["rows"]:
        of, closed = row["from"][EVERYBODY], row["value_closed"]
        there = next(at for at in of["fees"] if at["fee"] == of["revenue_fee"]["value"])
        made.add_row(
            escape(row["case"]),
            f"{row['alignment']:g}",
            f"{row['exposure']:g}",
            f"{of['revenue_fee']['value']:g}",
            number(of["revenue"]["value"]),
            f"{number(of['revenue']['low'])} … {number(of['revenue']['high'])}",
            signed(there["value"]["value"] - closed),
            signed(of["welfare"]["value"] - closed),
            f"{of['welfare_fee']['value']:g}",
        )
    return made


def learners(said: Mapping[str, Any]) -> Table:
    """What platforms that learn earn against the best constant fee, which meets the same companies."""
    made = _table("platforms that learn their fee, from nobody open, against the best constant fee: revenue per period")
    heads = ("case", "α", "holds", "revenue", "constant", "at", "difference", "95 % interval", "fee by quarter", "open")
    for name in heads:
        made.add_column(
            name, justify="left" if name == "case" else "right", overflow="fold", no_wrap=name == "95 % interval"
        )
    for of in said["learners"]:
        made.add_row(
            escape(of["case"]),
            f"{of['alignment']:g}",
            str(of["hold"]),
            number(of["revenue"]["value"]),
            number(of["constant_revenue"]["value"]),
            f"{of['constant_fee']:g}",
            signed(of["less"]["value"]),
            f"{number(of['less']['low'])} … {number(of['less']['high'])}",
            " ".join(f"{fee:.0f}" for fee in of["fees"]),
            " ".join(f"{100 * share:.0f}" for share in of["open"]),
        )
    return made


def _table(title: str) -> Table:
    return Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, title=escape(title), title_justify="left")


def _worlds(said: Mapping[str, Any]) -> str:
    return f"{said['worlds']} world{'s' * (said['worlds'] > 1)}"


def _share(at: Mapping[str, Any] | None) -> str:
    if at is None:
        return "—"
    return f"{100 * at['share']['value']:.0f} %" + ("" if at["settled"] else " ∿")


def _span(fee: Mapping[str, Any]) -> str:
    """A fee with its interval; a dash where no fee of the list will do."""
    value, low, high = ("—" if fee[k] is None else f"{fee[k]:g}" for k in ("value", "low", "high"))
    return value if low == value == high else f"{value} ({low} … {high})"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nopening: stopped; what is finished stays, and the same command with --resume goes on", file=sys.stderr)
        sys.exit(130)
