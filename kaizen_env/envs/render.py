"""Pictures of a running network: a table for terminals, and a drawing of stocks, backlogs, flows and wastes."""

from __future__ import annotations

from typing import Any

from .batch import BatchEnv


def render(batch: BatchEnv, mode: str | None) -> Any:
    raise NotImplementedError


def close(owner: Any) -> None:
    pass
