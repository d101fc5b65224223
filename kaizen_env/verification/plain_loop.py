"""A value network in a plain loop over nodes, with no line in common with the model: a second opinion.

It reads the parameters of a trace file and writes one (`trace_format`), each node ordering up to its base-stock level.
Slow and literal on purpose.
"""

from __future__ import annotations

from typing import Any

from .trace_format import OUTSIDE

EXAMPLE = {
    "nodes": ["mine", "press", "paint", "shop", "depot", "kiosk"],
    "edges": [
        ["mine", "press"],
        ["press", "shop"],
        ["press", "depot"],
        ["paint", "shop"],
        ["shop", "depot"],
        ["depot", "kiosk"],
    ],
    "bill_of_materials": {"shop": {"press": 2, "paint": 0.5}, "depot": {"press": 1, "shop": 1}, "paint": {OUTSIDE: 3}},
    "local_holding_cost": {"mine": 0.5, "press": 1, "paint": 0.8, "shop": 3, "depot": 4.5, "kiosk": 6},
    "stockout_cost": {"mine": 0, "press": 2, "paint": 0, "shop": 17, "depot": 20, "kiosk": 30},
    "shipment_lead_time": {"mine": 2, "press": 1, "paint": 3, "shop": 2, "depot": 1, "kiosk": 2},
    "order_lead_time": {"mine": 1, "shop": 1, "kiosk": 2},
    "local_base_stock": {"mine": 90, "press": 60, "paint": 25, "shop": 33, "depot": 18, "kiosk": 12.5},
    "initial_inventory_level": {"mine": 35, "press": 21, "shop": 6},
}
"""Serial, assembly and distribution in one: two external suppliers, three markets, orders seen late."""

EXAMPLE_DEMAND = {
    "shop": [1.5, 0, 2, 4.25, 0, 1, 3, 3, 0, 2.5, 1, 6, 0, 0, 2, 1, 1, 0, 4, 2, 0, 3, 0, 1],
    "depot": [3, 1, 0, 5, 2.5, 2, 7, 0, 1, 0, 4, 3, 3, 0, 0, 2, 8, 1, 0, 5, 2, 2, 0, 3],
    "kiosk": [2, 4, 3, 0, 1, 6.75, 2, 2, 0, 5, 1, 1, 3, 9, 0, 0, 2, 4, 1, 0, 3, 2, 5, 1],
}


