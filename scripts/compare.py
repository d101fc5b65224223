"""How much end-customer value does a network gain by improving together, which part is sight and which is pay?

    python scripts/compare.py configs/quickstart.yaml
    python scripts/compare.py configs/quickstart.yaml --set seeds=[0,1,2,3,4] --jobs 2
    python scripts/compare.py configs/quickstart.yaml --policy path/to/mine.py:Mine     one more rule
    python scripts/compare.py configs/quickstart.yaml --resume     go on after Ctrl-C, a kill, a full disk

One policy is trained for every regime with every seed, all with the same budget, and evaluated in common luck; rules
run beside it in every regime that shows them enough. The run folder holds report.html (a page with a replay, for any
browser), summary.json (all that is printed, and more), tables as CSV (evaluation, regimes, parties, ledger, waste,
profiles), figures/, marl_eval.json, and under results/ everything of every policy.

Exit status: 0 all done; 1 something failed, and is listed; 2 the command, the config or the folder cannot be used, and
nothing was begun; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import json
import sys
from functools import partial

from rich.console import Console

from agents.experiments.bound import reached_by_foresight
from agents.experiments.command import carry_out, parser
from agents.experiments.comparison import summary
from agents.experiments.comparison_files import write_pictures, write_tables
from agents.experiments.comparison_tables import show
from agents.experiments.config import CompareConfig, Experiment
from agents.experiments.folder import RunFolder
from agents.experiments.report.comparison_page import write_report
from agents.experiments.unit import Outcome
from agents.files import replace


def main(arguments: list[str] | None = None) -> int:
    options = parser("compare", __doc__ or "")
    options.add_argument(
        "--policy", metavar="SPEC", action="append", default=[], help="one more rule: a name, file.py:Class, saved"
    )
    options.add_argument("--short", action="store_true", help="print the values and the effects alone")
    given = options.parse_args(arguments)
    return carry_out("compare", CompareConfig, given, partial(report, short=given.short), given.policy)


def report(
    experiment: Experiment, folder: RunFolder, outcomes: list[Outcome], console: Console, short: bool = False
) -> None:
    """Write the tables, `summary.json` and the page, and print what they say."""
    done = [outcome for outcome in outcomes if outcome.values is not None]
    if done:
        reached = None
        if experiment.config["foresight"]:
            (reached,) = reached_by_foresight(experiment, folder.path).values()
        said = summary(experiment, outcomes, reached)
        write_tables(folder.path, experiment, done, said)
        replace(folder.path / "summary.json", json.dumps(said, indent=1, allow_nan=False).encode())
        show(said, console, short)
        page = write_report(folder.path, experiment, outcomes, said)
        write_pictures(folder.path, experiment, done, said)
        seconds = sum(outcome.timing["training_seconds"] for outcome in done)
        console.print(f"training took {seconds:,.0f} s in all", highlight=False)
        console.print(f"report: {page}", soft_wrap=True, highlight=False)
    console.print(f"run folder: {folder.path}", soft_wrap=True, highlight=False)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\ncompare: stopped; what is finished stays, and the same command with --resume goes on", file=sys.stderr)
        sys.exit(130)
