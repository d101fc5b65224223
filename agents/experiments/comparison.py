"""What a comparison of regimes says: values, effects, who gains, where the waste is. Plain data, as in `summary.json`.

Values are end-customer value per period, mean over the periods that count. A regime's value is the interquartile mean
over training seeds and worlds. Money of parties and of the ledger is plain means, because parts must sum to the whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kaizen_env.ledger import KINDS
from kaizen_env.metrics import gini

from .config import REFERENCE, Experiment
from .gains import side_payments
from .lean import QUARTERS
from .statistics import Interval, Resampled, improvement, mean
from .unit import Outcome, is_learner, read_evaluation, read_table

BASELINE = "isolated"  # what gains and losses are counted from
EFFECTS: dict[str, dict[str, float]] = {
    "information": {"transparent": 1.0, "isolated": -1.0},
    "incentive": {"aligned": 1.0, "isolated": -1.0},
    "interaction": {"kaizen2": 1.0, "transparent": -1.0, "aligned": -1.0, "isolated": 1.0},
    "dividend": {"kaizen2": 1.0, "isolated": -1.0},
}
"""Each with the regimes that it adds and takes away. The dividend is the sum of the other three."""
UNREALISED = "not yet earned"  # profit of companies on goods that are still in stock, as the network sees it
DRAWN = 0.01  # share of a market, from which on a seller has drawn customers
FLOW = ("throughput_days", "value_adding_days", "flow_efficiency", "waste_remaining")


@dataclass(frozen=True)
class Cell:
    """One policy under one regime: all its training seeds that came through."""

    outcomes: tuple[Outcome, ...]

    @property
    def values(self) -> np.ndarray:
        """End-customer value per period (seeds, worlds)."""
        return self.column("evaluation", "end_customer_value")

    def column(self, table: str, name: str) -> np.ndarray:
        """A column of a table of numbers (seeds, rows)."""
        return np.stack([read_evaluation(o.unit.folder / f"{table}.csv")[name] for o in self.outcomes])

    def columns(self, table: str) -> dict[str, np.ndarray]:
        """All columns of a table of numbers (seeds, rows)."""
        read = [read_evaluation(outcome.unit.folder / f"{table}.csv") for outcome in self.outcomes]
        return {name: np.stack([columns[name] for columns in read]) for name in read[0]}

    def steps(self) -> list[int]:
        """Steps of every training, from its log; none for what was not trained."""
        logs = [outcome.unit.folder / "training.csv" for outcome in self.outcomes]
        return [int(float(read_table(log)["step"][-1])) for log in logs if log.exists()]


Cells = Mapping[str, Mapping[str, Cell]]  # regime → policy → cell


def cells(experiment: Experiment, outcomes: Sequence[Outcome]) -> dict[str, dict[str, Cell]]:
    """What came through, in the order of the regimes and policies of the experiment."""
    found: dict[str, dict[str, list[Outcome]]] = {regime: {} for regime in experiment.regimes}
    for outcome in outcomes:
        if outcome.values is not None:
            found[outcome.unit.regime_label].setdefault(outcome.unit.policy.called, []).append(outcome)
    return {regime: {label: Cell(tuple(o)) for label, o in of.items()} for regime, of in found.items()}


def summary(experiment: Experiment, outcomes: Sequence[Outcome], reached: np.ndarray | None) -> dict[str, Any]:
    """All that is said about a comparison; `reached` (worlds,) by foresight, where it was asked for."""
    found, learner = cells(experiment, outcomes), next(iter(experiment.policies))
    served = {regime: of[learner] for regime, of in found.items() if learner in of}
    values = {(regime, label): cell.values for regime, of in found.items() for label, cell in of.items()}
    resampled = Resampled({repr(key): v for key, v in values.items()})
    asked = experiment.config["baseline"] or BASELINE
    baseline = asked if asked in served else next(iter(served), None)
    kinds = experiment.config["effects"] or EFFECTS
    scale = _scale(values, learner, reached)
    (window,) = experiment.windows.values()
    said: dict[str, Any] = {
        "name": experiment.name,
        "scenario": next(iter(experiment.scenarios)),
        "policy": learner,
        "memory": next((cell.outcomes[0].summary["memory"] for cell in served.values()), None),
        "seeds": list(experiment.seeds) if is_learner(experiment.policies[learner]) else list(experiment.seeds[:1]),
        "worlds": experiment.evaluation.worlds,
        "window": asdict(window),
        "budget": {regime: cell.steps() for regime, cell in served.items()},
        "baseline": baseline,
        "foresight": scale,
        "regimes": {r: _regime(r, of, learner, baseline, resampled, values, scale) for r, of in found.items()},
        "effects": effects({r: cell.values for r, cell in served.items()}, resampled, learner, scale, kinds),
        "terms": kinds,
        "quarters": quarters(served, baseline),
        "markets": {regime: market_shares(cell) for regime, cell in served.items()},
        "parties": parties(served, baseline, next(iter(experiment.scenarios.values())).companies),
        "lean": {regime: _lean(cell) for regime, cell in served.items()},
        "not_served": {
            label: [regime for regime in experiment.regimes if regime not in (choice.regimes or experiment.regimes)]
            for label, choice in experiment.policies.items()
        },
        "failed": [{"unit": outcome.unit.name, "error": outcome.error} for outcome in outcomes if outcome.error],
    }
    return finite(said)


def _scale(values: Mapping[tuple[str, str], np.ndarray], learner: str, reached: np.ndarray | None) -> Any:
    """Where shares count from and to: the regime `static`, and the best that is known to be possible in each world.

    Whoever knows the luck could do what any policy here has done, so that is possible too.
    """
    if reached is None or (REFERENCE, learner) not in values:
        return None
    best = np.maximum(reached, np.max([v.max(axis=0) for v in values.values()], axis=0))
    ends = Resampled({"0": values[REFERENCE, learner], "1": best[None]}).points
    return {"static": ends["0"], "reached": ends["1"]} if ends["1"] > ends["0"] else None


def _share(interval: Interval, scale: Any, zero: float) -> dict[str, float] | None:
    """An interval as shares of what foresight adds to static, counted from `zero`."""
    if scale is None:
        return None
    room = scale["reached"] - scale["static"]
    return {name: (number - zero) / room for name, number in interval._asdict().items()}


def _regime(
    regime: str,
    of: Mapping[str, Cell],
    learner: str,
    baseline: str | None,
    resampled: Resampled,
    values: Mapping[tuple[str, str], np.ndarray],
    scale: Any,
) -> dict[str, Any]:
    """Every policy of a regime, and the best rule against the learner."""

    def told(label: str) -> dict[str, Any]:
        interval, v = resampled.interval(repr((regime, label))), values[regime, label]
        change = None
        if baseline is not None and (regime, label) != (baseline, learner):
            change = _difference(resampled, repr((regime, label)), repr((baseline, learner)))
        return {
            **interval._asdict(),
            "mean": float(v.mean()),
            "seeds": len(v),
            "change": change,
            "normalised": _share(interval, scale, scale["static"] if scale else 0.0),
        }

    rules = {label: told(label) for label in of if label != learner}
    best = max(rules, key=lambda label: rules[label]["value"], default=None)
    against = None
    if best is not None and learner in of:
        against = _difference(resampled, repr((regime, best)), repr((regime, learner)))
    return {
        "learner": told(learner) if learner in of else None,
        "rules": rules,
        "best_rule": best,
        "best_rule_less_learner": against,
    }


def _difference(resampled: Resampled, one: str, other: str) -> dict[str, Any]:
    interval = resampled.interval({one: 1.0, other: -1.0})
    return {**interval._asdict(), "shown": interval.shown}


def effects(
    values: Mapping[str, np.ndarray],
    resampled: Resampled | None = None,
    policy: str = "",
    scale: Any = None,
    kinds: Mapping[str, Mapping[str, float]] = EFFECTS,
) -> dict[str, Any]:
    """The effects between the regimes of `values` (label → (seeds, worlds)); those that lack a regime are None."""
    if resampled is None:
        resampled = Resampled({repr((regime, policy)): v for regime, v in values.items()})
    found: dict[str, Any] = {}
    for name, terms in kinds.items():
        if not set(terms) <= set(values):
            found[name] = None
            continue
        interval = resampled.interval({repr((regime, policy)): weight for regime, weight in terms.items()})
        likely = None
        if sorted(terms.values()) == [-1.0, 1.0]:
            better, worse = sorted(terms, key=lambda regime: -terms[regime])
            likely = improvement(values[better], values[worse])._asdict()
        found[name] = {
            **interval._asdict(),
            "shown": interval.shown,
            "improvement": likely,
            "normalised": _share(interval, scale, 0.0),
        }
    return found


def quarters(served: Mapping[str, Cell], baseline: str | None) -> dict[str, Any]:
    """End-customer value per period in every quarter of the episode, and the change from `baseline`: what compounds.

    Empty where an episode is too short for four.
    """
    if any(cell.outcomes[0].unit.window.periods < len(QUARTERS) for cell in served.values()):
        return {}
    found: dict[str, Any] = {regime: [] for regime in served}
    for column in QUARTERS:
        resampled = Resampled({regime: cell.column("lean", column) for regime, cell in served.items()})
        for regime in served:
            change = None
            if baseline is not None and regime != baseline:
                change = _difference(resampled, regime, baseline)
            found[regime].append({**resampled.interval(regime)._asdict(), "change": change})
    return found


def market_shares(cell: Cell) -> dict[str, Any]:
    """Of sellers that share a market, by training: the mean share of demand in the last quarter of the episode, and the
    first period in which it was `DRAWN` above that of the start, None where it never was. And who is alive at the end.
    """
    columns = cell.columns("timeline")
    counted = (columns["period"][0] >= 0) & (columns["period"][0] < cell.outcomes[0].unit.window.periods)
    columns = {name: values[:, counted] for name, values in columns.items()}
    found: dict[str, Any] = {"alive": columns["alive"][:, -1].tolist(), "sellers": {}}
    for name, share in columns.items():
        if name.startswith("demand share of "):
            drawn = [np.flatnonzero(course >= course[0] + DRAWN)[:1].tolist() for course in share]
            found["sellers"][name.removeprefix("demand share of ")] = {
                "last": share[:, -(-share.shape[1] * 3 // 4) :].mean(axis=1).tolist(),
                "drawn": [first[0] if first else None for first in drawn],
            }
    return found


def parties(served: Mapping[str, Cell], baseline: str | None, companies: Sequence[Any]) -> dict[str, Any]:
    """What each party has per period under each regime, the change from `baseline`, and payments that settle it.

    Rows sum to end-customer value: where profit is accrued a row takes out what companies have charged each other for
    goods still in stock. It belongs to no party, and takes no part in payments.
    """
    columns = {
        **{f"profit of {company.name}": (company.name, "company") for company in companies},
        "customer_surplus": ("end customers", "customers"),
        "platform_revenue": ("platform", "platform"),
        "unrealised_profit": (UNREALISED, "unrealised"),
    }
    tables = {regime: cell.columns("evaluation") for regime, cell in served.items()}
    for column in ("platform_revenue", "unrealised_profit"):
        if not any(table[column].any() for table in tables.values()):
            del columns[column]
    found = {regime: {"rows": [], "side_payments_possible": None} for regime in served}
    for column, (name, kind) in columns.items():
        sign = -1.0 if kind == "unrealised" else 1.0
        resampled = Resampled({regime: sign * table[column] for regime, table in tables.items()}, mean)
        for regime in served:
            row: dict[str, Any] = {"party": name, "kind": kind, "value": resampled.points[regime], "change": None}
            if baseline is not None and regime != baseline:
                change = resampled.interval({regime: 1.0, baseline: -1.0})
                row["change"] = {**change._asdict(), "shown": change.shown}
            found[regime]["rows"].append(row)
    for regime, said in found.items():
        profits = np.array([row["value"] for row in said["rows"] if row["kind"] == "company"])
        said["gini"] = float(gini(profits[:, None])[0])
        said["sum"] = sum(row["value"] for row in said["rows"])
        if regime == baseline or baseline is None:
            continue
        said["sum_of_changes"] = sum(row["change"]["value"] for row in said["rows"])
        paying = [row for row in said["rows"] if row["kind"] != "unrealised"]
        payments = side_payments(np.array([row["change"]["value"] for row in paying]))
        said["side_payments_possible"] = payments is not None
        for row in said["rows"]:
            row["side_payment"] = None
        for row, payment in zip(paying, () if payments is None else payments, strict=payments is not None):
            row["side_payment"] = float(payment)
    return found


def _lean(cell: Cell) -> dict[str, Any]:
    """Means of the lean metrics and of the ledger."""
    columns = cell.columns("lean")
    with np.errstate(invalid="ignore"):
        flow = {name: float(columns[name].mean()) for name in FLOW}
    cost = {kind: float(columns[f"cost of {kind}"].mean()) for kind in KINDS}
    days = cell.outcomes[0].unit.scenario.period_days
    waste = cell.columns("waste")
    counted = (waste["period"][0] >= 0) & (waste["period"][0] <= cell.outcomes[0].unit.window.periods)
    halved = {
        name.removeprefix("waste "): _halved(levels.mean(axis=0)[counted]) * days
        for name, levels in waste.items()
        if name.startswith("waste ")
    }
    return {**flow, "days_to_halve": halved, "cost": cost, "total_cost": sum(cost.values())}


def _halved(level: np.ndarray) -> float:
    """Periods until a level (periods,) was half of what it was at first; infinite where it never was."""
    reached = np.flatnonzero(level <= 0.5 * level[0])
    return float(reached[0]) if len(reached) and level[0] > 0 else math.inf


def finite(data: Any) -> Any:
    """The same with None for numbers that are none, which JSON has no word for."""
    if isinstance(data, Mapping):
        return {key: finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