def trace(parameters: dict[str, Any], demand: dict[str, list[float]], name: str = "plain loop") -> dict[str, Any]:
    """A trace file of the network of `parameters` under `demand` by node: {name, source, parameters, trace, …}."""
    p = parameters
    nodes: list[str] = p["nodes"]
    edges = [(a, b) for a, b in p["edges"]]
    upstream_first: list[str] = []
    while len(upstream_first) < len(nodes):
        upstream_first += [
            n for n in nodes if n not in upstream_first and all(a in upstream_first for a, b in edges if b == n)
        ]
    bought_in = {n for n, inputs in p.get("bill_of_materials", {}).items() if OUTSIDE in inputs}
    suppliers = {n: [a for a, b in edges if b == n] for n in nodes}
    suppliers = {n: s + [OUTSIDE] * (not s or n in bought_in) for n, s in suppliers.items()}
    customers = {n: [b for a, b in edges if a == n] + [OUTSIDE] * (n in demand) for n in nodes}
    bom = {(n, s): p.get("bill_of_materials", {}).get(n, {}).get(s, 1) for n in nodes for s in suppliers[n]}
    mail_time = {n: p.get("order_lead_time", {}).get(n, 0) for n in nodes}
    lead_time = p["shipment_lead_time"]
    holding, stockout = p["local_holding_cost"], p["stockout_cost"]
    on_hand = {n: float(p.get("initial_inventory_level", {}).get(n, p["local_base_stock"][n])) for n in nodes}
    backlog = {(n, c): 0.0 for n in nodes for c in customers[n]}
    raw = dict.fromkeys(bom, 0.0)
    on_order = dict.fromkeys(bom, 0.0)
    pipe = {(n, s): [0.0] * (lead_time[n] + mail_time[n] + 1) for n, s in bom}
    mail = {(n, s): [0.0] * (mail_time[n] + 1) for n, s in bom if s != OUTSIDE}

    periods = []
    for t in range(len(next(iter(demand.values())))):
        seen: dict[tuple[str, str], float] = {}
        order: dict[tuple[str, str], float] = {}
        received, shipped = {}, {}
        for n in reversed(upstream_first):
            for c in customers[n]:
                seen[n, c] = float(demand[n][t]) if c == OUTSIDE else mail[c, n][0]
            ahead = min((raw[n, s] + on_order[n, s]) / bom[n, s] for s in suppliers[n])
            owed = sum(backlog[n, c] + seen[n, c] for c in customers[n])
            made = max(0.0, p["local_base_stock"][n] - (on_hand[n] + ahead - owed))
            for s in suppliers[n]:
                order[n, s] = bom[n, s] * made
                on_order[n, s] += order[n, s]
                if s == OUTSIDE:
                    pipe[n, s][lead_time[n] + mail_time[n]] += order[n, s]
                else:
                    mail[n, s][mail_time[n]] += order[n, s]
        for n in upstream_first:
            for s in suppliers[n]:
                received[n, s] = pipe[n, s][0]
                raw[n, s] += received[n, s]
                on_order[n, s] -= received[n, s]
            made = min(raw[n, s] / bom[n, s] for s in suppliers[n])
            for s in suppliers[n]:
                raw[n, s] -= bom[n, s] * made
            on_hand[n] += made
            for c in customers[n]:
                shipped[n, c] = min(on_hand[n], backlog[n, c] + seen[n, c])
                on_hand[n] -= shipped[n, c]
                backlog[n, c] += seen[n, c] - shipped[n, c]
                if c != OUTSIDE:
                    pipe[c, n][lead_time[c]] += shipped[n, c]
        for queue in [*pipe.values(), *mail.values()]:  # the period ends: everything moves up one place
            queue.pop(0)
            queue.append(0.0)
        row = {}
        for n in nodes:
            under_way = {c: sum(pipe[c, n]) for c in customers[n] if c != OUTSIDE}
            owed = sum(backlog[n, c] for c in customers[n])
            kept = sum(holding[s] * raw[n, s] for s in suppliers[n] if s != OUTSIDE)
            cost = (holding[n] * on_hand[n] + kept, stockout[n] * owed, holding[n] * sum(under_way.values()))
            row[n] = {
                "inbound_order": {c: seen[n, c] for c in customers[n]},
                "order_quantity": {s: order[n, s] for s in suppliers[n]},
                "inbound_shipment": {s: received[n, s] for s in suppliers[n]},
                "outbound_shipment": {c: shipped[n, c] for c in customers[n]},
                "inventory_level_end": on_hand[n] - owed,
                "backorders_by_successor": {c: backlog[n, c] for c in customers[n]},
                "in_transit_to_successor": under_way,
                "inbound_pipeline_slots_1_to_L": {s: pipe[n, s][:-1] for s in suppliers[n]},
                "on_order": {s: on_order[n, s] for s in suppliers[n]},
                "raw_material_inventory_by_supplier": {s: raw[n, s] for s in suppliers[n]},
                "holding_cost": cost[0],
                "stockout_cost": cost[1],
                "in_transit_holding_cost": cost[2],
                "total_cost": sum(cost),
            }
        periods.append({"period": t, "nodes": row, "total_cost": sum(node["total_cost"] for node in row.values())})
    total = sum(period["total_cost"] for period in periods)
    source = "a plain loop over nodes, apart from the model"
    return {"name": name, "source": source, "parameters": parameters, "total_cost": total, "trace": periods}
