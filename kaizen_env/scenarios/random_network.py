"""Random layered networks of any size, from a seed: goods flow from the first layer to the last, and to markets.

Every number is drawn from a stated range, one random stream per cause, so that what is switched off moves nothing
else. The ranges are neutral assumptions of plausible size; money has no particular currency.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from pydantic import ValidationError

from ..description import Scenario
from ..errors import DescriptionError, from_validation
from ..luck import stream

# Half-lives in days for one company, an interface of two, the whole network; Schneiderman (1988).
OWN, INTERFACE, NETWORK_WIDE = 91.0, 274.0, 548.0
SLIDE = 0.00033  # backsliding per day: 1 % a month
CRITICAL_RATIO = 19.0  # a supplier owes so many times its holding rate when late: 0.95, for every supplier alike
EXCESS = 0.1  # size of each of the two unit cost wastes
STOPPAGES = 0.2  # size of the capacity waste


def random_network(
    companies: int,
    seed: int = 0,
    layers: int | None = None,
    links: float = 2.0,
    markets: int | None = None,
    period_days: float = 1.0,
    periods: int = 100,
    kaizen: bool = True,
    losses: bool = True,
    capacities: bool = True,
    order_delays: bool = True,
) -> Scenario:
    """A valid network of `companies` companies in `layers` layers; one seed is one network.

    `links` is the number of supply, trade and market links per company (at least what connects everybody).
    Companies share suppliers, assemble several inputs and skip layers; capacities lie 15 to 60 % above the mean flow,
    prices 10 to 30 % above today's cost. `kaizen` switches wastes, learning, culture and the platform's fee,
    `losses` scrap and spoilage, `capacities` the limits, `order_delays` a period that some orders take.
    Raises `DescriptionError` for numbers that make no network.
    """
    layers = _checked(companies, seed, layers, links, markets, period_days, periods)
    graph = _Graph(companies, layers, links, markets, seed)
    plan = _Plan(graph, seed, kaizen=kaizen, losses=losses, capacities=capacities, days=period_days)
    fields: dict[str, Any] = {
        "name": f"random_{companies}_{seed}",
        "title": f"Random network of {companies} companies",
        "description": f"{companies} companies in {layers} layers, serving {graph.markets} markets; seed {seed}.",
        "sources": ["kaizen_env.scenarios.random_network; every number is drawn from a range stated there"],
        "period_days": period_days,
        "periods": periods,
        "companies": plan.companies(),
        "supply_links": plan.supply_links(),
        "trade_links": plan.trade_links(order_delays),
        "market_links": plan.market_links(),
        "markets": plan.markets(),
    }
    if kaizen:
        fields |= plan.improvement()
    try:
        return Scenario.model_validate(fields)
    except ValidationError as error:  # e.g. a period so long that more is learnt in it than there is to learn
        raise from_validation(error, "random", Scenario) from None


def _checked(
    companies: int,
    seed: int,
    layers: int | None,
    links: float,
    markets: int | None,
    period_days: float,
    periods: int,
) -> int:
    """The number of layers. Raises `DescriptionError` with one line per impossible number."""
    wanted = {"companies": companies, "layers": layers, "markets": markets, "periods": periods}
    found = [
        f"random: {name}: got {value!r}; allowed: a whole number from 1 on"
        for name, value in wanted.items()
        if not (value is None and name in ("layers", "markets"))
        and (isinstance(value, bool) or not isinstance(value, int) or value < 1)
    ]
    if isinstance(seed, bool) or not isinstance(seed, int):
        found.append(f"random: seed: got {seed!r}; allowed: a whole number, e.g. 1")
    for name, number in {"links": links, "period_days": period_days}.items():
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number < math.inf:
            found.append(f"random: {name}: got {number!r}; allowed: a number above 0")
    if found:
        raise DescriptionError("\n".join(found))
    if layers is None:  # chains of real products are a handful of companies deep, however wide they are
        layers = min(companies, 1 + math.ceil(1.4 * math.log10(companies)))
    if layers > companies:
        raise DescriptionError(f"random: layers: got {layers}; at most one per company, {companies}")
    if markets is not None and markets > companies // layers:
        raise DescriptionError(
            f"random: markets: got {markets}; at most one per company of the last layer, {companies // layers}"
        )
    return layers


class _Graph:
    """Who is linked to whom: companies numbered from the first layer to the last, links as index arrays."""

    def __init__(self, companies: int, layers: int, links: float, markets: int | None, seed: int) -> None:
        rng = stream(seed, 0, "random_network/graph")
        self.n, self.layers = companies, layers
        self.layer = np.arange(companies) * layers // companies
        self.first = np.searchsorted(self.layer, np.arange(layers + 1))
        last = np.arange(self.first[-2], companies)
        self.markets = max(1, min(16, companies // 10, len(last))) if markets is None else markets
        self.market_seller, self.market_of = self._market_links(rng, last)
        # The first layer buys outside, and so does one company in ten of the others.
        outside = self.first[1] + np.flatnonzero(rng.random(companies - self.first[1]) < 0.1)
        self.supply_buyer = np.concatenate([np.arange(self.first[1]), outside])
        fixed = len(self.supply_buyer) + len(self.market_seller)
        self.trade_seller, self.trade_buyer = self._trades(rng, round(links * companies) - fixed)

    def _market_links(self, rng: np.random.Generator, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each company of the last layer serves a market, some serve two; every market is served."""
        market = rng.permutation(len(last)) % self.markets
        second = np.flatnonzero(rng.random(len(last)) < 0.2) if self.markets > 1 else last[:0]
        other = (market[second] + rng.integers(1, max(2, self.markets), len(second))) % self.markets
        return np.concatenate([last, last[second]]), np.concatenate([market, other])

    def _trades(self, rng: np.random.Generator, wanted: int) -> tuple[np.ndarray, np.ndarray]:
        """One customer for each company, one supplier for whoever has none, and links at random up to `wanted`."""

        def member(layer: np.ndarray) -> np.ndarray:
            """A random company of each layer given."""
            return rng.integers(self.first[layer], self.first[layer + 1])

        sellers = np.arange(self.first[-2])
        buyers = member(self.layer[sellers] + 1)
        alone = np.setdiff1d(np.arange(self.first[1], self.n), buyers)
        sellers = np.concatenate([sellers, member(self.layer[alone] - 1)])
        buyers = np.concatenate([buyers, alone])
        more = wanted - len(sellers)
        if more > 0 and self.layers > 1:
            buyer = rng.integers(self.first[1], self.n, more)
            skip = np.where(rng.random(more) < 0.2, rng.integers(1, self.layers, more), 1)
            seller = member(np.maximum(self.layer[buyer] - skip, 0))
            sellers, buyers = np.concatenate([sellers, seller]), np.concatenate([buyers, buyer])
        pair = np.unique(sellers * self.n + buyers)  # one link per pair
        return pair // self.n, pair % self.n


