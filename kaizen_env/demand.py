"""End-customer demand as data: one class per process, each of which knows its mean and draws its own tape.

Rates are per day; `draw` returns units per period. The demand of a period of d days has mean `mean * d`
and standard deviation `sd * sqrt(d)`, as days are independent unless the process says otherwise.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path
from statistics import NormalDist
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from .errors import DescriptionError, near

Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Process(BaseModel):
    """What every demand process has: a mean per day at the start, and a tape of units per period."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def mean_of_period(self, days: float) -> float:
        """Mean demand of a period of `days` days at the start of an episode, units."""
        raise NotImplementedError

    def draw(self, rng: np.random.Generator, periods: int, days: float) -> np.ndarray:
        """Demand of `periods` periods of `days` days each: float64 array (periods,), units, never negative."""
        raise NotImplementedError

    def later(self, days: float) -> Self:
        """The same demand with all that has a date `days` days later; itself where nothing has one."""
        return self


class Constant(Process):
    """The same demand in every period."""

    process: Literal["constant"] = "constant"
    mean: Rate

    def mean_of_period(self, days: float) -> float:
        return self.mean * days

    def draw(self, rng: np.random.Generator, periods: int, days: float) -> np.ndarray:
        return np.full(periods, self.mean * days)


class Poisson(Process):
    """Whole units, independent from period to period."""

    process: Literal["poisson"] = "poisson"
    mean: Rate

    def mean_of_period(self, days: float) -> float:
        return self.mean * days

    def draw(self, rng: np.random.Generator, periods: int, days: float) -> np.ndarray:
        return rng.poisson(self.mean * days, periods).astype(np.float64)


class Normal(Process):
    """Independent and normal, cut at 0: with sd near `mean`, demand is clearly more than it (see `gamma`)."""

    process: Literal["normal"] = "normal"
    mean: Rate
    sd: Rate

    def mean_of_period(self, days: float) -> float:
        return mean_above_zero(self.mean * days, self.sd * math.sqrt(days))

    def draw(self, rng: np.random.Generator, periods: int, days: float) -> np.ndarray:
        return np.maximum(rng.normal(self.mean * days, self.sd * math.sqrt(days), periods), 0.0)


class Gamma(Process):
    """Independent and never negative, with exactly the mean and the standard deviation given, however large."""

    process: Literal["gamma"] = "gamma"
    mean: Rate
    sd: Rate

    def mean_of_period(self, days: float) -> float:
        return self.mean * days

    def draw(self, rng: np.random.Generator, periods: int, days: float) -> np.ndarray:
        if self.mean == 0 or self.sd == 0:
            return np.full(periods, self.mean * days)
        return rng.gamma((self.mean / self.sd) ** 2 * days, self.sd**2 / self.mean, periods)


class Step(Process):
    """`before` units per day until day `at`, then `after` (the beer game: 4 until week 4, then 8)."""

    process: Literal["step"] = "step"
    before: Rate
    after: Rate
    at: Rate  # days

    def mean_of_period(self, days: float) -> float:
        return self.before * days

    def draw(self, rng: np.random.Generator, periods: int, days: float) -> np.ndarray:
        # A period over which the step falls has its share of both.
        edges = np.arange(periods + 1) * days
        early = np.clip(self.at - edges[:-1], 0.0, days)
        return self.before * early + self.after * (days - early)

    def later(self, days: float) -> Self:
        return self.model_copy(update={"at": self.at + days})


class Ar1(Process):
    """First-order autoregression around the mean; `correlation` from one period to the next; cut at 0."""

    process: Literal["ar1"] = "ar1"
    mean: Rate
    sd: Rate  # of demand itself (stationary), not of the innovation
    correlation: Annotated[float, Field(gt=-1, lt=1)]

    def mean_of_period(self, days: float) -> float:
        return mean_above_zero(self.mean * days, self.sd * math.sqrt(days))

    def draw(self, rng: np.random.Generator, periods: int, days: float) -> np.ndarray:
        from scipy.signal import lfilter

        shocks = rng.normal(0.0, self.sd * math.sqrt(days), periods)
        shocks[1:] *= math.sqrt(1.0 - self.correlation**2)  # the first draw is from the stationary law
        return np.maximum(self.mean * days + np.asarray(lfilter([1.0], [1.0, -self.correlation], shocks)), 0.0)


class Seasonal(Process):
    """A sine of `cycle` days around the mean, with independent normal noise; cut at 0."""

    process: Literal["seasonal"] = "seasonal"
    mean: Rate
    amplitude: Annotated[float, Field(ge=0, le=1)]  # share of the mean
    cycle: Annotated[float, Field(gt=0)]  # days
    phase: float = 0.0  # days by which the peak is later than a quarter of the cycle
    sd: Rate = 0.0

    def mean_of_period(self, days: float) -> float:
        return self.mean * days

    def draw(self, rng: np.random.Generator, periods: int, days: float) -> np.ndarray:
        middle = (np.arange(periods) + 0.5) * days - self.phase
        season = 1.0 + self.amplitude * np.sin(2.0 * np.pi * middle / self.cycle)
        return np.maximum(self.mean * days * season + rng.normal(0.0, self.sd * math.sqrt(days), periods), 0.0)

    def later(self, days: float) -> Self:
        return self.model_copy(update={"phase": self.phase + days})


