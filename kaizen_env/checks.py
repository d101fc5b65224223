"""What must hold between the parts of a scenario: names that exist, a graph without cycles, shares that sum to 1.

Each problem is one line: the path in the description, what was found, what is allowed, the mend.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import networkx

from .errors import near

if TYPE_CHECKING:
    from .description import MarketLink, Scenario, Waste, WasteChange


def problems(scenario: Scenario) -> list[str]:
    """Every problem found, in the order of the file; empty when the scenario is sound."""
    found = [*_names(scenario), *_references(scenario)]
    if not found:  # the graph can be walked only when every name leads somewhere
        checks = (_graph, _shares, _waiting, _wastes, _timing, _contracts)
        found = [line for check in checks for line in check(scenario)]
    return list(dict.fromkeys(found))


def _names(s: Scenario) -> Iterable[str]:
    lists = {"companies": s.companies, "markets": s.markets, "wastes": s.wastes, "disruptions": s.disruptions}
    for kind, things in lists.items():
        for name, times in Counter(thing.name for thing in things).items():
            if times > 1:
                yield f"{kind}: the name '{name}' stands {times} times; names must differ"
    if "customers" in {c.name for c in s.companies}:
        yield "companies: the name 'customers' is kept for the end customers in contracts; choose another"


def _references(s: Scenario) -> Iterable[str]:
    companies, markets = [c.name for c in s.companies], [m.name for m in s.markets]
    wanted: list[tuple[str, str, list[str], str]] = []
    for i, link in enumerate(s.supply_links):
        wanted.append((f"supply_links[{i}].buyer", link.buyer, companies, "company"))
    for i, link in enumerate(s.trade_links):
        wanted.append((f"trade_links[{i}].seller", link.seller, companies, "company"))
        wanted.append((f"trade_links[{i}].buyer", link.buyer, companies, "company"))
    for i, link in enumerate(s.market_links):
        wanted.append((f"market_links[{i}].seller", link.seller, companies, "company"))
        wanted.append((f"market_links[{i}].market", link.market, markets, "market"))
    for i, hit in enumerate(s.disruptions):
        for field in ("company", "seller", "buyer"):
            if (name := getattr(hit, field)) is not None:
                wanted.append((f"disruptions[{i}].{field}", name, companies, "company"))
    known = {"company": set(companies), "market": set(markets)}
    for path, name, allowed, kind in wanted:
        if name not in known[kind]:
            yield f"{path}: there is no {kind} '{name}'{near(name, allowed)}; {_some(allowed, kind)}"
    pairs = {(link.seller, link.buyer) for link in s.trade_links}
    for i, hit in enumerate(s.disruptions):
        if hit.seller is not None and (hit.seller, hit.buyer) not in pairs:
            yield f"disruptions[{i}]: there is no trade link from '{hit.seller}' to '{hit.buyer}'"


def _some(allowed: list[str], kind: str) -> str:
    shown = ", ".join(allowed[:8]) + (f" and {len(allowed) - 8} more" if len(allowed) > 8 else "")
    return f"known: {shown}" if allowed else f"the scenario has no {kind}"


def _graph(s: Scenario) -> Iterable[str]:
    buys = {link.buyer for link in [*s.supply_links, *s.trade_links]}
    sells = {link.seller for link in [*s.trade_links, *s.market_links]}
    for i, company in enumerate(s.companies):
        if company.name not in sells:
            yield (
                f"companies[{i}]: nobody buys from '{company.name}'; give it a trade link to a company or a"
                " market link, or remove it"
            )
        if company.name not in buys:
            yield (
                f"companies[{i}]: '{company.name}' buys nothing; give it a supply link, e.g. supply_links:"
                f" [{{buyer: {company.name}}}], or a trade link from a company"
            )
    served = {link.market for link in s.market_links}
    for i, market in enumerate(s.markets):
        if market.name not in served:
            yield f"markets[{i}]: no company serves '{market.name}'; give it a market link, or remove it"
    for kind, pairs in {
        "trade_links": [(link.seller, link.buyer) for link in s.trade_links],
        "market_links": [(link.seller, link.market) for link in s.market_links],
    }.items():
        for (a, b), times in Counter(pairs).items():
            if times > 1:
                yield f"{kind}: the link from '{a}' to '{b}' stands {times} times; one link per pair"
    graph = networkx.DiGraph([(link.seller, link.buyer) for link in s.trade_links])
    if not networkx.is_directed_acyclic_graph(graph):
        cycle = [a for a, _ in networkx.find_cycle(graph)]
        yield (
            f"trade_links: the companies {' → '.join([*cycle, cycle[0]])} form a cycle; goods must flow one way,"
            " remove one of these links"
        )


def _shares(s: Scenario) -> Iterable[str]:
    serving: dict[str, list[MarketLink]] = {market.name: [] for market in s.markets}
    for link in s.market_links:
        serving[link.market].append(link)
    for market, links in serving.items():
        given = [link.share for link in links if link.share is not None]
        total = math.fsum(given)
        whole = math.isclose(total, 1.0, abs_tol=1e-9)
        if len(given) == len(links) and not whole:
            yield (
                f"market_links: the shares of market '{market}' sum to {total:g}; they must sum to 1"
                " (or leave one out: it gets the rest)"
            )
        elif total > 1 + 1e-9:
            yield f"market_links: the shares of market '{market}' sum to {total:g} already; at most 1"


def _waiting(s: Scenario) -> Iterable[str]:
    """What cannot apply on a link: nobody waits where orders are lost, and nothing is lost where they wait."""
    for kind in ("trade_links", "market_links"):
        for i, link in enumerate(getattr(s, kind)):
            if link.unfilled == "lost":
                wrong, mend = ("penalty", "waiting_cost"), "nobody waits; use lost_sale_cost or customer_lost_sale_cost"
            else:
                wrong, mend = ("lost_sale_cost", "customer_lost_sale_cost"), "use unfilled: lost, or penalty"
            for field in wrong:
                if getattr(link, field):
                    yield f"{kind}[{i}].{field}: got {getattr(link, field):g} with unfilled: {link.unfilled}; {mend}"


def pays_for_lateness(s: Scenario) -> list[str]:
    """A line for each trade link whose buyer gains by being served late: where its penalty exceeds its waiting cost."""
    return [
        f"trade_links[{i}]: '{link.buyer}' gains {link.penalty - link.cost_of_waiting:g} per unit and day when"
        f" '{link.seller}' serves it late: penalty {link.penalty:g}, waiting_cost {link.cost_of_waiting:g}; leave"
        " waiting_cost out to make them equal"
        for i, link in enumerate(s.trade_links)
        if link.penalty > link.cost_of_waiting
    ]


def _wastes(s: Scenario) -> Iterable[str]:
    companies, links = s.company_wastes(), s.link_wastes()
    for kind, wastes in (("companies", companies), ("supply_links", links), ("trade_links", links)):
        parts = getattr(s, kind)
        if any(not part.wastes for part in parts):  # those without changes are all alike
            yield from _changes("wastes", {}, wastes)
        for i, part in enumerate(parts):
            if part.wastes:
                yield from _changes(f"{kind}[{i}].wastes", part.wastes, wastes)


def _changes(path: str, changes: Mapping[str, WasteChange], wastes: list[Waste]) -> Iterable[str]:
    known = {w.name: w for w in wastes}
    for name, change in changes.items():
        if name not in known:
            yield f"{path}.{name}: no such waste{near(name, known)}; {_some(list(known), 'waste of that kind')}"
            continue
        try:
            merged(known[name], change)
        except ValueError as error:
            yield f"{path}.{name}: {error}"
    sums = dict.fromkeys((waste.channel for waste in wastes), 0.0)
    for waste in wastes:
        size = changes[waste.name].size if waste.name in changes else None
        sums[waste.channel] += waste.share if size is None else size
    for channel, total in sums.items():
        if channel != "unit_cost" and total > 1 + 1e-9:
            yield (
                f"{path}: the sizes of the wastes on channel {channel} sum to {total:g}; at most 1, they are shares"
                " of one parameter"
            )


def merged(waste: Waste, change: WasteChange | None) -> Waste:
    """A waste with what one company or link has otherwise. Raises ValueError where the two do not fit."""
    if change is None:
        return waste
    other = {k: v for k, v in change.model_dump().items() if v is not None}
    values = waste.model_dump() | other
    if values["floor"] > values["initial"]:
        raise ValueError(f"floor {values['floor']:g} is above initial {values['initial']:g}; lower the floor")
    if values["size"] is not None and waste.channel != "unit_cost" and values["size"] > 1:
        raise ValueError(f"size {values['size']:g} on channel {waste.channel}; allowed: 0 to 1")
    return waste.model_copy(update=other)


def _timing(s: Scenario) -> Iterable[str]:
    for i, link in enumerate(s.trade_links):
        mail = link.order_lead_time / s.period_days
        if not math.isclose(mail, round(mail), abs_tol=1e-9):
            yield (
                f"trade_links[{i}].order_lead_time: {link.order_lead_time:g} days are {mail:g} periods of"
                f" {s.period_days:g} days; orders travel whole periods"
            )
    rates = {
        "improvement.learning": s.improvement.learning,
        "culture.innovation + imitation": s.culture.innovation + s.culture.imitation,
    }
    for path, rate in rates.items():
        if rate * s.period_days > 1:
            yield (
                f"{path}: {rate:g} per day is {rate * s.period_days:g} per period of {s.period_days:g} days; at most 1"
                " per period, shorten the period or lower the rate"
            )
    if s.forced_periods and s.replenishment != "quantity":
        yield (
            f"forced_periods: {s.forced_periods} goes only with replenishment: quantity, because what is forced is a"
            " quantity; choose replenishment: quantity or forced_periods: 0"
        )
    if s.ordering == "cascade" and s.replenishment == "quantity":
        yield (
            "ordering: cascade goes only with order-up-to replenishment, because a company's order must answer its"
            " customers' orders of the same period; choose replenishment: order_up_to or ordering: simultaneous"
        )


def _contracts(s: Scenario) -> Iterable[str]:
    companies = [c.name for c in s.companies]
    links = {(link.seller, link.market): link for link in s.market_links}
    seen: Counter[tuple[str, str]] = Counter()
    for i, contract in enumerate(s.contracts.penalty_share):
        path = f"contracts.penalty_share[{i}]"
        seen[contract.seller, contract.market] += 1
        if (contract.seller, contract.market) not in links:
            yield f"{path}: there is no market link from '{contract.seller}' to '{contract.market}'"
        elif links[contract.seller, contract.market].unfilled == "lost":
            yield f"{path}: nobody waits on this market link (unfilled: lost), so that there is no penalty to share"
        elif seen[contract.seller, contract.market] > 1:
            yield f"{path}: the penalty of this market link is shared already; one contract per link"
        yield from _payers(f"{path}.shares", contract.shares, companies)
    for i, contract in enumerate(s.contracts.gain_share):
        yield from _payers(f"contracts.gain_share[{i}].shares", contract.shares, companies)
        yield from _payers(f"contracts.gain_share[{i}].paid_by", contract.paid_by, [*companies, "customers"])


def _payers(path: str, shares: Mapping[str, float], allowed: list[str]) -> Iterable[str]:
    for name in shares:
        if name not in allowed:
            yield f"{path}: there is no company '{name}'{near(name, allowed)}"
    total = math.fsum(shares.values())
    if not math.isclose(total, 1.0, abs_tol=1e-9):
        yield f"{path}: the shares sum to {total:g}; they must sum to 1"