class _Plan:
    """The numbers of a network: demand, the mean flow that it calls for, and costs and prices from that."""

    def __init__(self, graph: _Graph, seed: int, *, kaizen: bool, losses: bool, capacities: bool, days: float) -> None:
        self.graph, self.seed, self.kaizen, self.limited, self.days = graph, seed, kaizen, capacities, days
        n, trades = graph.n, len(graph.trade_seller)
        facing = graph.layer == graph.layers - 1
        self.bom = self.rng("bom").choice([0.5, 1.0, 1.0, 2.0], trades)
        self.defect = self.draw("defect", n, 0.0, 0.06) * losses
        self.spoilage = self.draw("spoilage", n, 0.0, 0.002) * losses
        self.hurdle = self.draw("hurdle", n, 0.5, 3.0) * facing
        self.unit_cost = self.draw("unit_cost", n, 1.0, 5.0)
        self.supply_price = self.draw("supply_price", len(graph.supply_buyer), 1.0, 5.0)
        self.freight = self.draw("freight", trades, 0.05, 0.5)
        self.share, self.demand = self._demand()
        self.started = self._flows()
        self.capacity = self.started * self.draw("capacity", n, 1.15, 1.6)
        self.standard_cost, self.price = self._costs()
        self.holding = 0.2 / 365.0 * self.standard_cost  # 20 % a year
        width = len(str(n))
        self.names = [f"company_{i + 1:0{width}d}" for i in range(n)]
        width = len(str(graph.markets))
        self.market_names = [f"market_{i + 1:0{width}d}" for i in range(graph.markets)]

    def rng(self, cause: str) -> np.random.Generator:
        return stream(self.seed, 0, f"random_network/{cause}")

    def draw(self, cause: str, rows: int, low: float, high: float) -> np.ndarray:
        return self.rng(cause).uniform(low, high, rows)

    def _demand(self) -> tuple[np.ndarray, np.ndarray]:
        """Shares of the market links, and mean demand of the markets in units per day: 20 to 80 for each link."""
        graph = self.graph
        weight = self.draw("share", len(graph.market_of), 0.5, 1.5)
        mean = np.bincount(graph.market_of, self.draw("demand", len(graph.market_of), 20.0, 80.0), graph.markets)
        return weight / np.bincount(graph.market_of, weight, graph.markets)[graph.market_of], mean

    def _by_layer(self, of: np.ndarray, layers: Iterable[int]) -> Iterable[tuple[slice, np.ndarray]]:
        """The companies of each layer, and the trade links whose company `of` is among them."""
        graph = self.graph
        order = np.argsort(of, kind="stable")
        edge = np.searchsorted(of[order], graph.first)
        for k in layers:
            yield slice(graph.first[k], graph.first[k + 1]), order[edge[k] : edge[k + 1]]

    def _flows(self) -> np.ndarray:
        """Mean units started per day by each company, from the markets upwards."""
        graph = self.graph
        sold = self.share * self.demand[graph.market_of]
        flow = np.bincount(graph.market_seller, sold, graph.n)
        started = np.zeros(graph.n)
        for layer, links in self._by_layer(graph.trade_buyer, range(graph.layers - 1, -1, -1)):
            started[layer] = flow[layer] / (1.0 - self.defect[layer])
            asked = self.bom[links] * started[graph.trade_buyer[links]]
            flow += np.bincount(graph.trade_seller[links], asked, graph.n)
        return started

    def _costs(self) -> tuple[np.ndarray, np.ndarray]:
        """Standard cost per unit at zero waste, and a price 10 to 30 % above today's cost."""
        graph = self.graph
        margin = self.draw("margin", graph.n, 1.1, 1.3)
        bought = np.bincount(graph.supply_buyer, self.supply_price, graph.n)
        standard = bought + self.unit_cost
        today = bought + self.unit_cost * (1.0 + 2.0 * EXCESS * self.kaizen)
        price = np.zeros(graph.n)
        for layer, links in self._by_layer(graph.trade_buyer, range(graph.layers)):
            seller, buyer, bom = graph.trade_seller[links], graph.trade_buyer[links], self.bom[links]
            standard += np.bincount(buyer, bom * standard[seller], graph.n)
            today += np.bincount(buyer, bom * (price[seller] + self.freight[links]), graph.n)
            price[layer] = margin[layer] * today[layer] / (1.0 - self.defect[layer])
        return standard, price

    def companies(self) -> list[dict[str, Any]]:
        n, kaizen, days = self.graph.n, self.kaizen, self.days
        columns: dict[str, Any] = {
            "name": self.names,
            "unit_cost": self.unit_cost,
            "holding_cost": self.holding,
            "process_time": self.draw("process_time", n, 0.0, 2.0) * days,
            "defect_rate": self.defect,
            "spoilage": self.spoilage,
            "hurdle": self.hurdle,
            "initial_on_hand_days": self.draw("on_hand", n, 3.0, 10.0) * days,
            "position": np.stack([self.graph.layer, np.arange(n) - self.graph.first[self.graph.layer]], axis=1),
        }
        if self.limited:
            # The capacity in a description is that of a line without stoppages.
            columns["capacity"] = self.capacity / (1.0 - STOPPAGES * kaizen)
        if kaizen:
            columns["wage"] = 0.01 * self.price * self.started  # 1 % of a day's sales
        return _rows(columns)

    def supply_links(self) -> list[dict[str, Any]]:
        buyers = self.graph.supply_buyer
        lead_time = self.draw("lead_time", len(buyers), 0.5, 3.0) * self.days
        columns = {"buyer": [self.names[i] for i in buyers], "price": self.supply_price, "lead_time": lead_time}
        return _rows(columns)

    def trade_links(self, order_delays: bool) -> list[dict[str, Any]]:
        seller, buyer = self.graph.trade_seller, self.graph.trade_buyer
        columns: dict[str, Any] = {
            "seller": [self.names[i] for i in seller],
            "buyer": [self.names[i] for i in buyer],
            "bom": self.bom,
            "price": self.price[seller],
            "freight": self.freight,
            "transit_time": self.draw("transit_time", len(seller), 1.0, 4.0) * self.days,
            "penalty": CRITICAL_RATIO * self.holding[seller],
        }
        if order_delays:
            slow = self.rng("order_delay").random(len(seller)) < 0.3
            columns["order_lead_time"] = slow * self.days
        return _rows(columns)

    def market_links(self) -> list[dict[str, Any]]:
        graph = self.graph
        seller = graph.market_seller
        rows = len(seller)
        waiting = 0.02 * self.price[seller]
        lost = self.rng("lost").random(rows) < 0.2
        columns = {
            "seller": [self.names[i] for i in seller],
            "market": [self.market_names[i] for i in graph.market_of],
            "share": self.share,
            "price": self.price[seller],
            "value": self.price[seller] * self.draw("value", rows, 1.2, 1.6) + self.hurdle[seller],
            "waiting_cost": np.where(lost, 0.0, waiting),
            "penalty": np.where(lost, 0.0, waiting),
            "lost_sale_cost": np.where(lost, waiting, 0.0),
            "unfilled": ["lost" if gone else "backlog" for gone in lost],
        }
        return _rows(columns)

    def markets(self) -> list[dict[str, Any]]:
        kinds = self.rng("process").integers(0, 4, self.graph.markets)
        return [
            {"name": name, "demand": _demand(int(kind), float(mean), self.days)}
            for name, kind, mean in zip(self.market_names, kinds, self.demand, strict=True)
        ]

    def improvement(self) -> dict[str, Any]:
        """Wastes on every channel, and what they cost to remove; rates as in the built-in scenarios (cola.yaml)."""
        own, between = {"half_life": OWN, "backsliding": SLIDE}, {"half_life": INTERFACE, "backsliding": SLIDE}
        cost = {"channel": "unit_cost", "size": EXCESS}
        return {
            "wastes": [
                {"name": "scrap", "channel": "yield", **own},
                {"name": "motion", "booked_as": "motion", **cost, **own},
                {"name": "over_processing", **cost, **own},
                {"name": "queueing", "channel": "process_time", "size": 0.5, **own},
                {"name": "stoppages", "channel": "capacity", "size": STOPPAGES, **own},
                {"name": "hassle", "channel": "hurdle", "half_life": NETWORK_WIDE, "backsliding": SLIDE},
                {"name": "handling", "channel": "freight", **between},
                {"name": "detours", "channel": "transit_time", "size": 0.5, **between},
            ],
            "improvement": {"learning": 0.0027, "skill_max": 2.0, "forgetting": 0.0013},
            "culture": {"initial": 0.5, "innovation": 0.000082, "imitation": 0.00104, "openness_threshold": 0.4},
            "platform_fee": 0.001 * float((self.price * self.started).mean()),
        }


def _demand(kind: int, mean: float, days: float) -> dict[str, Any]:
    """One of four processes, with a coefficient of variation of at most 0.3 per day."""
    processes = (
        {"process": "poisson"},
        {"process": "normal", "sd": 0.3 * mean},
        {"process": "ar1", "sd": 0.2 * mean, "correlation": 0.5},
        {"process": "seasonal", "amplitude": 0.1, "cycle": 52.0 * days, "sd": 0.2 * mean},
    )
    return processes[kind] | {"mean": mean}


def _rows(columns: dict[str, Any]) -> list[dict[str, Any]]:
    """Columns of equal length as one mapping per row, of plain Python numbers."""
    lists = [column.tolist() if isinstance(column, np.ndarray) else column for column in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]
