"""A known result, what the model gave for it, and whether that is close enough."""

from __future__ import annotations

import math
from dataclasses import dataclass


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


def skip(name: str, source: str, reason: str) -> Result:
    """A row for a result that cannot be checked here."""
    return Result(name, source, math.nan, math.nan, 0.0, skipped=reason)
