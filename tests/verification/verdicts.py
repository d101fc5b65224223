"""What a test says of rows that were not reproduced."""

from __future__ import annotations

from kaizen_env.verification.results import Result


def failures(rows: list[Result]) -> list[str]:
    """A line for every row that did not pass."""
    return [f"{row.name}: {row.expected} expected, {row.got} got" for row in rows if not row.passed]
