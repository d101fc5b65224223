"""Values of a reference file with the path that leads to them, so that every complaint names its place."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import near


@dataclass(frozen=True)
class Entry:
    """A value of a JSON file, and its path from the top (`instances[2].parameters`; empty at the top).

    Every method raises ValueError with the path, what was found and what is allowed.
    """

    value: Any
    path: str = ""

    def refused(self, allowed: str) -> ValueError:
        """The error to raise: this value is not one that is allowed."""
        return ValueError(f"{self.path or 'the whole file'}: found {_short(self.value)}; {allowed}")

    def __contains__(self, name: str) -> bool:
        return isinstance(self.value, dict) and self.value.get(name) is not None

    def __getitem__(self, name: str) -> Entry:
        """The value of a key that must be there."""
        fields = self.fields()
        if name not in fields:
            raise ValueError(
                f"{self.path or 'the whole file'}: the key '{name}' is required and is not there"
                f"{near(name, fields)}; found: {', '.join(fields) or 'nothing'}"
            )
        return fields[name]

    def fields(self) -> dict[str, Entry]:
        """The entries of a mapping, by key."""
        if not isinstance(self.value, dict):
            raise self.refused("a mapping of names to values is needed")
        dot = "." if self.path else ""
        return {str(key): Entry(value, f"{self.path}{dot}{key}") for key, value in self.value.items()}

    def __iter__(self) -> Iterator[Entry]:
        """The entries of a list."""
        if not isinstance(self.value, list):
            raise self.refused("a list is needed")
        return iter([Entry(value, f"{self.path}[{i}]") for i, value in enumerate(self.value)])

    def number(self, least: float = -math.inf) -> float:
        """A finite number, not below `least`."""
        bound = f" that is at least {least:g}" if least > -math.inf else ""
        if isinstance(self.value, bool) or not isinstance(self.value, (int, float)):
            raise self.refused(f"a number{bound} is needed")
        if not math.isfinite(self.value) or self.value < least:
            raise self.refused(f"a finite number{bound} is needed")
        return float(self.value)

    def whole(self, least: int = 0) -> int:
        """A whole number, not below `least`."""
        number = self.number(least)
        if number != round(number):
            raise self.refused(f"a whole number that is at least {least} is needed")
        return int(number)

    def numbers(self, least: float = -math.inf) -> list[float]:
        """A list of finite numbers."""
        return [entry.number(least) for entry in self]

    def text(self) -> str:
        if not isinstance(self.value, str):
            raise self.refused("text is needed")
        return self.value

    def get(self, name: str, default: float, least: float = -math.inf) -> float:
        """The number of a key, or `default` where the key is absent or null."""
        return self[name].number(least) if name in self else default

    def label(self, name: str, default: str) -> str:
        """The text of a key, or `default`."""
        return str(self.value[name]) if name in self else default


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return f"a mapping with the keys {', '.join(map(str, list(value)[:8])) or '(none)'}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
