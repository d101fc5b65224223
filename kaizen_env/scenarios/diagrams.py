"""Scenarios as Markdown: an overview table, and a Mermaid diagram of one.

python -m kaizen_env.scenarios.diagrams            the table of the built-in scenarios
python -m kaizen_env.scenarios.diagrams cola       the diagram of one: a name, or the path of a YAML file
"""

from __future__ import annotations

import sys

from ..description import Scenario, TradeLink
from ..errors import DescriptionError
from . import load_scenario, scenarios


def overview() -> str:
    """One row of numbers for each built-in scenario, as a Markdown table."""
    columns = ("scenario", "companies", "supply links", "trade links", "market links", "demand per day", "wastes")
    rows = [(*columns, "period", "episode"), ("---",) * 9]
    for name in scenarios():
        s = load_scenario(name)
        demand = ", ".join(f"{m.demand.mean_of_period(1.0):g} ({m.demand.process})" for m in s.markets)
        counts = (len(s.companies), len(s.supply_links), len(s.trade_links), len(s.market_links))
        wastes = ", ".join(w.name for w in s.wastes) or "none"
        rows.append((name, *map(str, counts), demand, wastes, days(s.period_days), f"{s.periods} periods"))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def mermaid(scenario: Scenario) -> str:
    """A Markdown block with a Mermaid flowchart from suppliers to markets.

    Trade links carry their transit time, and the bill of materials where it is not one.
    Meant for networks that a page can hold: every company and link is drawn.
    """
    company = {c.name: f"c{i}" for i, c in enumerate(scenario.companies)}
    market = {m.name: f"m{i}" for i, m in enumerate(scenario.markets)}
    lines = ["```mermaid", "flowchart LR"]
    lines += [f'    {company[c.name]}["{c.name}"]' for c in scenario.companies]
    lines += [f'    {market[m.name]}(["{m.name}"])' for m in scenario.markets]
    for i, link in enumerate(scenario.supply_links):
        lines += [f'    s{i}(("{link.supplier}"))', f"    s{i} --> {company[link.buyer]}"]
    for link in scenario.trade_links:
        lines.append(f'    {company[link.seller]} -->|"{_label(link, scenario)}"| {company[link.buyer]}')
    lines += [f"    {company[link.seller]} --> {market[link.market]}" for link in scenario.market_links]
    return "\n".join([*lines, "```"])


def _label(link: TradeLink, scenario: Scenario) -> str:
    transit = scenario.period_days if link.transit_time is None else link.transit_time
    return days(transit) if link.bom == 1 else f"{link.bom:g} a piece, {days(transit)}"


def days(duration: float) -> str:
    """A duration in days, in hours where it is less than one."""
    if duration < 1:
        return f"{duration * 24:g} h"
    return "1 day" if duration == 1 else f"{duration:g} days"


def main(arguments: list[str]) -> int:
    """Print the table, or the diagram of the scenario named; 2 where there is no such scenario."""
    if len(arguments) > 1:
        print("usage: python -m kaizen_env.scenarios.diagrams [SCENARIO]", file=sys.stderr)
        return 2
    try:
        print(mermaid(load_scenario(arguments[0])) if arguments else overview())
    except DescriptionError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
