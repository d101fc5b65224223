"""Traces: replayed to the last unit, of any network that the format can tell; a changed number is found."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest

from kaizen_env.verification import plain_loop, traces
from kaizen_env.verification.results import Result

FOLDER = Path(__file__).parents[2].parent / "shared" / "reference"
NAMES = ["assembly3", "beergame_benchmark", "distribution4", "serial3", "serial3_orderdelay"]


def reference(name: str) -> dict[str, Any]:
    path = FOLDER / f"trace_{name}.json"
    if not path.is_file():
        pytest.skip(f"{path.name} is not in the folder `shared` beside the repository")
    return json.loads(path.read_text(encoding="utf-8"))


def example() -> dict[str, Any]:
    return plain_loop.trace(plain_loop.EXAMPLE, plain_loop.EXAMPLE_DEMAND)


def failures(rows: list[Result]) -> list[str]:
    return [f"{row.name}: {row.difference:g}" for row in rows if not row.passed]


@pytest.mark.parametrize("name", NAMES)
def test_reference_traces(name: str) -> None:
    """Seen to fail: with proportional allocation (distribution4), with goods under way charged to the buyer, with
    orders seen a period late, with no orders in the mail at the start (the beer game), with goods arriving in this
    period not charged any more.
    """
    rows = traces.check(reference(name))
    assert len(rows) >= 13
    assert not failures(rows)
    assert not any(row.skipped for row in rows)


@pytest.mark.parametrize("name", [name for name in NAMES if "beer" not in name])
def test_reference_orders_follow_from_cascade_order_up_to(name: str) -> None:
    """Seen to fail: with one pass of cascade ordering less than the network is deep (serial3)."""
    assert traces.own_orders(reference(name)).passed


def test_builtin_network_is_no_idle_one() -> None:
    """The built-in network waits for inputs and owes its customers, companies and markets alike.

    Seen to fail: with 1000 units of everything at the start (nothing is ever owed).
    """
    assert not failures(traces.builtin())
    nodes = [node for period in example()["trace"] for node in period["nodes"].values()]
    assert any(units > 1 for node in nodes for units in node["raw_material_inventory_by_supplier"].values())
    owed = {who for node in nodes for who, units in node["backorders_by_successor"].items() if units > 1}
    assert owed >= {"external", "shop", "depot"}


@pytest.mark.parametrize("seed", range(12))
def test_random_networks_agree_with_a_plain_loop(seed: int) -> None:
    """Any acyclic network: several suppliers and customers, outside ones anywhere, fractions, bills of materials.

    Seen to fail: with orders without lead time never delivered; with the inputs of all suppliers counted in the
    position as a sum instead of their minimum; with one pass of cascade ordering too few.
    """
    rng = random.Random(seed)
    names = [f"{'node-' if seed % 2 else ''}{i}" for i in rng.sample(range(40), rng.randint(1, 7))]
    edges = [[a, b] for i, a in enumerate(names) for b in names[i + 1 :] if rng.random() < 0.45]
    rng.shuffle(edges)
    sells = {a for a, _ in edges}
    bom: dict[str, dict[str, float]] = {}
    for a, b in edges:
        bom.setdefault(b, {})[a] = rng.choice([1, 1, 2, 0.5, 3])
    for name in names:
        if name in bom and rng.random() < 0.3:
            bom[name]["external"] = rng.choice([1, 2.5])
    parameters = {
        "nodes": names,
        "edges": edges,
        "bill_of_materials": bom,
        "local_holding_cost": {n: rng.randint(1, 9) for n in names},
        "stockout_cost": {n: rng.choice([0, 5, 20.5]) for n in names},
        "shipment_lead_time": {n: rng.randint(1, 4) for n in names},
        "order_lead_time": {n: rng.randint(0, 2) for n in names},
        "local_base_stock": {n: round(rng.uniform(5, 60), 2) for n in names},
    }
    demand = {
        n: [round(rng.uniform(0, 9), 2) for _ in range(40)] for n in names if n not in sells or rng.random() < 0.4
    }
    data = plain_loop.trace(parameters, demand)
    assert not failures(traces.check(data))
    assert traces.own_orders(data).passed


@pytest.mark.parametrize("quantity", [*traces.BY_LINK, *traces.BY_NODE])
def test_a_changed_number_is_found_and_named(quantity: str) -> None:
    """One number of the trace off by 1e-6 fails the row of its quantity, which says where it is.

    Seen to fail: with the largest difference taken over the first period only.
    """
    data = example()
    entry = data["trace"][7]["nodes"]["depot"]
    if quantity in traces.BY_NODE:
        entry[quantity] += 1e-6
    else:
        link = "press" if "press" in entry[quantity] else "kiosk"
        if isinstance(entry[quantity][link], list):
            entry[quantity][link][-1] += 1e-6
        else:
            entry[quantity][link] += 1e-6
    found = [name for name in failures(traces.check(data)) if quantity in name or "bill of materials" in name]
    assert found
    assert "period 7, node depot" in found[0]


def test_a_changed_total_is_found() -> None:
    """Seen to fail: with a tolerance of 1e-6 of the total."""
    data = example()
    data["total_cost"] += 1e-6
    data["trace"][3]["total_cost"] += 1e-6
    assert [name.split(":")[1] for name in failures(traces.check(data))] == [
        " total cost of a period (worst",
        " total cost",
    ]


def test_orders_out_of_proportion_cannot_be_represented() -> None:
    """Seen to fail: with the first supplier's order taken for the production order whatever the others are."""
    data = example()
    data["trace"][2]["nodes"]["shop"]["order_quantity"]["paint"] += 1
    rows = traces.check(data)
    assert [row.verdict for row in rows] == ["FAIL", "skipped"]
    assert "period 2, node shop" in rows[0].name
    assert "one production order per company" in rows[1].skipped