class Trace(Process):
    """Real demand from a CSV or Parquet file, one row per `row_days` days, replayed or bootstrapped in blocks.

    `replay` has the first row on day `first_day` and begins again at the end; `bootstrap` strings together blocks of
    `block` consecutive periods that start at random places (circular block bootstrap, Politis & Romano 1992).
    """

    process: Literal["trace"] = "trace"
    file: str
    column: str = "demand"
    row_days: Annotated[float, Field(gt=0)] = 1.0
    use: Literal["replay", "bootstrap"] = "replay"
    block: Annotated[int, Field(ge=1)] = 13  # periods
    first_day: Rate = 0.0  # of a replay; before it stand rows of the end of the file

    _rows: np.ndarray = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        folder = Path((context or {}).get("folder", ".")) if isinstance(context, dict) else Path()
        self._rows = read_column(folder / self.file, self.column)

    def mean_of_period(self, days: float) -> float:
        return float(self._rows.mean()) / self.row_days * days

    def draw(self, rng: np.random.Generator, periods: int, days: float) -> np.ndarray:
        rows = round(days / self.row_days)
        if rows < 1 or not math.isclose(rows * self.row_days, days):
            raise DescriptionError(
                f"{self.file}: a period of {days:g} days is not a whole number of rows of {self.row_days:g} days;"
                " set row_days to what a row covers, or period_days to a multiple of it"
            )
        whole = len(self._rows) // rows
        if whole < 1:
            raise DescriptionError(
                f"{self.file}: {len(self._rows)} rows do not fill one period of {rows} rows; a longer file is needed"
            )
        series = self._rows[: whole * rows].reshape(whole, rows).sum(axis=1)
        if self.use == "replay":
            return series[(np.arange(periods) - round(self.first_day / days)) % whole]
        starts = rng.integers(0, whole, size=-(-periods // self.block))
        return series[(starts[:, None] + np.arange(self.block)).reshape(-1)[:periods] % whole]

    def later(self, days: float) -> Self:
        return self.model_copy(update={"first_day": self.first_day + days})


Demand = Annotated[Constant | Poisson | Normal | Gamma | Step | Ar1 | Seasonal | Trace, Field(discriminator="process")]


def mean_above_zero(mean: float, sd: float) -> float:
    """E[max(X, 0)] of a normal X: mean · Φ(mean / sd) + sd · φ(mean / sd)."""
    if sd == 0:
        return max(mean, 0.0)
    law = NormalDist()
    return mean * law.cdf(mean / sd) + sd * law.pdf(mean / sd)


def read_column(path: Path, column: str) -> np.ndarray:
    """One column of a CSV (with a header line) or Parquet file as non-negative float64.

    Raises `DescriptionError` that names the file and the row for a missing file or column, a gap, text,
    a negative or infinite number.
    """
    if not path.is_file():
        raise DescriptionError(f"{path}: there is no such demand file; give a path relative to the scenario's file")
    header, cells = _read_parquet(path) if path.suffix == ".parquet" else _read_csv(path)
    if column not in header:
        raise DescriptionError(
            f"{path}: no column '{column}'{near(column, header)}; columns: {', '.join(header) or 'none'}"
        )
    place = header.index(column)
    values = []
    for number, row in enumerate(cells, start=2):
        cell = row[place] if place < len(row) else ""
        try:
            value = float(cell)
        except (TypeError, ValueError):
            found = "a gap" if cell in ("", None) else f"'{cell}'"
            raise DescriptionError(
                f"{path}: row {number}, column '{column}': found {found}; every row must hold a number >= 0"
            ) from None
        if not (math.isfinite(value) and value >= 0):
            raise DescriptionError(
                f"{path}: row {number}, column '{column}': found {cell}; demand must be finite and >= 0"
            )
        values.append(value)
    if not values:
        raise DescriptionError(f"{path}: column '{column}' is empty; at least one row of demand is needed")
    return np.asarray(values)


def _read_csv(path: Path) -> tuple[list[str], list[list[Any]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DescriptionError(f"{path}: not a readable CSV file ({error}); UTF-8 text is needed") from None
    while rows and not any(cell.strip() for cell in rows[-1]):
        rows.pop()  # blank lines at the end are no gap
    if not rows:
        raise DescriptionError(f"{path}: the file is empty; a header line and rows of demand are needed")
    return [cell.strip() for cell in rows[0]], [list(row) for row in rows[1:]]


def _read_parquet(path: Path) -> tuple[list[str], list[list[Any]]]:
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise DescriptionError(
            f"{path}: reading Parquet needs pyarrow; install it with pip install 'kaizen-env[data]', or give a CSV"
        ) from None
    try:
        table = parquet.read_table(path)
    except Exception as error:
        raise DescriptionError(f"{path}: not a readable Parquet file ({error})") from None
    return list(table.column_names), [list(row.values()) for row in table.to_pylist()]
