"""The agents that this package brings, as a Markdown table: `python -m agents.describe`."""

from __future__ import annotations

import inspect
import sys
from typing import Any

from .loading import find, names, options_of
from .training import Learner

COLUMNS = ("agent", "what it is", "options and their defaults", "trained")


def rows() -> list[tuple[str, str, str, str]]:
    """A row of `COLUMNS` for every agent, from its file's docstring and its constructor."""
    found = []
    for name in names():
        kind = find(name)
        options = [_option(p) for p in options_of(kind).values()]
        trained = "yes" if issubclass(kind, Learner) else ""
        found.append((f"`{name}`", _about(kind, name), ", ".join(options), trained))
    return found


def _about(kind: Any, name: str) -> str:
    """The first paragraph of the file's docstring, without the name with which it begins."""
    text = inspect.getdoc(sys.modules[kind.__module__]) or inspect.getdoc(kind) or ""
    first = " ".join(text.split("\n\n")[0].split())
    return first.removeprefix(f"`{name}`:").strip().rstrip(".")


def _option(parameter: inspect.Parameter) -> str:
    if parameter.default is inspect.Parameter.empty:
        return f"`{parameter.name}`"
    return f"`{parameter.name}={parameter.default!r}`"


def main() -> int:
    lines = [COLUMNS, ("---",) * len(COLUMNS), *rows()]
    print("\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