def _as_lists(parameters: dict[str, Any]) -> None:
    for name in ("local_holding_cost", "stockout_cost", "shipment_lead_time", "local_base_stock"):
        parameters[name] = [parameters[name][n] for n in parameters["nodes"]]


def _without_optional(parameters: dict[str, Any]) -> None:
    del parameters["nodes"], parameters["edges"], parameters["local_base_stock"], parameters["initial_inventory_level"]


def _by_arrow(parameters: dict[str, Any]) -> None:
    flat = {f"{a}->{b}": x for b, inputs in parameters["bill_of_materials"].items() for a, x in inputs.items()}
    parameters["bill_of_materials"] = flat


def _by_supplier(parameters: dict[str, Any]) -> None:
    nested: dict[str, dict[str, float]] = {}
    for buyer, inputs in parameters["bill_of_materials"].items():
        for supplier, units in inputs.items():
            nested.setdefault(supplier, {})[buyer] = units
    parameters["bill_of_materials"] = nested


def _in_words(parameters: dict[str, Any]) -> None:
    parameters["allocation"] = "fixed priority"


@pytest.mark.parametrize("other", [_as_lists, _without_optional, _by_arrow, _by_supplier, _in_words])
def test_other_ways_to_say_the_same(other: Any) -> None:
    """Seen to fail: with a bill of materials read by buyer only (by supplier, by arrow)."""
    data = example()
    data["parameters"] = copy.deepcopy(data["parameters"])
    other(data["parameters"])
    assert not failures(traces.check(data))


