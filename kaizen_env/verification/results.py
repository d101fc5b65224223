"""A known result, what the model gave for it, and whether that is close enough."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError

from ..description import Scenario
from ..errors import DescriptionError, from_validation

Case = TypeVar("Case")


@dataclass(frozen=True)
class Result:
    """One row of the verification table."""

    name: str  # what was checked, e.g. "example_6_1: cost at S*"
    source: str  # where the expected number comes from
    expected: float
    got: float
    tolerance: float  # largest difference allowed, in the unit of the numbers
    bound: str = "equal"  # equal: |got − expected| ≤ tolerance; at_least / at_most: one-sided, up to tolerance
    skipped: str = ""  # the reason, where the result could not be checked

    @property
    def difference(self) -> float:
        return self.got - self.expected

    @property
    def passed(self) -> bool:
        """False also for a number that is not finite."""
        if self.skipped:
            return True
        if not math.isfinite(self.difference):
            return False
        if self.bound == "at_least":
            return self.difference >= -self.tolerance
        if self.bound == "at_most":
            return self.difference <= self.tolerance
        return abs(self.difference) <= self.tolerance

    @property
    def verdict(self) -> str:
        return "skipped" if self.skipped else "pass" if self.passed else "FAIL"


class Unplayable(ValueError):
    """A known result is well formed, but the model or the check has no form for it; the message is the reason."""


def played(
    cases: Sequence[Case], play: Callable[[Sequence[Case]], list[Result]], name: Callable[[Case], str], source: str
) -> list[Result]:
    """Rows of `play` for all cases together; a case that the model cannot play is one skipped row with the reason.

    If one of several cases cannot be played, each is played alone, so that it costs the others nothing. Passes on
    every error of what is broken in a file: only `Unplayable`, and a network that the model refuses, are skipped.
    """
    try:
        return play(cases)
    except (Unplayable, DescriptionError) as error:
        reason = str(error)
    except ValidationError as error:
        reason = str(from_validation(error, "the model", Scenario))
    if len(cases) == 1:
        return [skip(name(cases[0]), source, "; ".join(reason.splitlines()))]
    return [row for case in cases for row in played([case], play, name, source)]


def skip(name: str, source: str, reason: str) -> Result:
    """A row for a result that cannot be checked here."""
    return Result(name, source, math.nan, math.nan, 0.0, skipped=reason)
