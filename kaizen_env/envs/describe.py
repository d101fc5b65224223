"""What an agent sees, does and is paid, as tables: of one environment, or of everything that an environment can have.

python -m kaizen_env.envs.describe SCENARIO [REGIME] [--markdown]    one environment: names, units, normalisation
python -m kaizen_env.envs.describe --table regimes                   the named regimes
python -m kaizen_env.envs.describe --table twins                     what each twin shows, and how many elements
python -m kaizen_env.envs.describe --table features                  every element of every observation
python -m kaizen_env.envs.describe --table actions                   every element of an action
python -m kaizen_env.envs.describe --table infos                     what infos hold
python -m kaizen_env.envs.describe --table scenarios                 sizes and scale of reward, per built-in scenario

The tables are read off environments that are built for it; a condition such as "a credit limit" stands beside a
feature because the feature appeared when the condition was added to a scenario that has nothing of the kind.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple, get_args

from ..errors import DescriptionError
from ..regimes import REGIMES, TwinKind
from ..scenarios import scenarios
from ..twins import BOUND, LARGEST_NETWORK, SHARED_BY_COMPANY, Feature
from .batch import INFO, BatchEnv


class Table(NamedTuple):
    """Column names and rows of text."""

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


NORMALISED = {
    "periods of mean throughput": "units ÷ throughput",
    "standard cost of mean throughput": "money ÷ cost of throughput",
    "credit limits": "money ÷ credit limit",
}
"""How a number of the state becomes an element, by its unit; elements of other units stay as they are."""

SEES = {
    "own": "its own features",
    "neighbours": "its own features, and their mean over its suppliers, and over its customers",
    "group": "its own features, and those of every company of the same owner",
    "network": "its own features, its echelon position, and the features of every company",
    "echelon": "its own features, and sums over everything up- and downstream",
    "members": "and, while its own twin is open, those of every company whose twin is open",
}
"""What a twin shows to a company."""

PAID = {
    "own": "own profit",
    "group": "α · profit of the group ÷ its members + (1 − α) · own profit",
    "network": "α · end-customer value of the network ÷ companies + (1 − α) · own profit",
}

INFOS = {
    "end_customer_value": ("money", "value delivered less every real cost, as the scenario accounts for it"),
    "network_profit": ("money", "sum of all companies' own profits, as the scenario accounts for them"),
    "customer_surplus": ("money", "end customers' surplus, after waiting, lost sales and hurdles"),
    "platform_revenue": ("money", "fees for open twins"),
    "served": ("share", "of the end customers who wanted something, those who got it; 1 if nobody wanted anything"),
    "waste": (
        "level",
        "mean over all wastes that stood above 0 at the start; 1 = today, 0 = none",
    ),
    "open_twins": ("share", "of the companies, those with an open twin"),
    "alive": ("share", "of the companies, those that are not bankrupt"),
    "clipped_actions": ("elements", "of all companies' actions, those outside [−1, 1]"),
}
"""Unit and meaning of `INFO`; all are of the last period, or of this moment."""

BARE: dict[str, Any] = {
    "name": "bare",
    "companies": [{"name": "maker"}, {"name": "shop"}],
    "supply_links": [{"buyer": "maker", "price": 1}],
    "trade_links": [{"seller": "maker", "buyer": "shop"}],
    "market_links": [{"seller": "shop", "market": "town", "price": 1}],
    "markets": [{"name": "town", "demand": {"process": "constant", "mean": 1}}],
}
"""A network without waste, improvement, culture, credit or seasons."""

ADDED: dict[str, dict[str, Any]] = {
    "a waste NAME of companies": {"wastes": [{"name": "NAME", "channel": "hurdle"}]},
    "a waste NAME of links": {"wastes": [{"name": "NAME", "channel": "freight"}]},
    "`improvement.learning`": {"improvement": {"learning": 0.01, "skill_max": 2}},
    "`improvement.forgetting`": {"improvement": {"forgetting": 0.01}},
    "`culture.initial` below 1": {"culture": {"initial": 0.1}},
    "`culture.innovation`": {"culture": {"innovation": 0.01}},
    "`culture.imitation`": {"culture": {"imitation": 0.01}},
    "`culture.erosion`": {"culture": {"erosion": 0.01}},
    "`culture.openness_threshold`": {"culture": {"openness_threshold": 0.5}},
    "`platform_fee`": {"platform_fee": 0.01},
    "a company's `credit_limit`": {"companies": [{"name": "maker", "credit_limit": 1}, {"name": "shop"}]},
    "a market's `seasonal` demand": {
        "markets": [{"name": "town", "demand": {"process": "seasonal", "mean": 1, "amplitude": 0.5, "cycle": 7}}]
    },
}
"""What a scenario may have more, by the words that the tables use for it."""


# --- one environment ------------------------------------------------------------------------------------------------


def observation_table(batch: BatchEnv) -> Table:
    """Every element of an observation; for a planner those that it sees of each company."""
    regime, twin = batch.regime, batch.twin
    each = twin.own if regime.control == "planner" and regime.twin in SHARED_BY_COMPANY else twin.features
    rows = [(str(i), f.name, f.unit, _normalised(f), f.meaning) for i, f in enumerate(each)]
    return Table(("", "observation", "unit", "normalisation", "meaning"), rows)


def action_table(batch: BatchEnv) -> Table:
    """Every element of an action."""
    kind, units = batch.scenario.replenishment, batch.actions.units
    names = enumerate(batch.action_names)
    return Table(
        ("", "action", "unit", "at −1", "at 0", "at 1"), [(str(i), n, units[i], *_ends(n, kind)) for i, n in names]
    )


def scale_table(batch: BatchEnv) -> Table:
    """What the elements of each company are multiples of, and what its order can be."""
    company, most = batch.network.company, batch.actions.most[:, 0]
    throughput = company.throughput[:, 0]
    cost = company.standard_cost[:, 0] * throughput
    rows = [
        # What would divide by 0 divides by 1.
        (name, f"{throughput[i] or 1:.6g}", f"{cost[i] or 1:.6g}", f"{most[i] / 2:.6g}", f"{most[i]:.6g}")
        for i, name in enumerate(batch.network.names)
    ]
    columns = ("company", "throughput (units per period)", "cost of throughput (money)", "order at 0", "order at 1")
    return Table(columns, rows)


def heading(batch: BatchEnv) -> list[str]:
    """What environment this is, in two lines."""
    regime = batch.regime
    return [
        f"{batch.scenario.name}: twin {regime.twin}, objective {regime.objective}, alignment {regime.shared_weight:g},"
        f" control {regime.control}; {batch.companies} companies, {batch.horizon} periods",
        f"rewards are money / {batch.objective.scale:.6g}; every element of an observation lies within ±{BOUND:g}",
    ]


def text(batch: BatchEnv) -> str:
    """The tables of one environment for a terminal."""
    tables = (observation_table(batch), action_table(batch), scale_table(batch))
    return "\n".join([*heading(batch), *("\n" + as_text(table) for table in tables)])


# --- everything that there can be -----------------------------------------------------------------------------------


def regime_table() -> Table:
    """The named regimes as points on the axes."""
    rows = []
    for name, regime in REGIMES.items():
        env = "`PlannerEnv`" if regime.control == "planner" else "`parallel_env`, `env`"
        does = "orders and improves" if regime.kaizen else "orders"
        rows.append((f"`{name}`", regime.twin, regime.objective, regime.control, does, env))
    return Table(("regime", "twin", "objective", "control", "what it does", "environment"), rows)


def twin_table() -> Table:
    """What each twin shows, and of how many elements it is: read off chains of three and of five companies."""
    own = len(_env(_chain(3)).feature_names)
    rows = []
    for kind in get_args(TwinKind):
        three, five = (len(_env(_chain(n), twin=kind).feature_names) for n in (3, 5))
        per_company = (five - three) // 2
        blocks, more = divmod(three - 3 * per_company, own)
        terms = ["own" if blocks == 1 else f"{blocks} · own"]
        terms += [str(more)] if more else []
        terms += [f"companies · (own + {per_company - own})"] if per_company else []
        limit = f"{LARGEST_NETWORK} companies" if kind in SHARED_BY_COMPANY else "none"
        rows.append((f"`{kind}`", SEES[kind], " + ".join(terms), limit))
    return Table(("twin", "a company sees", "elements", "limit"), rows)


def objective_table() -> Table:
    """What each objective pays."""
    return Table(("objective", "reward of a company, before it is scaled"), [(f"`{k}`", v) for k, v in PAID.items()])


def every_feature() -> Table:
    """Every element that an observation can have, with the condition under which it is there."""
    rows = [(f"`{f.name}`", f.unit, _normalised(f), f.meaning, there) for f, there in _own_features().values()]
    base = [f.name for f in _env(BARE).twin.own]
    for kind in get_args(TwinKind):
        shared = _env(BARE, twin=kind).twin.features[len(base) :]
        for prefix in dict.fromkeys(f.name.rpartition(".")[0] for f in shared):
            block = [f for f in shared if f.name.rpartition(".")[0] == prefix]
            rows += [row for row in _shared_rows(kind, prefix, block, base) if row not in rows]
    return Table(("element", "unit", "normalisation", "meaning", "is there with"), rows)


def every_action() -> Table:
    """Every element that an action can have, with the condition under which it is there."""
    rows = []
    for kind in ("quantity", "order_up_to", "echelon_order_up_to"):
        batch = _env(BARE | {"replenishment": kind}, twin="echelon")
        rows.append(("`order`", batch.actions.units[0], *_ends("order", kind), f"`replenishment: {kind}`"))
    cases = {words: _env(BARE | change) for words, change in ADDED.items()} | {"`twin: members`": _env(BARE, "members")}
    there: dict[str, list[str]] = {}
    units: dict[str, str] = {}
    for words, batch in cases.items():
        units |= dict(zip(batch.action_names, batch.actions.units, strict=True))
        for name in batch.action_names[1:]:
            there.setdefault(name, []).append(words)
    rows += [(f"`{name}`", units[name], *_ends(name, ""), _any_of(words)) for name, words in there.items()]
    return Table(("element", "unit", "at −1", "at 0", "at 1", "is there with"), rows)


def info_table() -> Table:
    """What infos hold, with unit and meaning."""
    rows = [(f"`{name}`", *INFOS[name], "all") for name in INFO]
    rows.append(("`profit`", "money", "of the company itself", "`parallel_env`, `env`"))
    return Table(("info", "unit", "meaning", "environments"), rows)


def scenario_table() -> Table:
    """Sizes of observation and action, and the scale of reward, of the built-in scenarios."""
    kinds = get_args(TwinKind)
    rows = []
    for name in scenarios():
        sizes = [str(len(_env(name, twin=kind).feature_names)) for kind in kinds]
        batch = _env(name)
        static = len(BatchEnv(name, "static").action_names)
        actions = (str(len(batch.action_names)), str(static))
        rows.append((name, str(batch.companies), *sizes, *actions, f"{batch.objective.scale:.6g}"))
    columns = ("scenario", "companies", *(f"twin {kind}" for kind in kinds), "actions", "actions static", "reward is ÷")
    return Table(columns, rows)


TABLES = {
    "regimes": regime_table,
    "twins": twin_table,
    "objectives": objective_table,
    "features": every_feature,
    "actions": every_action,
    "infos": info_table,
    "scenarios": scenario_table,
}


# --- how they are found and printed ---------------------------------------------------------------------------------


def _env(scenario: Any, twin: str = "own") -> BatchEnv:
    return BatchEnv(scenario, "isolated", twin=twin)


def _chain(companies: int) -> Mapping[str, Any]:
    names = [f"c{i}" for i in range(companies)]
    return BARE | {
        "companies": [{"name": name} for name in names],
        "supply_links": [{"buyer": names[0], "price": 1}],
        "trade_links": [{"seller": a, "buyer": b} for a, b in pairwise(names)],
        "market_links": [{"seller": names[-1], "market": "town", "price": 1}],
    }


def _own_features() -> dict[str, tuple[Feature, str]]:
    """Every own feature, and with what it is there; in the order in which they stand in an observation."""
    base = {f.name: (f, "every scenario") for f in _env(BARE).twin.own}
    found: dict[str, list[str]] = {}
    features: dict[str, Feature] = {}
    for words, change in ADDED.items():
        for f in _env(BARE | change).twin.own:
            if f.name not in base:
                features[f.name] = f
                found.setdefault(f.name, []).append(words)
    return base | {name: (f, _any_of(found[name])) for name, f in features.items()}


def _shared_rows(kind: str, prefix: str, block: list[Feature], own: list[str]) -> list[tuple[str, ...]]:
    """Rows of the shared features with one prefix; those that repeat all own features as one row."""
    there = f"`twin: {kind}`"
    last = {f.name.rpartition(".")[2]: f for f in block}
    repeats = set(own) <= set(last)
    placeholder = prefix
    if kind in SHARED_BY_COMPANY:  # these differ in what they fill in, not in their elements
        placeholder, there = "COMPANY", _any_of([f"`twin: {k}`" for k in SHARED_BY_COMPANY])
    rows = []
    for name, f in last.items():
        if repeats and name in own:
            continue
        full = f"{placeholder}.{name}" if prefix else name
        meaning = f.meaning.partition(";")[0] if kind in SHARED_BY_COMPANY else f.meaning
        rows.append((f"`{full}`", f.unit, _normalised(f), meaning, there))
    if repeats:
        whose = f"the features above, mean over {prefix}" if placeholder == prefix else "the features above, of COMPANY"
        rows.append((f"`{placeholder}.FEATURE`", "as FEATURE", "as FEATURE", whose, there))
    return rows


def _any_of(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]


def _normalised(feature: Feature) -> str:
    return NORMALISED.get(feature.unit, "as it is")


def _ends(action: str, replenishment: str) -> tuple[str, str, str]:
    """What −1, 0 and 1 stand for."""
    if action == "openness":
        return "closed", "closed", "open"
    if action != "order":
        return "0", "0.5", "1"
    if replenishment == "quantity":
        return "0", "½ · `order_max` periods", "`order_max` periods"
    return "0", "keeps the stocks of the start", "twice that"


def as_text(table: Table) -> str:
    """Columns aligned with spaces."""
    lines = [table.columns, *table.rows]
    widths = [max(len(line[k]) for line in lines) for k in range(len(table.columns))]
    return "\n".join("  ".join(f"{cell:{w}}" for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def as_markdown(table: Table) -> str:
    """A Markdown table."""
    lines = [table.columns, ("---",) * len(table.columns), *table.rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def main(arguments: list[str] | None = None) -> int:
    """Print what was asked for; 2 where it does not exist."""
    parser = argparse.ArgumentParser(prog="python -m kaizen_env.envs.describe", description="Tables of environments.")
    parser.add_argument("scenario", nargs="?", help="a built-in name, or the path of a YAML file")
    parser.add_argument("regime", nargs="?", default="isolated", help="a named regime (default: isolated)")
    parser.add_argument("--table", choices=TABLES, help="a table of everything that there can be, as Markdown")
    parser.add_argument("--markdown", action="store_true", help="one environment as Markdown tables")
    given = parser.parse_args(arguments)
    if (given.scenario is None) == (given.table is None):
        parser.error("name a scenario, or a --table")
    if given.table:
        print(as_markdown(TABLES[given.table]()))
        return 0
    try:
        batch = BatchEnv(given.scenario, given.regime)
    except DescriptionError as error:
        print(error, file=sys.stderr)
        return 2
    if given.markdown:
        tables = (observation_table(batch), action_table(batch), scale_table(batch))
        print("\n\n".join(as_markdown(table) for table in tables))
    else:
        print(text(batch))
    return 0


if __name__ == "__main__":
    sys.exit(main())
