"""All known results: those that are built in, and those of files, each recognised by what it holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import (
    adoption,
    beer_game,
    bullwhip,
    clark_scarf,
    inventory_game,
    kaizen,
    single_node,
    team,
    traces,
    value_stream,
)
from .results import Result

Check = Callable[[dict[str, Any]], list[Result]]


KINDS: list[tuple[str, tuple[str, ...], Check]] = [
    ("trace", ("trace",), traces.check),
    ("bullwhip tables", ("iid_table",), bullwhip.check),
    ("bullwhip tables", ("ar1_table",), bullwhip.check),
    ("bullwhip tables", ("exp_smoothing_table",), bullwhip.check),
    ("team production", ("additive",), team.check),
    ("team production", ("multiplicative",), team.check),
    ("adoption", ("granovetter",), adoption.check),
    ("adoption", ("kcore",), adoption.check),
    ("kaizen calibration", ("half_life",), kaizen.check),
    ("beer game", ("results",), beer_game.check),
    ("value stream", ("stages_upstream_to_downstream",), value_stream.check),
]
"""Kind of file, the keys at the top that show it, and its check."""

INSTANCES: list[tuple[str, tuple[str, ...], Check]] = [
    ("serial systems", ("optimal_echelon_base_stock",), clark_scarf.check),
    ("inventory game", ("nash",), inventory_game.check),
    ("single node", ("S_star",), single_node.check),
    ("single node", ("s", "S"), single_node.check),
    ("single node", ("Q_star",), single_node.check),
    ("single node", ("order_quantities",), single_node.check),
]
"""The same for a file that is a list of `instances`, by the keys of the first."""

BUILTIN: dict[str, Callable[[], list[Result]]] = {
    "traces": traces.builtin,
    "serial systems": clark_scarf.builtin,
    "single node": single_node.builtin,
    "beer game": beer_game.builtin,
    "bullwhip": bullwhip.builtin,
    "team production": team.builtin,
    "inventory game": inventory_game.builtin,
    "adoption": adoption.builtin,
    "kaizen": kaizen.builtin,
    "value stream": value_stream.builtin,
}
"""Results that need no file, by their subject."""


class UnusableFile(ValueError):
    """A file that cannot be checked: missing, no JSON, of no known kind, or broken. Its path begins the message."""


@dataclass(frozen=True)
class Task:
    """Something to check; `run` raises UnusableFile where a file cannot be used."""

    name: str
    run: Callable[[], list[Result]]


def builtin_tasks() -> list[Task]:
    return [Task(f"built in: {name}", run) for name, run in BUILTIN.items()]


def folder_tasks(folder: Path) -> list[Task]:
    """One task per JSON file of a folder."""
    return [file_task(path) for path in sorted(folder.glob("*.json"))]


def file_task(path: str | Path) -> Task:
    return Task(Path(path).name, lambda: check_file(path))


def check_file(path: str | Path) -> list[Result]:
    """Rows for one file of known results, of whatever kind; what the model cannot play is skipped with the reason.

    Raises UnusableFile, a ValueError that names the file, the place in it, what was found and what is allowed.
    """
    try:
        data = _read(Path(path))
        rows = _check_of(data)(data)
    except KeyError as error:
        raise UnusableFile(f"{path}: the key {error} is required and is not there") from error
    except (TypeError, IndexError, AttributeError) as error:
        raise UnusableFile(f"{path}: a value has another form than this kind of file needs ({error})") from error
    except (ValueError, ArithmeticError) as error:
        raise UnusableFile(f"{path}: {error}") from error
    if not rows:
        raise UnusableFile(f"{path}: the file holds nothing to check; its lists are empty")
    return rows


def check_all(folder: str | Path | None = None) -> list[Result]:
    """Every built-in result, and those of every JSON file of `folder`. Raises UnusableFile as `check_file` does."""
    tasks = builtin_tasks() + ([] if folder is None else folder_tasks(Path(folder)))
    return [row for task in tasks for row in task.run()]


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError("there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot be read as UTF-8 text ({error})") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not valid JSON, line {error.lineno}, column {error.colno}: {error.msg}") from None
    if not isinstance(data, dict):
        raise ValueError(f"found {type(data).__name__} at the top; a mapping of keys to values is needed")
    return data


def _check_of(data: Mapping[str, Any]) -> Check:
    """The check for a file's content. Raises ValueError for content of no known kind."""
    for _, keys, check in KINDS:
        if all(key in data for key in keys):
            return check
    instances = data.get("instances")
    if isinstance(instances, list) and instances and isinstance(instances[0], dict):
        for _, keys, check in INSTANCES:
            if all(key in instances[0] for key in keys):
                return check
        raise ValueError(f"instances[0]: found {_listed(instances[0])}; known: {_allowed(INSTANCES)}")
    raise ValueError(
        f"no known kind of file: found the keys {_listed(data)}; known: {_allowed(KINDS)};"
        f" or `instances`, a list of {_allowed(INSTANCES)}"
    )


def _listed(data: Mapping[str, Any]) -> str:
    return ", ".join(list(data)[:12]) or "(none)"


def _allowed(kinds: list[tuple[str, tuple[str, ...], Check]]) -> str:
    names: dict[str, list[str]] = {}
    for kind, keys, _ in kinds:
        names.setdefault(kind, []).append(" and ".join(keys))
    return "; ".join(f"{kind} ({' or '.join(keys)})" for kind, keys in names.items())
