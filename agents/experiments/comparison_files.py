"""Files of a comparison beside `summary.json`: the same numbers, and more of them, as tables and figures.

evaluation.csv   regime, policy, seed, world: money per period
regimes.csv      regime, policy: value, interval, change from the baseline, share of foresight
parties.csv      regime, party: what it has, the change, the side payment
ledger.csv       regime, policy, company: cost of every kind, mean over seeds and worlds
waste.csv        regime, policy, seed, period: waste remaining, and of each kind, mean over worlds
timeline.csv     regime, policy, seed, period: value, profit, open twins, survivors, shares of demand, mean over worlds
profiles.csv     regime, policy (the learner and the best rule), threshold: share of seeds × worlds with more, and band
marl_eval.json   evaluation and training in the layout of marl-eval; see `marl_eval`
figures/*.png    see `figures`
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..files import replace
from .comparison import Cell, Cells, cells
from .config import Experiment
from .learning import curves
from .marl_eval import marl_eval
from .statistics import performance_profile, thresholds
from .unit import Outcome, as_csv, read_table


def write_tables(folder: Path, experiment: Experiment, outcomes: Sequence[Outcome], said: dict[str, Any]) -> None:
    """Every table of a comparison, and what marl-eval reads, each put in place whole."""
    found = cells(experiment, outcomes)
    money = ("world", "luck", "end_customer_value", "customer_surplus", "network_profit", "platform_revenue")
    tables = {
        "evaluation": _joined((o, _of(o, "evaluation", money)) for o in outcomes),
        "waste": _joined((o, _of(o, "waste")) for o in outcomes),
        "timeline": _joined((o, _of(o, "timeline")) for o in outcomes),
        "ledger": _ledger(found),
        "regimes": _rows(_regimes(said)),
        "parties": _rows(_parties(said)),
        "profiles": _rows(_profiles(found, said)),
    }
    for name, table in tables.items():
        replace(folder / f"{name}.csv", as_csv(table).encode())
    told = marl_eval(said["scenario"], said["policy"], experiment.seeds, found)
    replace(folder / "marl_eval.json", json.dumps(told, allow_nan=False).encode())


def write_pictures(
    folder: Path, experiment: Experiment, outcomes: Sequence[Outcome], said: dict[str, Any]
) -> list[Path]:
    """The figures of a comparison, from the tables that `write_tables` has put in the folder; the files written.

    Without matplotlib there are none, and a line on standard error says so.
    """
    if find_spec("matplotlib") is None:
        print("figures are left out: they need matplotlib; pip install 'kaizen-env[pictures]'", file=sys.stderr)
        return []
    from .figures import write_figures

    learner = {regime: of[said["policy"]] for regime, of in cells(experiment, outcomes).items() if said["policy"] in of}
    waste, timeline, profiles = (read_table(folder / f"{name}.csv") for name in ("waste", "timeline", "profiles"))
    learning = {regime: curves(cell) for regime, cell in learner.items()}
    return write_figures(folder / "figures", said, waste, timeline, profiles, learning)


def _of(outcome: Outcome, table: str, columns: Sequence[str] = ()) -> dict[str, list[str]]:
    """Columns as they stand in a file of a unit."""
    read = read_table(outcome.unit.folder / f"{table}.csv")
    return {name: read[name].tolist() for name in columns or read}


def _joined(parts: Iterable[tuple[Outcome, dict[str, list[str]]]]) -> dict[str, list[Any]]:
    """Tables of units below each other, with whose they are."""
    whole: dict[str, list[Any]] = {}
    for outcome, table in parts:
        rows = len(next(iter(table.values())))
        unit = outcome.unit
        whose = {"regime": unit.regime_label, "policy": unit.policy.called, "seed": unit.seed}
        for name, column in {**{key: [value] * rows for key, value in whose.items()}, **table}.items():
            whole.setdefault(name, []).extend(column)
    return whole


def _ledger(found: Cells) -> dict[str, Any]:
    return _rows(
        row for regime, of in found.items() for label, cell in of.items() for row in _costs(regime, label, cell)
    )


def _costs(regime: str, label: str, cell: Cell) -> Iterable[dict[str, Any]]:
    read = [read_table(outcome.unit.folder / "ledger.csv") for outcome in cell.outcomes]
    kinds = [name for name in read[0] if name != "company"]
    costs = np.mean([[table[kind].astype(np.float64) for kind in kinds] for table in read], axis=0)
    for company, row in zip(read[0]["company"], costs.T, strict=True):
        yield {"regime": regime, "policy": label, "company": str(company), **dict(zip(kinds, row, strict=True))}


def _regimes(said: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for regime, of in said["regimes"].items():
        learner = {} if of["learner"] is None else {said["policy"]: of["learner"]}
        for label, told in (learner | of["rules"]).items():
            numbers = {name: told[name] for name in ("value", "low", "high", "mean", "seeds")}
            yield {
                "regime": regime,
                "policy": label,
                **numbers,
                **_interval("change", told["change"]),
                **_interval("normalised", told["normalised"]),
            }


def _parties(said: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for regime, of in said["parties"].items():
        for row in of["rows"]:
            numbers = {name: row[name] for name in ("party", "kind", "value")}
            change = _interval("change", row["change"])
            yield {"regime": regime, **numbers, **change, "side_payment": _blank(row.get("side_payment"))}


def _profiles(found: Cells, said: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """Of the learner and the best rule of every regime, at the same thresholds."""
    values = {
        (regime, label): cell.values
        for regime, of in found.items()
        for label, cell in of.items()
        if label in (said["policy"], said["regimes"][regime]["best_rule"])
    }
    above = thresholds(values.values())
    for (regime, label), reached in values.items():
        profile = performance_profile(reached, above)
        for threshold, share, low, high in zip(above, *profile, strict=True):
            numbers = {"threshold": threshold, "share": share, "low": low, "high": high}
            yield {"regime": regime, "policy": label, **numbers}


def _interval(name: str, interval: dict[str, Any] | None) -> dict[str, Any]:
    names = {"value": name, "low": f"{name}_low", "high": f"{name}_high"}
    return {column: "" if interval is None else interval[key] for key, column in names.items()}


def _blank(value: Any) -> Any:
    return "" if value is None else value


def _rows(rows: Iterable[dict[str, Any]]) -> dict[str, list[Any]]:
    """Rows as columns."""
    whole: dict[str, list[Any]] = {}
    for row in rows:
        for name, value in row.items():
            whole.setdefault(name, []).append(value)
    return whole