def test_one_ratio_for_every_link() -> None:
    """Seen to fail: with the ratio turned over."""
    parameters = {
        "nodes": [2, 1],
        "edges": [[2, 1]],
        "local_holding_cost": 1,
        "shipment_lead_time": 1,
        "local_base_stock": {"2": 30, "1": 12},
    }
    plain = parameters | {"nodes": ["2", "1"], "edges": [["2", "1"]], "bill_of_materials": {"1": {"2": 2}}}
    plain["stockout_cost"] = plain["local_holding_cost"] = plain["shipment_lead_time"] = {"1": 1, "2": 1}
    data = plain_loop.trace(plain, {"1": [4, 7, 0, 3.5, 9, 2, 6, 5]})
    for bom in ("2:1", 2, {"2": 2}):
        data["parameters"] = parameters | {"stockout_cost": 1, "bill_of_materials": bom}
        assert not failures(traces.check(data))


def test_order_of_service_can_be_named() -> None:
    """`fixed priority 3,1` serves 3 first, whatever the order of the edges.

    Seen to fail: with the order of the edges alone.
    """
    nodes = ["0", "1", "2", "3"]
    parameters = {
        "nodes": nodes,
        "edges": [["0", "3"], ["0", "1"], ["0", "2"]],
        "local_holding_cost": dict.fromkeys(nodes, 1),
        "stockout_cost": dict.fromkeys(nodes, 7),
        "shipment_lead_time": dict.fromkeys(nodes, 1),
        "local_base_stock": {"0": 9, "1": 5, "2": 5, "3": 5},
    }
    data = plain_loop.trace(parameters, {n: [3, 8, 6, 0, 9, 4] for n in nodes[1:]})
    data["parameters"] = parameters | {"edges": [["0", "1"], ["0", "2"], ["0", "3"]]}
    assert failures(traces.check(data))
    data["parameters"]["allocation"] = "fixed priority 3,1"
    assert not failures(traces.check(data))


def beer_game(delays: tuple[int, int, int], stages: int, seed: int) -> dict[str, Any]:
    """A trace of a beer game with other delays (mail, shipping, production), by a loop over weeks; random orders."""
    rng = random.Random(seed)
    mail_time, shipping, production = delays
    weeks, start = 30, 3
    slips = [[start] * mail_time for _ in range(stages)]
    boxes = [[start] * (production if i == stages - 1 else shipping) for i in range(stages)]
    stock, owed = [9.0] * stages, [0.0] * stages
    trace, total = [], [0.0] * stages
    for week in range(1, weeks + 1):
        demand = rng.randint(0, 9)
        order = [rng.randint(0, 9) for _ in range(stages)]
        received = [boxes[i].pop(0) for i in range(stages)]
        incoming = [float(demand)]
        for i in range(stages):
            slips[i].append(order[i])
        for i in range(stages - 1):
            incoming.append(slips[i].pop(0))
        boxes[-1].append(order[-1])
        shipped = []
        for i in range(stages):
            stock[i] += received[i]
            shipped.append(min(stock[i], owed[i] + incoming[i]))
            stock[i] -= shipped[i]
            owed[i] += incoming[i] - shipped[i]
            if i > 0:
                boxes[i - 1].append(shipped[i])
        cost = [0.25 * stock[i] + 2 * owed[i] for i in range(stages)]
        total = [a + b for a, b in zip(total, cost, strict=True)]
        line = [sum(boxes[i]) + (sum(slips[i]) + owed[i + 1] if i < stages - 1 else 0) for i in range(stages)]
        trace.append(
            {
                "t": week,
                "demand": demand,
                "incoming": incoming,
                "received": received,
                "shipped": shipped,
                "inv": list(stock),
                "backlog": list(owed),
                "supply_line": [a - b for a, b in zip(line, order, strict=True)],
                "order": order,
                "week_cost": cost,
            }
        )
    parameters = {"inv0": 9, "pipeline0": start, "holding": 0.25, "backlog": 2}
    parameters |= {"shipping_delay": shipping, "order_delay": mail_time, "factory_production_delay": production}
    return {"parameters": parameters, "trace": trace, "cost_by_stage": total, "total": sum(total)}


