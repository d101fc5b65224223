"""Several comparisons in one table: what each finds, so that an effect that moves between them is seen to move.

    python scripts/side_by_side.py runs/a runs/b runs/c
    python scripts/side_by_side.py runs/a runs/b --effect dividend --effect incentive

Each FOLDER is the run folder of a finished `scripts/compare.py`. A row says what is counted, how long was trained, and
of every effect its value and its 95 % interval, in percent of what the baseline of that comparison reaches.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agents.experiments.command import WIDTH
from agents.experiments.comparison_tables import number
from kaizen_env.errors import near


class Unusable(ValueError):
    """A folder without a finished comparison, or an effect that it does not have."""


def main(arguments: list[str] | None = None) -> int:
    head, _, more = (__doc__ or "").partition("\n")
    made = argparse.ArgumentParser(
        prog="side_by_side", description=head, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("folders", metavar="FOLDER", nargs="+", type=Path, help="run folders of compare.py")
    made.add_argument("--effect", metavar="NAME", action="append", help="of these only (default: all of the first)")
    given = made.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    try:
        short = len({folder.name for folder in given.folders}) == len(given.folders)
        summaries = {folder.name if short else str(folder): read(folder) for folder in given.folders}
        console.print(table(summaries, given.effect))
    except Unusable as error:
        print(f"side_by_side: {error}", file=sys.stderr)
        return 2
    return 0


def read(folder: Path) -> dict[str, Any]:
    """The summary of a comparison. Raises Unusable."""
    file = folder / "summary.json"
    try:
        summary = json.loads(file.read_text(encoding="utf-8"))
        if not summary["effects"] or summary["baseline"] is None:
            raise Unusable(f"{folder}: the comparison has no effects")
        return summary
    except FileNotFoundError:
        raise Unusable(f"{folder}: there is no summary.json; finish it with scripts/compare.py --resume") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, Unusable):
            raise
        raise Unusable(f"{file} is not that of a comparison ({type(error).__name__}: {error})") from None


def table(summaries: Mapping[str, Mapping[str, Any]], wanted: Sequence[str] | None) -> Table:
    """A row for every summary, by the name of its folder. Raises Unusable for an effect that the first lacks."""
    first = next(iter(summaries.values()))
    for name in wanted or ():
        if name not in first["effects"]:
            known = ", ".join(first["effects"])
            raise Unusable(f"--effect: there is no '{name}'{near(name, first['effects'])}; allowed: {known}")
    effects = wanted or [name for name, effect in first["effects"].items() if effect is not None]
    made = Table(box=box.SIMPLE_HEAD, title="effects in % of the baseline", title_justify="left")
    for column in ("run", "steps", "counted", "baseline", *effects):
        made.add_column(escape(column), justify="left" if column == "run" else "right", overflow="fold")
    for name, summary in summaries.items():
        base = summary["regimes"][summary["baseline"]]["learner"]["value"]
        steps = sorted({step for of in summary["budget"].values() for step in of})
        window = summary["window"]
        cells = [_percent(summary["effects"].get(effect), base) for effect in effects]
        counted = f"{window['warm_up']} + {window['periods']} + {window['tail']}"
        made.add_row(escape(name), "–".join(map(str, steps)) or "—", counted, number(base), *cells)
    return made


def _percent(effect: Mapping[str, float] | None, base: float) -> str:
    if effect is None:
        return "—"
    value, low, high = (100.0 * effect[key] / abs(base) for key in ("value", "low", "high"))
    return f"{value:+.2f} ({low:+.2f} … {high:+.2f})"


if __name__ == "__main__":
    sys.exit(main())
