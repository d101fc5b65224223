"""The format of a trace file: a network, and what every node ordered, shipped, held and paid in every period.

`parameters` describe the network by node: `edges` from seller to buyer (a seller serves its buyers in this order),
`local_holding_cost`, `stockout_cost`, `shipment_lead_time`, and, where they are not the usual ones, `order_lead_time`
(0), `bill_of_materials` (1:1), `initial_inventory_level` (the base-stock level) and `allocation` (priority). In the
trace, `external` is the supplier or the customer outside the network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from ..demand import Constant
from ..description import Company, Market, MarketLink, Scenario, SupplyLink, TradeLink
from ..errors import from_validation, near
from .reading import Entry

OUTSIDE = "external"
Link = tuple[str, str]  # a node and its partner, or `external`


@dataclass(frozen=True)
class TraceNetwork:
    """The network of a trace file. Nodes and links are named as in the file."""

    nodes: list[str]
    edges: list[Link]  # (seller, buyer), in the order in which a seller serves its buyers
    supplied: list[str]  # nodes with an external supplier
    markets: list[str]  # nodes with external demand
    holding_cost: dict[str, float]
    transit_holding_cost: dict[str, float]
    stockout_cost: dict[str, float]
    lead_time: dict[str, int]  # periods from shipment to arrival
    order_lead_time: dict[str, int]  # periods until the supplier sees an order
    bom: dict[Link, float]  # (supplier, buyer) → units of input per unit made
    initial: dict[str, float]  # on hand at the start
    base_stock: dict[str, float]  # local order-up-to levels, of the nodes for which the file has one
    allocation: str

    def suppliers(self, node: str) -> list[str]:
        """Whom a node buys from: the external supplier first."""
        return [OUTSIDE] * (node in self.supplied) + [a for a, b in self.edges if b == node]

    def customers(self, node: str) -> list[str]:
        """Whom a node sells to: external demand last."""
        return [b for a, b in self.edges if a == node] + [OUTSIDE] * (node in self.markets)

    def scenario(self, replenishment: str = "quantity", ordering: str = "simultaneous") -> Scenario:
        """The value network of the trace, with empty pipelines. Raises ValueError where the model refuses it."""
        # Outside suppliers have no backlog: an order's way to them is part of the lead time.
        lead_time = {n: self.lead_time[n] + self.order_lead_time[n] for n in self.supplied}
        fields = {
            "name": "trace",
            "replenishment": replenishment,
            "ordering": ordering,
            "allocation": self.allocation,
            "transit_holding": "seller",
            "accounting": "cash",
            "initial_pipelines": "empty",
            "companies": [
                Company(name=n, holding_cost=self.holding_cost[n], initial_on_hand=self.initial[n]) for n in self.nodes
            ],
            "supply_links": [
                SupplyLink(buyer=n, lead_time=lead_time[n], bom=self.bom.get((OUTSIDE, n), 1.0)) for n in self.supplied
            ],
            "trade_links": [
                TradeLink(
                    seller=a,
                    buyer=b,
                    bom=self.bom.get((a, b), 1.0),
                    transit_time=self.lead_time[b],
                    order_lead_time=self.order_lead_time[b],
                    penalty=self.stockout_cost[a],
                    waiting_cost=0.0,  # the source charges the seller alone, and nobody is paid for its own profit here
                    transit_holding_cost=self.transit_holding_cost[a],
                )
                for a, b in self.edges
            ],
            "market_links": [
                MarketLink(seller=n, market=n, penalty=self.stockout_cost[n], unfilled="backlog") for n in self.markets
            ],
            "markets": [Market(name=n, demand=Constant(mean=1.0)) for n in self.markets],
        }
        try:
            return Scenario.model_validate(fields)
        except ValidationError as error:
            raise from_validation(error, "the network of parameters and trace", Scenario) from None


def read_network(data: Entry) -> TraceNetwork:
    """The network of a trace file. Raises ValueError that names the place of what cannot be used."""
    parameters, periods = data["parameters"], list(data["trace"])
    if not periods:
        raise data["trace"].refused("at least one period is needed")
    first = periods[0]["nodes"].fields()
    nodes = [str(n.value) for n in parameters["nodes"]] if "nodes" in parameters else list(first)
    for missing in set(first) ^ set(nodes):
        raise ValueError(
            f"{periods[0].path}.nodes: {', '.join(sorted(first))} do not agree with parameters.nodes"
            f" ({', '.join(nodes)}): '{missing}' stands in one of them only"
        )
    edges = _edges(parameters, nodes, first)
    lead_time = _whole_by_node(parameters, "shipment_lead_time", nodes, {})
    for seller, buyer in edges:
        if lead_time[buyer] < 1:
            raise ValueError(
                f"{parameters.path}.shipment_lead_time: 0 for node {buyer}, which buys from node {seller}; between"
                " companies at least 1 is needed, because goods sent in one period arrive in a later one"
            )
    holding = _by_node(parameters, "local_holding_cost", nodes, {})
    bom = _bill_of_materials(parameters, nodes, edges)
    nothing = dict.fromkeys(nodes, 0.0)
    return TraceNetwork(
        nodes=nodes,
        edges=edges,
        supplied=[n for n in nodes if _buys_outside(n, edges, periods)],
        markets=[n for n in nodes if OUTSIDE in first[n]["inbound_order"].fields()],
        holding_cost=holding,
        transit_holding_cost=_by_node(parameters, "in_transit_holding_cost", nodes, holding),
        stockout_cost=_by_node(parameters, "stockout_cost", nodes, nothing),
        lead_time=lead_time,
        order_lead_time=_whole_by_node(parameters, "order_lead_time", nodes, nothing),
        bom=bom,
        initial=_initial(parameters, nodes, first, bom),
        base_stock={n: entry.number() for n, entry in _given(parameters, "local_base_stock", nodes).items()},
        allocation=_allocation(parameters),
    )


def _edges(parameters: Entry, nodes: list[str], first: Mapping[str, Entry]) -> list[Link]:
    """Pairs (seller, buyer) in the order of service; without `edges`, as the first period of the trace has them."""
    if "edges" not in parameters:
        return [(a, b) for a in nodes for b in first[a]["inbound_order"].fields() if b != OUTSIDE]
    edges = []
    for entry in parameters["edges"]:
        pair = [str(end.value) for end in entry]
        if len(pair) != 2 or not set(pair) <= set(nodes):
            raise entry.refused(f"a pair [seller, buyer] of the nodes {', '.join(nodes)} is needed")
        edges.append((pair[0], pair[1]))
    named = [n for n in re.split(r"[^\w.-]+", parameters.label("allocation", "")) if n in nodes]
    rank = {n: i for i, n in enumerate(named)}
    return sorted(edges, key=lambda edge: rank.get(edge[1], len(rank)))


def _allocation(parameters: Entry) -> str:
    given = parameters.label("allocation", "priority").lower()
    for word, rule in {"priority": "priority", "proportional": "proportional", "pro rata": "proportional"}.items():
        if word in given:
            return rule
    raise parameters["allocation"].refused("allowed: priority (with the nodes in order, if you like), proportional")


def _buys_outside(node: str, edges: list[Link], periods: list[Entry]) -> bool:
    """Whether a node has an external supplier; one that is listed but never used, beside others, is none."""
    orders = [period["nodes"][node]["order_quantity"].fields() for period in periods]
    if OUTSIDE not in orders[0]:
        return False
    alone = all(buyer != node for _, buyer in edges)
    return alone or any(order[OUTSIDE].number() != 0 for order in orders if OUTSIDE in order)


def _given(parameters: Entry, name: str, nodes: list[str]) -> dict[str, Entry]:
    """What a parameter says of nodes: a mapping by node, one number for all, or a list in the order of the nodes."""
    if name not in parameters:
        return {}
    given = parameters[name]
    if isinstance(given.value, list):
        if len(given.value) != len(nodes):
            raise given.refused(f"one number for each of the {len(nodes)} nodes is needed")
        return dict(zip(nodes, given, strict=True))
    if not isinstance(given.value, dict):
        return dict.fromkeys(nodes, given)
    values = {n: entry for n, entry in given.fields().items() if entry.value is not None}
    for unknown in sorted(set(values) - set(nodes)):
        raise ValueError(f"{given.path}: there is no node '{unknown}'{near(unknown, nodes)}; nodes: {', '.join(nodes)}")
    return values


def _by_node(parameters: Entry, name: str, nodes: list[str], default: Mapping[str, float]) -> dict[str, float]:
    """A parameter for every node, at least 0. Raises ValueError for a node without one and without a default."""
    values = dict(default) | {n: entry.number(0) for n, entry in _given(parameters, name, nodes).items()}
    for missing in [n for n in nodes if n not in values]:
        raise ValueError(f"{parameters.path}.{name}: node {missing} has none; every node needs a number here")
    return values


def _whole_by_node(parameters: Entry, name: str, nodes: list[str], default: Mapping[str, float]) -> dict[str, int]:
    values = _by_node(parameters, name, nodes, default)
    for node, value in values.items():
        if value != round(value):
            raise ValueError(f"{parameters.path}.{name}: {value:g} for node {node}; whole periods are needed")
    return {n: int(v) for n, v in values.items()}


def _initial(parameters: Entry, nodes: list[str], first: Mapping[str, Entry], bom: Mapping[Link, float]) -> dict:
    """On hand at the start: the initial inventory level, by default the base-stock level.

    Where a file has neither, it is what the first period of the trace leaves, before it received and sold.
    """
    known = {}
    for name in ("local_base_stock", "initial_inventory_level"):
        known |= {n: entry.number(0) for n, entry in _given(parameters, name, nodes).items()}
    for node in [n for n in nodes if n not in known]:
        now = first[node]
        sold = sum(entry.number() for entry in now["inbound_order"].fields().values())
        made = min(
            (e.number() / bom.get((s, node), 1.0) for s, e in now["inbound_shipment"].fields().items()), default=0.0
        )
        known[node] = now["inventory_level_end"].number() + sold - made
        if known[node] < 0:
            raise ValueError(
                f"{parameters.path}: node {node} has no initial_inventory_level and no local_base_stock, and its first"
                f" period would start from {known[node]:g}; give one of them, at least 0"
            )
    return known


def _bill_of_materials(parameters: Entry, nodes: list[str], edges: list[Link]) -> dict[Link, float]:
    """Units of input per unit made, for links where it is not 1.

    One number or `2:1` (input : product) for every link, `{buyer: {supplier: units}}`, `{supplier: units}`, or
    `{"supplier->buyer": units}`; `external` may be a supplier.
    """
    if "bill_of_materials" not in parameters:
        return {}
    given = parameters["bill_of_materials"]
    ratio = re.fullmatch(r"\s*([\d.]+)\s*:\s*([\d.]+)\s*", given.value) if isinstance(given.value, str) else None
    if ratio is not None:
        units, made = (Entry(float(part), given.path) for part in ratio.groups())
        return dict.fromkeys(edges, _above_zero(units) / _above_zero(made))
    if isinstance(given.value, (int, float)):
        return dict.fromkeys(edges, _above_zero(given))
    if not isinstance(given.value, dict):
        raise given.refused("allowed: '1:1', a number, or {buyer: {supplier: units}}")
    return {link: _above_zero(entry) for link, entry in _bom_entries(given, nodes, edges)}


def _above_zero(entry: Entry) -> float:
    if entry.number(0) == 0:
        raise entry.refused("a number above 0 is needed")
    return entry.number()


def _bom_entries(given: Entry, nodes: list[str], edges: list[Link]) -> Iterator[tuple[Link, Entry]]:
    for key, entry in given.fields().items():
        ends = [end.strip(" ()[]'") for end in re.split(r"->|→|,", key)]
        if isinstance(entry.value, dict):
            for other, units in entry.fields().items():
                yield _linked(units, key, other, nodes, edges), units
        elif len(ends) == 2:
            yield _linked(entry, ends[0], ends[1], nodes, edges), entry
        elif key in nodes:
            yield from [(edge, entry) for edge in edges if edge[0] == key]
        else:
            raise ValueError(f"{entry.path}: there is no node '{key}'{near(key, nodes)}; nodes: {', '.join(nodes)}")


def _linked(entry: Entry, one: str, other: str, nodes: list[str], edges: list[Link]) -> Link:
    """The link between two nodes, (supplier, buyer), whichever is named first."""
    for link in ((one, other), (other, one)):
        if link in edges or (link[0] == OUTSIDE and link[1] in nodes):
            return link
    raise ValueError(f"{entry.path}: there is no edge between '{one}' and '{other}'")
