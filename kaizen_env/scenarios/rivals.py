"""Rivals: the same network twice, selling to one market whose customers choose by what they experience."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import as_numpy
from ..build import build
from ..description import Scenario
from ..errors import DescriptionError

SCALED = ("mean", "sd")  # of a demand process, for twice as many customers


def rivals(
    scenario: Any,
    names: tuple[str, str] | list[str] = ("blue", "red"),
    sensitivity: float = 0.0,
    credit_days: float | None = None,
    periods: int | None = None,
) -> Scenario:
    """Two copies of a scenario before the doubled demand of its markets; each begins with the shares of the original.

    Companies are called `NAME company`, with a name of `names`. `sensitivity` is that of a logit choice, per unit of
    money of experience; 0 keeps the shares. With `credit_days` a company is bankrupt when it owes more than so many
    days of its throughput at standard cost. `periods` changes the length of an episode. At equal
    shares each copy has the demand of the original, to the last bit for demand that grows with its mean and deviation.
    Raises `DescriptionError`.
    """
    from . import load_scenario

    single = load_scenario(scenario)
    if periods is not None:
        single = load_scenario({"scenario": single, "periods": periods})
    if len(names) != 2 or names[0] == names[1] or not all(isinstance(name, str) and name for name in names):
        raise DescriptionError(f"rivals: names: got {names!r}; allowed: two different words, e.g. [blue, red]")
    for key, number in (("sensitivity", sensitivity), ("credit_days", credit_days)):
        if number is not None and (isinstance(number, bool) or not isinstance(number, (int, float)) or number < 0):
            raise DescriptionError(f"rivals: {key}: got {number!r}; allowed: a number from 0 on")
    if single.contracts.penalty_share or single.contracts.gain_share:
        raise DescriptionError("rivals: a scenario with contracts cannot be doubled; give contracts: {}")
    limits = _limits(single, credit_days)
    data = single.model_dump(mode="json", exclude_unset=True)
    twice: dict[str, list[Any]] = {"companies": [], "supply_links": [], "trade_links": [], "market_links": []}
    lowest = max((c.position[1] for c in single.companies if c.position is not None), default=0.0) + 1.0
    for place, name in enumerate(names):
        for company, limit in zip(data["companies"], limits, strict=True):
            own = {**company, "name": f"{name} {company['name']}"}
            if limit is not None:
                own["credit_limit"] = limit
            if company.get("group") is not None:
                own["group"] = f"{name} {company['group']}"
            if company.get("position") is not None:
                own["position"] = (company["position"][0], company["position"][1] + place * lowest)
            twice["companies"].append(own)
        for kind, ends in (
            ("supply_links", ("buyer",)),
            ("trade_links", ("seller", "buyer")),
            ("market_links", ("seller",)),
        ):
            for link in data.get(kind, []):
                twice[kind].append({**link, **{end: f"{name} {link[end]}" for end in ends}})
    shares = as_numpy(build(single).market.share)[:, 0].tolist()
    for link, share in zip(twice["market_links"], shares * 2, strict=True):
        link["share"] = share / 2.0
    disruptions = [
        {**each, "name": f"{name} {each['name']}"}
        | {end: f"{name} {each[end]}" for end in ("company", "seller", "buyer") if each.get(end) is not None}
        for name in names
        for each in data.get("disruptions", [])
    ]
    markets = [_doubled(market, sensitivity) for market in data["markets"]]
    title = f"{single.title or single.name}: {names[0]} and {names[1]} before the same customers"
    whole = data | twice | {"name": f"{single.name}_rivals", "title": title, "markets": markets}
    return Scenario.model_validate(whole | {"disruptions": disruptions})


def _doubled(market: dict[str, Any], sensitivity: float) -> dict[str, Any]:
    demand = market["demand"]
    if "mean" not in demand:
        raise DescriptionError(
            f"rivals: market '{market['name']}' has demand by process: {demand['process']}; only processes with a mean"
            " can be doubled, e.g. {process: normal, mean: 20, sd: 8}"
        )
    twice = {key: 2.0 * value if key in SCALED else value for key, value in demand.items()}
    choice = {"choice": "logit", "choice_sensitivity": sensitivity} if sensitivity else {}
    return {**market, **choice, "demand": twice}


def _limits(single: Scenario, credit_days: float | None) -> list[float | None]:
    """Credit limits of the companies, money; None where they stay as they are."""
    if credit_days is None:
        return [None] * len(single.companies)
    company = build(single).company
    per_day = as_numpy(company.standard_cost) * as_numpy(company.throughput) / single.period_days
    return np.asarray(credit_days * per_day[:, 0]).tolist()
