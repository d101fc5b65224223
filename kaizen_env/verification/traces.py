"""Traces: the orders of a file replayed, and every shipment, stock, backlog and cost of every period compared.

The beer game has a format of its own (`beer_game_trace`); that of all other networks is told in `trace_format`.
"""

from __future__ import annotations

from itertools import zip_longest

import numpy as np

from . import beer_game_trace, plain_loop
from .reading import Entry
from .results import Result, skip
from .trace_format import OUTSIDE, TraceNetwork, read_network
from .trace_replay import PIPELINE, Quantity, base_stock_orders, replay

TOLERANCE = 1e-9  # units, or money; of quantities up to
USUAL = 1e4  # in proportion above, where double precision is no finer
BY_LINK = (
    "order_quantity",
    "inbound_order",
    "inbound_shipment",
    "outbound_shipment",
    "backorders_by_successor",
    "in_transit_to_successor",
    "on_order",
    "raw_material_inventory_by_supplier",
    PIPELINE,
)
BY_NODE = ("inventory_level_end", "holding_cost", "stockout_cost", "in_transit_holding_cost", "total_cost")


def check(data: dict) -> list[Result]:
    """Rows for a trace file, one per quantity: the largest difference over periods, nodes and links.

    Raises ValueError that names the place of what cannot be used.
    """
    file = Entry(data)
    periods = list(file["trace"])
    if periods and "nodes" not in periods[0]:
        return beer_game_trace.check(file)
    network = read_network(file)
    name, source = file.label("name", "trace"), file.label("source", "the trace").split(";")[0]
    orders, split, place = production_orders(network, periods)
    rows = [Result(f"{name}: orders in proportion to the bill of materials{place}", source, 0.0, split, TOLERANCE)]
    if not rows[0].passed:
        reason = "one production order per company orders all inputs in proportion, and cannot represent this trace"
        return [*rows, skip(f"{name}: shipments, stocks and costs", source, reason)]
    got = replay(network, orders, external_demand(network, periods))
    for quantity in (*BY_LINK, *BY_NODE):
        found = worst(periods, quantity, got[quantity])
        if found is not None:
            rows.append(Result(f"{name}: {quantity}{found[1]}", source, 0.0, found[0], tolerance(found[2])))
    costs = np.sum(list(got["total_cost"].values()), axis=0)
    stated = [(abs(p["total_cost"].number() - costs[t]), t) for t, p in enumerate(periods) if "total_cost" in p]
    if stated:
        off, t = max(stated)
        place = f" (worst: period {t})" if off > tolerance(float(costs.max())) else ""
        rows.append(Result(f"{name}: total cost of a period{place}", source, 0.0, off, tolerance(float(costs.max()))))
    if "total_cost" in file:
        total = file["total_cost"].number()
        rows.append(Result(f"{name}: total cost", source, total, float(costs.sum()), tolerance(abs(total))))
    known = {*BY_LINK, *BY_NODE}
    others = {key for period in periods for node in period["nodes"].fields().values() for key in node.fields()} - known
    return rows + [skip(f"{name}: {key}", source, "not a quantity that the check knows") for key in sorted(others)]


def builtin() -> list[Result]:
    """A network that is serial, assembly and distribution in one, against a plain loop over its nodes."""
    data = plain_loop.trace(plain_loop.EXAMPLE, plain_loop.EXAMPLE_DEMAND)
    return [*check(data), own_orders(data)]


def own_orders(data: dict) -> Result:
    """For a trace whose nodes order up to `local_base_stock`: the model, ordering in cascade, orders the same."""
    file = Entry(data)
    network, periods = read_network(file), list(file["trace"])
    orders = production_orders(network, periods)[0]
    off = np.abs(base_stock_orders(network, external_demand(network, periods)) - orders).max()
    name, source = file.label("name", "trace"), file.label("source", "the trace").split(";")[0]
    title = f"{name}: orders of local base stock, in cascade"
    return Result(title, source, 0.0, float(off), tolerance(float(orders.max())))


def production_orders(network: TraceNetwork, periods: list[Entry]) -> tuple[np.ndarray, float, str]:
    """Units that every node orders to be made, (periods, nodes).

    Also how far apart the orders for different inputs are, in such units, at worst, and where that is.
    """
    made = np.zeros((len(periods), len(network.nodes)))
    apart, place = 0.0, ""
    for t, period in enumerate(periods):
        for i, node in enumerate(network.nodes):
            ordered = period["nodes"][node]["order_quantity"]
            suppliers = network.suppliers(node)
            for other, entry in ordered.fields().items():
                if other not in suppliers and (other != OUTSIDE or entry.number() != 0):
                    raise ValueError(
                        f"{ordered.path}: node {node} has no supplier '{other}'; suppliers: {', '.join(suppliers)}"
                    )
            units = [ordered[s].number(0) / network.bom.get((s, node), 1.0) for s in suppliers]
            if not units:
                raise ValueError(f"{ordered.path}: node {node} has no supplier; every company needs one, or 'external'")
            made[t, i] = units[0]
            if max(units) - min(units) > apart:
                apart = max(units) - min(units)
                place = f" (period {t}, node {node}: for {', '.join(f'{u:g}' for u in units)} units made)"
    return made, apart, place if apart > TOLERANCE else ""


def external_demand(network: TraceNetwork, periods: list[Entry]) -> np.ndarray:
    """The external orders of the trace as a tape, (periods + 1, markets, 1); after the end nothing is revealed."""
    orders = [[p["nodes"][n]["inbound_order"][OUTSIDE].number(0) for n in network.markets] for p in periods]
    return np.array([*orders, [0.0] * len(network.markets)]).reshape(len(periods) + 1, -1, 1)


def tolerance(largest: float) -> float:
    """The difference allowed of a quantity whose largest value is this."""
    return TOLERANCE * max(1.0, largest / USUAL)


def worst(periods: list[Entry], quantity: str, got: Quantity) -> tuple[float, str, float] | None:
    """The largest difference of one quantity, where it is, and the largest value; None where no period tells it."""
    off, place, largest, told = 0.0, "", 0.0, False
    for t, period in enumerate(periods):
        for node, entry in period["nodes"].fields().items():
            if quantity not in entry:
                continue
            told = True
            for link, there in _values(node, entry[quantity], quantity in BY_NODE):
                theirs = there.numbers() if quantity == PIPELINE else [there.number()]
                mine = np.atleast_1d(got[link][t]).tolist() if link in got else []
                # Slots that one of two pipelines lacks are empty, and so is a link that the model has not.
                gap = max((abs(a - b) for a, b in zip_longest(mine, theirs, fillvalue=0.0)), default=0.0)
                largest = max(largest, *map(abs, theirs), 0.0)
                if gap > off:
                    off = gap
                    where = f"period {t}, node {node}{', ' + link[1] if link[1] else ''}"
                    place = f" (worst: {where}: {_listed(mine)} instead of {_listed(theirs)})"
    return (off, place if off > tolerance(largest) else "", largest) if told else None


def _values(node: str, entry: Entry, alone: bool) -> list[tuple[tuple[str, str], Entry]]:
    """The values of a quantity of a node: one, or one per partner."""
    if alone:
        return [((node, ""), entry)]
    return [((node, partner), value) for partner, value in entry.fields().items()]


def _listed(values: list[float]) -> str:
    return " ".join(f"{value:.10g}" for value in values) or "nothing"
