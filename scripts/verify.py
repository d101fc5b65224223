"""Reproduce known results: a table of what the model gives against what is known.

    python scripts/verify.py             what is built in, and every file of ../shared/reference where it is there
    python scripts/verify.py --builtin   only what is built in
    python scripts/verify.py FILE ...    these files of known results
    python scripts/verify.py --summary   a line for each file or subject, in place of one for each result

Ends with status 1 where a result is not reproduced, and with 2 where a file cannot be used. Luck has a fixed seed, so
the table is the same every time.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from textwrap import shorten

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from kaizen_env.verification.results import Result
from kaizen_env.verification.runner import Task, UnusableFile, builtin_tasks, file_task, folder_tasks

REFERENCE = Path(__file__).resolve().parents[1].parent / "shared" / "reference"
SIGN = {"equal": "", "at_least": "≥", "at_most": "≤"}
STYLE = {"pass": "green", "FAIL": "bold red", "skipped": "yellow"}
WIDTH = 120  # where the output is no terminal
SOURCE = 72  # characters of a source that are shown


def main(arguments: list[str] | None = None) -> int:
    head, _, more = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=head, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="a JSON file of known results")
    parser.add_argument("--builtin", action="store_true", help="only the results that need no file")
    parser.add_argument("--summary", action="store_true", help="a line for each file or subject only")
    given = parser.parse_args(arguments)
    if given.builtin and given.files:
        parser.error("--builtin checks what needs no file; give either it or files")
    if given.files:
        tasks = [file_task(file) for file in given.files]
    else:
        tasks = builtin_tasks() + (folder_tasks(REFERENCE) if REFERENCE.is_dir() and not given.builtin else [])
    results, unusable = run(tasks)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    if results:
        console.print(overview(results) if given.summary else table(results))
        print(summary([row for _, rows in results for row in rows]))
    if not given.files and not given.builtin and not REFERENCE.is_dir():
        print("Only what is built in: there is no folder shared/reference beside the repository.")
    for line in unusable:
        print(f"verify: {line}", file=sys.stderr)
    failed = any(not row.passed for _, rows in results for row in rows)
    return 2 if unusable else int(failed)


def run(tasks: list[Task]) -> tuple[list[tuple[str, list[Result]]], list[str]]:
    """Rows of every task by its name, and a line for every file that cannot be used."""
    results, unusable = [], []
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=len(tasks))
        for task in tasks:
            progress.update(bar, description=task.name)
            try:
                results.append((task.name, task.run()))
            except UnusableFile as error:
                unusable.append(" ".join(str(error).split()))
            progress.advance(bar)
    return results, unusable


def table(results: list[tuple[str, list[Result]]]) -> Table:
    """All rows, under the name of the file that they come from."""
    found = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, expand=True)
    found.add_column("result", overflow="fold", ratio=2)
    found.add_column("source", overflow="fold", ratio=1)
    for name in ("expected", "got", "difference", "tolerance", "verdict"):
        found.add_column(name, justify="left" if name == "verdict" else "right", no_wrap=True)
    for name, rows in results:
        found.add_section()
        found.add_row(f"[bold]{escape(name)}[/bold]")
        above = ""
        for row in rows:
            # A source stands once for all rows that follow, but beside every result that is not reproduced.
            source = "" if row.passed and row.source == above else shorten(row.source, SOURCE, placeholder=" …")
            above = row.source
            found.add_row(*cells(row, source))
    return found


def overview(results: list[tuple[str, list[Result]]]) -> Table:
    """A row for each file or subject: how many results, and how far the farthest is off, in units of its tolerance."""
    found = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("known results of", "reproduced", "failed", "skipped", "largest difference*"):
        found.add_column(name, justify="left" if name == "known results of" else "right")
    for name, rows in results:
        verdicts = [row.verdict for row in rows]
        equal = [row for row in rows if not row.skipped and row.bound == "equal" and row.tolerance > 0]
        farthest = max((abs(row.difference) / row.tolerance for row in equal), default=0.0)
        counts = [str(verdicts.count(verdict)) for verdict in ("pass", "FAIL", "skipped")]
        found.add_row(escape(name), *counts, f"{farthest:.2g}")
    found.caption = "* in units of its tolerance; at most 1 where all are reproduced"
    return found


def cells(row: Result, source: str) -> list[str]:
    """One row of the table; of a skipped one, the reason instead of numbers."""
    verdict = f"[{STYLE[row.verdict]}]{row.verdict}[/]"
    if row.skipped:
        return [escape(f"{row.name} ({row.skipped})"), escape(source), "", "", "", "", verdict]
    numbers = [
        f"{SIGN[row.bound]}{row.expected:.7g}",
        f"{row.got:.7g}",
        f"{row.difference:.2g}",
        f"{row.tolerance:.2g}",
    ]
    return [escape(row.name), escape(source), *numbers, verdict]


def summary(rows: list[Result]) -> str:
    """Counts of verdicts in one line."""
    verdicts = [row.verdict for row in rows]
    counts = {word: verdicts.count(verdict) for verdict, word in (("pass", "reproduced"), ("FAIL", "FAILED"))}
    skipped = verdicts.count("skipped")
    text = ", ".join(f"{count} {word}" for word, count in counts.items())
    return f"{len(rows)} known results: {text}, {skipped} skipped"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nverify: stopped; nothing was left half done", file=sys.stderr)
        sys.exit(130)
