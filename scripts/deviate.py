"""Is cooperation in everybody's interest? What each company gains by leaving, under every contract.

    python scripts/deviate.py configs/gain_sharing.yaml --jobs 2
    python scripts/deviate.py configs/controls/gain_sharing_team.yaml
    python scripts/deviate.py configs/gain_sharing.yaml --resume     go on after Ctrl-C, a kill, a full disk

For every contract of the config a cooperative policy is trained with every seed. Then one company at a time learns on
for its own profit, contracts included, while all others act as they did. The run folder holds summary.json (all that is
printed, and more), deviations.csv, deviations.png, and everything of every training in a folder of its contract.

What is found is a gain that a company has; what is not found may still be there.

Exit status: 0 all done; 1 something failed, and is listed; 2 the command, the config or the folder cannot be used, and
nothing was begun; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agents.experiments.command import carry_out, parser
from agents.experiments.comparison_tables import number, signed
from agents.experiments.config import Experiment
from agents.experiments.deviation_figure import write_figure
from agents.experiments.deviations import DeviateConfig, deviations, stages, verdict
from agents.experiments.folder import RunFolder
from agents.experiments.unit import Outcome, as_csv
from agents.files import replace


def main(arguments: list[str] | None = None) -> int:
    given = parser("deviate", __doc__ or "").parse_args(arguments)
    return carry_out("deviate", DeviateConfig, given, report, stages=stages)


def report(experiment: Experiment, folder: RunFolder, outcomes: list[Outcome], console: Console) -> None:
    """Write `summary.json`, the table and the figure, and print what they say."""
    said = deviations(experiment, outcomes)
    replace(folder.path / "summary.json", json.dumps(said, indent=1, allow_nan=False).encode())
    if any(of["companies"] for of in said["contracts"].values()):
        replace(folder.path / "deviations.csv", as_csv(_columns(said)).encode())
        write_figure(folder.path / "deviations.png", said)
        _show(said, console)
    console.print(f"run folder: {folder.path}", soft_wrap=True, highlight=False)


def _columns(said: Mapping[str, Any]) -> dict[str, list[Any]]:
    rows = [
        {
            "contract": label,
            "company": row["company"],
            "profit": row["profit"],
            **{f"gain {key}": value for key, value in row["gain"].items()},
            **{f"network loss {key}": value for key, value in row["network_loss"].items()},
            "pays": int(row["pays"]),
            "seeds": row["seeds"],
        }
        for label, of in said["contracts"].items()
        for row in of["companies"]
    ]
    return {name: [row[name] for row in rows] for name in rows[0]}


def _show(said: Mapping[str, Any], console: Console) -> None:
    seeds, worlds = len(said["seeds"]), said["worlds"]
    console.print(
        f"{said['name']}: what leaving pays, per period, {seeds} seed{'s' * (seeds > 1)}"
        f" × {worlds} world{'s' * (worlds > 1)}\n",
        highlight=False,
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("contract", "company", "gain", "95 % interval", "network loses", "95 % interval"):
        table.add_column(name, justify="left" if name in ("contract", "company") else "right")
    for label, of in said["contracts"].items():
        for i, row in enumerate(of["companies"]):
            gain, loss = row["gain"], row["network_loss"]
            table.add_row(
                escape(label) if i == 0 else "",
                escape(row["company"]) + " *" * row["pays"],
                signed(gain["value"]),
                f"{number(gain['low'])} … {number(gain['high'])}",
                signed(loss["value"]),
                f"{number(loss['low'])} … {number(loss['high'])}",
                end_section=i == len(of["companies"]) - 1,
            )
    console.print(table)
    for label, of in said["contracts"].items():
        console.print(
            f"{label}: end-customer value {number(of['value']['value'])}, of which customers keep"
            f" {number(of['customer_surplus'])}; {verdict(of)}",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )
    for label, of in said["contracts"].items():
        beyond = [row for row in of["companies"] if row["beyond_learning_on"] is not None]
        if beyond:
            told = (
                f"{row['company']} {signed(row['beyond_learning_on']['value'])}"
                f" ({number(row['beyond_learning_on']['low'])} … {number(row['beyond_learning_on']['high'])})"
                for row in beyond
            )
            console.print(
                f"{label}: gain of leaving beyond that of learning on for the network: {', '.join(told)}",
                soft_wrap=True,
                highlight=False,
                markup=False,
            )
    console.print("* the whole interval is above what counts as material", highlight=False)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\ndeviate: stopped; what is finished stays, and the same command with --resume goes on", file=sys.stderr)
        sys.exit(130)
