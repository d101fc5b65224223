"""A trace's orders put through the model, and what the model makes of them under the names of a trace file."""

from __future__ import annotations

import numpy as np

from ..arrays import Array, Segments, segment_sum
from ..build import build
from ..dynamics import Books, Decisions, Flows, State
from ..luck import from_demand
from ..network import Network
from ..simulation import Trajectory, no_effort, simulate
from .trace_format import OUTSIDE, TraceNetwork

PIPELINE = "inbound_pipeline_slots_1_to_L"

Quantity = dict[tuple[str, str], np.ndarray]
"""(node, partner) → (periods,), or (periods, slots) for pipelines; the partner is '' where there is none."""


def replay(trace: TraceNetwork, orders: np.ndarray, demand: np.ndarray) -> dict[str, Quantity]:
    """Every quantity of a trace, from production `orders` (periods, nodes) and a `demand` tape.

    Raises ValueError where the model refuses the network.
    """

    def decide(network: Network, state: State, t: int) -> Decisions:
        return no_effort(network, orders[t][:, None])

    network = build(trace.scenario())
    run = simulate(network, decide, from_demand(network, demand))
    return _nodes(run) | _purchases(run) | _sales(run)


def base_stock_orders(trace: TraceNetwork, demand: np.ndarray) -> np.ndarray:
    """What the model orders by itself, in cascade and up to the base-stock levels of a trace: (periods, nodes).

    Raises ValueError for a node without such a level.
    """
    if missing := [n for n in trace.nodes if n not in trace.base_stock]:
        raise ValueError(f"parameters.local_base_stock: node {missing[0]} has none; every node needs a level")
    levels = np.array([[trace.base_stock[n]] for n in trace.nodes])
    network = build(trace.scenario("order_up_to", "cascade"))
    luck = from_demand(network, demand)
    return recorded(simulate(network, lambda n, *_: no_effort(n, levels), luck))[1].ordered[..., 0]


def recorded(run: Trajectory) -> tuple[State, Flows, Books]:
    """States, flows and books of a trajectory. Raises ValueError where one of them was not recorded."""
    if run.states is None or run.flows is None or run.books is None:
        raise ValueError("the trajectory lacks its states, flows or books; simulate with record=RECORDS")
    return run.states, run.flows, run.books


def backlog_at_close(run: Trajectory) -> np.ndarray:
    """Orders unfilled after shipping, before the next period's orders are revealed: (periods, sales)."""
    states, flows, _ = recorded(run)
    return (states.backlog + _at_once(run) - flows.shipped - flows.lost)[..., 0]


def on_order_at_close(run: Trajectory) -> np.ndarray:
    """Units ordered and not received, wherever they are: (periods, purchases)."""
    under_way = _at_close(run, "in_transit").sum(axis=1)
    asked = _at_close(run, "backlog")[:, trade_sales(run.network)] + _at_close(run, "orders_in_mail").sum(axis=1)
    under_way[:, trade_purchases(run.network)] += asked
    return under_way


def trade_sales(network: Network) -> np.ndarray:
    """Sales link of each trade link."""
    return _rows(network.trade.sale, network.sales)


def trade_purchases(network: Network) -> np.ndarray:
    """Purchase link of each trade link."""
    return _rows(network.purchase.trade, network.purchases)


def by_company(values: np.ndarray, segments: Segments) -> np.ndarray:
    """Sums over the links of each company: (periods, links) to (periods, companies)."""
    return segment_sum(values.T, segments).T


def _rows(index: Array | None, rows: int) -> np.ndarray:
    return np.arange(rows) if index is None else index


def _at_close(run: Trajectory, field: str) -> np.ndarray:
    """A stock at the end of every period, as the next period finds it: (periods, …, rows)."""
    return np.concatenate([getattr(run.states, field)[1:], getattr(run.final, field)[None]])[..., 0]


def _at_once(run: Trajectory) -> np.ndarray:
    """Orders that their seller saw in the period in which they were placed: (periods, sales, 1)."""
    states, flows, _ = recorded(run)
    arrivals = np.zeros_like(states.backlog)
    arrivals[:, trade_sales(run.network)] = run.network.trade.mail[0] * flows.placed
    return arrivals


def _nodes(run: Trajectory) -> dict[str, Quantity]:
    """Inventory levels, and costs as the books have them."""
    network, (_, _, books) = run.network, recorded(run)
    by_seller, by_buyer = network.sale.by_seller, network.purchase.by_buyer
    sales, purchases = trade_sales(network), trade_purchases(network)
    under_way, received = np.zeros_like(books.penalty[..., 0]), np.zeros_like(books.freight[..., 0])
    under_way[:, sales] = books.transit_holding[:, purchases, 0]
    received[:, purchases] = books.penalty[:, sales, 0]
    values = {
        "inventory_level_end": _at_close(run, "on_hand") - by_company(backlog_at_close(run), by_seller),
        "holding_cost": books.stock_holding[..., 0] + by_company(books.input_holding[..., 0], by_buyer),
        "stockout_cost": by_company(books.penalty[..., 0], by_seller),
        "in_transit_holding_cost": by_company(under_way, by_seller),
        # What a late supplier pays is a transfer in the model, and no income of a node in a trace.
        "total_cost": by_company(received, by_buyer) - books.profit[..., 0],
    }
    return {name: {(n, ""): value[:, i] for i, n in enumerate(network.names)} for name, value in values.items()}


def _purchases(run: Trajectory) -> dict[str, Quantity]:
    network, (_, flows, _) = run.network, recorded(run)
    names, trade = network.names, network.trade
    rows, supplies = trade_purchases(network), _rows(network.purchase.supply, network.purchases)
    seller = {int(row): names[trade.seller[i]] for i, row in enumerate(rows)}
    ordered = np.zeros_like(flows.received[..., 0])
    ordered[:, rows], ordered[:, supplies] = flows.placed[..., 0], flows.supplied[..., 0]
    slots = _at_close(run, "in_transit")
    values = {
        "order_quantity": ordered,
        "inbound_shipment": flows.received[..., 0],
        "on_order": on_order_at_close(run),
        "raw_material_inventory_by_supplier": _at_close(run, "inputs"),
        PIPELINE: slots,
    }
    links = {(names[b], seller.get(row, OUTSIDE)): row for row, b in enumerate(network.purchase.buyer)}
    under_way = {(a, b): slots.sum(axis=1)[:, row] for (b, a), row in links.items() if a != OUTSIDE}
    found = {name: {link: v[..., row] for link, row in links.items()} for name, v in values.items()}
    return found | {"in_transit_to_successor": under_way}


def _sales(run: Trajectory) -> dict[str, Quantity]:
    network, (states, flows, _) = run.network, recorded(run)
    names, trade = network.names, network.trade
    buyer = {int(row): names[trade.buyer[i]] for i, row in enumerate(trade_sales(network))}
    backlog = backlog_at_close(run)
    seen = (states.backlog + _at_once(run))[..., 0]
    seen[1:] -= backlog[:-1]
    values = {
        "inbound_order": seen,
        "outbound_shipment": flows.shipped[..., 0],
        "backorders_by_successor": backlog,
    }
    links = {(names[s], buyer.get(row, OUTSIDE)): row for row, s in enumerate(network.sale.seller)}
    return {name: {link: v[:, row] for link, row in links.items()} for name, v in values.items()}