@pytest.mark.parametrize("delays", [(2, 2, 3), (1, 1, 1), (3, 2, 1), (0, 4, 2)])
@pytest.mark.parametrize("stages", [1, 4])
def test_beer_games_with_other_delays(delays: tuple[int, int, int], stages: int) -> None:
    """Seen to fail: with no orders in the mail at the start; with the week's own order in the supply line."""
    data = beer_game(delays, stages, seed=sum(delays))
    rows = traces.check(data)
    assert len(rows) == 8 + stages + 1
    assert not failures(rows)


def test_a_changed_number_in_a_beer_game_is_found() -> None:
    """Seen to fail: with a difference of 1 tolerated."""
    for name in ("incoming", "received", "shipped", "inv", "backlog", "supply_line", "week_cost"):
        data = beer_game((2, 2, 3), 4, seed=1)
        data["trace"][11][name][2] += 0.5
        assert [n.split(" (")[0] for n in failures(traces.check(data))] == [f"beer game: {name}"]
        assert "week 12, stage 3" in failures(traces.check(data))[0]


def _negative_lead_time(data: dict[str, Any]) -> None:
    data["parameters"]["shipment_lead_time"]["shop"] = -1


BROKEN: list[tuple[Any, str]] = [
    (lambda d: d.pop("parameters"), "'parameters' is required"),
    (lambda d: d.update(trace=[]), "trace: found a list of 0; at least one period"),
    (lambda d: d["parameters"].pop("shipment_lead_time"), "parameters.shipment_lead_time: node mine has none"),
    (_negative_lead_time, r"parameters.shipment_lead_time.shop: found -1; .* at least 0"),
    (lambda d: d["parameters"]["shipment_lead_time"].update(shop=0), "0 for node shop, which buys from node"),
    (lambda d: d["parameters"]["order_lead_time"].update(shop=1.5), "1.5 for node shop; whole periods"),
    (lambda d: d["parameters"]["stockout_cost"].update(sop=1), "no node 'sop'; did you mean 'shop'"),
    (lambda d: d["parameters"]["edges"].append(["mine"]), r"parameters.edges\[6\]: .* \[seller, buyer\]"),
    (lambda d: d["parameters"]["edges"].append(["kiosk", "mine"]), "'kiosk'|cycle"),
    (lambda d: d["parameters"].update(allocation="by lot"), "found 'by lot'; allowed: priority"),
    (lambda d: d["parameters"].update(bill_of_materials="two"), "found 'two'; allowed: '1:1'"),
    (lambda d: d["parameters"]["bill_of_materials"].update(mine={"kiosk": 1}), "no edge between 'mine' and 'kiosk'"),
    (lambda d: d["parameters"]["initial_inventory_level"].update(mine=-4), "initial_inventory_level.mine: found -4"),
    (lambda d: d["trace"][4]["nodes"].pop("shop"), r"trace\[4\].nodes: the key 'shop' is required"),
    (lambda d: d["trace"][4]["nodes"]["shop"].update(on_order=3), r"trace\[4\].nodes.shop.on_order: found 3"),
    (lambda d: d["trace"][4]["nodes"]["shop"]["on_order"].update(paint="x"), r"on_order.paint: found 'x'; a number"),
]


@pytest.mark.parametrize("spoil, message", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_trace_is_refused_by_its_place(spoil: Any, message: str) -> None:
    """Seen to fail: with lead times taken as they come (-1, 0 and 1.5 ran, or failed elsewhere)."""
    data = copy.deepcopy(example())
    spoil(data)
    with pytest.raises(ValueError, match=message):
        traces.check(data)


def test_a_quantity_that_is_not_known_is_reported_as_skipped() -> None:
    """Seen to fail: with unknown keys passed over in silence."""
    data = example()
    data["trace"][0]["nodes"]["shop"]["on_hand_end"] = 3
    skipped = [row for row in traces.check(data) if row.skipped]
    assert ["on_hand_end" in row.name for row in skipped] == [True]
