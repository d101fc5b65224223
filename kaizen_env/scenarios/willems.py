"""Scenarios from the 38 real supply chains of Willems (2008): `load_willems`.

Sean P. Willems, "Data Set—Real-World Multiechelon Supply Chains Used for Inventory Optimization", Manufacturing &
Service Operations Management 10(1):19–23, 2008. The data give stages, arcs, costs added, stage times and customers'
demand; all else is an assumption, and a keyword of `load_willems` (docs/willems.md says why each stands as it does).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from statistics import NormalDist
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, ValidationError

from ..demand import Gamma, Normal, Poisson
from ..description import (
    Amount,
    Channel,
    Company,
    Market,
    MarketLink,
    Part,
    Scenario,
    Share,
    SupplyLink,
    TradeLink,
    Waste,
    WasteChange,
)
from ..errors import DescriptionError, from_validation, near
from .willems_files import Chain, Stage, read_chain

DAYS_PER_YEAR = 365.0
MOVING = ("Trans", "Dist", "Retail")  # classes whose stage time is travel; the others make something

WASTE_SIZES = {
    "scrap": 1.0,  # of the defect rate, where something is made
    "over_processing": 0.2,  # excess over the lean conversion cost, where something is made
    "motion": 0.2,  # excess over the lean handling cost of Dist and Retail
    "queueing": 0.5,  # of the process time
    "freight": 0.3,  # of the freight to Trans
    "delay": 0.5,  # of lead and transit times
}
"""Wastes that kaizen can remove, and their sizes as shares of today's or the lean parameter: assumptions."""

ABSENT = WasteChange(initial=0.0, size=0.0, backsliding=0.0)  # a waste that this company or link does not have

Muda = Literal["motion", "over_processing"]
BelowOne = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Days = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Options(Part):
    """The types and ranges of the keywords of `load_willems`; their defaults stand in its signature."""

    chain: Annotated[int, Field(ge=1)] | None
    period_days: Days
    periods: Annotated[int, Field(ge=1)]
    demand: Literal["gamma", "normal", "poisson"]
    holding_rate: Amount
    margin: Amount
    market_margin: Amount
    pricing: Literal["own_cost", "cumulative_cost"]
    value_over_price: Amount
    service_level: BelowOne
    trade_service_level: BelowOne
    waiting_over_penalty: Amount
    initial_on_hand_days: Amount | None
    kaizen: bool
    defect_rate: BelowOne
    waste_sizes: dict[str, Share]
    own_half_life: Days
    link_half_life: Days
    backsliding: Share
    wage_share: Amount
    curvature_share: Amount


def load_willems(
    path: str | Path,
    chain: int | None = None,
    period_days: float = 7.0,
    *,
    periods: int = 156,
    demand: str = "gamma",
    holding_rate: float = 0.2,
    margin: float = 0.15,
    market_margin: float = 0.3,
    pricing: str = "own_cost",
    value_over_price: float = 1.25,
    service_level: float = 0.95,
    trade_service_level: float = 0.9,
    waiting_over_penalty: float = 1.0,
    initial_on_hand_days: float | None = None,
    kaizen: bool = True,
    defect_rate: float = 0.02,
    waste_sizes: Mapping[str, float] | None = None,
    own_half_life: float = 91.0,
    link_half_life: float = 274.0,
    backsliding: float = 0.0003,
    wage_share: float = 0.01,
    curvature_share: float = 0.01,
) -> Scenario:
    """A scenario from one real supply chain; each stage is a company, each arc a trade link.

    `path` is a CSV export, a folder of them (`07.csv`) or the Excel workbook (.xlsx); `chain` its number, needed
    for a folder or workbook. `period_days` and `periods` are the length of a period and of an episode.

    `demand`: `gamma` or `normal` (cut at 0) with the file's mean and standard deviation, or `poisson` with its mean.
    `holding_rate`: per year, of a unit's cumulative cost. `margin` between companies and `market_margin` to end
    customers are added to the seller's cost, which is what it pays for inputs and adds itself (`pricing: own_cost`)
    or what all stages up to it have added (`cumulative_cost`). A unit is worth `value_over_price` · price.
    Penalties per unit of backlog and day are holding cost · SL / (1 − SL), which makes the service level SL the
    newsvendor's critical ratio: the file's for end customers (`service_level` where it has none),
    `trade_service_level` between companies. Waiting costs end customers `waiting_over_penalty` · penalty, and companies
    the penalty, so that no company gains by being served late.
    `initial_on_hand_days`: finished stock in days of mean throughput; by default the safety stock for
    `service_level` over stage time + one period. Pipelines start full.

    With `kaizen` companies and links have wastes (`WASTE_SIZES`, of which `waste_sizes` changes some), with half-lives
    in days of `own_half_life` and `link_half_life`, `backsliding` per day, and makers scrap `defect_rate`; costs and
    times of today are the file's. A whole team costs `wage_share` of the cost that flows through its stage, and
    `curvature_share` is the same for the curvature of effort. Without, nothing is wasted and nothing scrapped.

    Raises `DescriptionError` for files (see `willems_files.read_chain`) and options that cannot be used.
    """
    given = locals()
    given["waste_sizes"] = {} if waste_sizes is None else waste_sizes
    try:
        options = _Options(**{name: given[name] for name in _Options.model_fields})
    except ValidationError as error:
        raise from_validation(error, str(path), _Options) from None
    for name in options.waste_sizes:
        if name not in WASTE_SIZES:
            raise DescriptionError(
                f"{path}: waste_sizes.{name}: no such waste{near(name, WASTE_SIZES)}; allowed: {', '.join(WASTE_SIZES)}"
            )
    data = read_chain(path, options.chain)
    try:
        return Scenario(**_Mapping(data, options).fields())
    except ValidationError as error:
        raise from_validation(error, data.source, Scenario) from None


class Times(NamedTuple):
    inbound: float  # days: lead time of the supply link, or transit time of every incoming trade link
    process: float  # days


def stage_times(chain: Chain, period_days: float) -> list[Times]:
    """How each stage's time is split, with lead times along every way as close to the file's as they can be.

    A stage without predecessors waits for its supplier; Trans, Dist and Retail travel; the others travel one period
    and make for the rest. As a trade link takes at least one period, a stage with less time becomes too long. Other
    stages give up time for it, those next to the market first: as much as they have beyond their own least, and as
    every way through them, from a supplier to a market, is too long. So no way gets shorter than in the file, and no
    stage could give up more.
    """
    buyers, sellers = neighbours(chain)
    least = [period_days if inputs else 0.0 for inputs in sellers]
    change = [max(shortest - stage.time, 0.0) for shortest, stage in zip(least, chain.stages, strict=True)]
    before, after = [0.0] * len(least), [0.0] * len(least)  # days by which the best way there, and on, is too long
    for i in chain.order:
        before[i] = min((before[j] + change[j] for j in sellers[i]), default=0.0)
    times: dict[int, Times] = {}
    for i in reversed(chain.order):
        stage = chain.stages[i]
        ways = [after[b] + change[b] for b in buyers[i]]
        after[i] = min([*ways, 0.0] if stage.demand else ways)
        spare = max(stage.time - least[i], 0.0)
        change[i] -= min(spare, max(before[i] + change[i] + after[i], 0.0))
        total = max(stage.time + change[i], least[i])
        inbound = least[i] if sellers[i] and stage.kind not in MOVING else total
        times[i] = Times(inbound, total - inbound)
    return [times[i] for i in range(len(least))]


def neighbours(chain: Chain) -> tuple[list[list[int]], list[list[int]]]:
    """Buyers and sellers of every stage."""
    buyers: list[list[int]] = [[] for _ in chain.stages]
    sellers: list[list[int]] = [[] for _ in chain.stages]
    for seller, buyer in chain.arcs:
        buyers[seller].append(buyer)
        sellers[buyer].append(seller)
    return buyers, sellers


class _Mapping:
    """One chain on its way to the fields of a scenario; lives only inside `load_willems`."""

    def __init__(self, chain: Chain, options: _Options) -> None:
        self.chain, self.options = chain, options
        self.sizes = {name: options.waste_sizes.get(name, size) for name, size in WASTE_SIZES.items()}
        self.buyers, self.sellers = neighbours(chain)
        self.times = stage_times(chain, options.period_days)
        self.cost, self.price, self.market_price = self._prices()
        self.flow, self.sd = self._flows()

    def _prices(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Cumulative cost, price to companies and price to end customers of each stage, money per unit."""
        options, n = self.options, len(self.chain.stages)
        cost, base = np.zeros(n), np.zeros(n)
        for i in self.chain.order:
            cost[i] = self.chain.stages[i].cost + sum(cost[j] for j in self.sellers[i])
            paid = sum((1.0 + options.margin) * base[j] for j in self.sellers[i])
            base[i] = cost[i] if options.pricing == "cumulative_cost" else self.chain.stages[i].cost + paid
        return cost, (1.0 + options.margin) * base, (1.0 + options.market_margin) * base

    def _flows(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the end demand that each stage serves, units per day.

        A stage reached over several ways from one market gets that market's demand once per way.
        """
        stages = self.chain.stages
        selling = [i for i, stage in enumerate(stages) if stage.demand]
        ways = np.zeros((len(stages), len(selling)))
        for i in reversed(self.chain.order):
            ways[i] = sum((ways[b] for b in self.buyers[i]), np.zeros(len(selling)))
            if stages[i].demand:
                ways[i, selling.index(i)] += 1.0
        mean = np.array([stages[i].demand for i in selling])
        variance = mean if self.options.demand == "poisson" else np.array([stages[i].demand_sd ** 2 for i in selling])
        return ways @ mean, np.sqrt(ways**2 @ variance)

    def fields(self) -> dict[str, Any]:
        chain, options = self.chain, self.options
        rows = range(len(chain.stages))
        own = [self._own_wastes(i) for i in rows]
        supplies = [i for i in rows if not self.sellers[i]]
        on_supply = {i: {"delay"} if self.times[i].inbound > 0 else set() for i in supplies}
        on_trade = {arc: self._link_wastes(arc[1]) for arc in chain.arcs}
        present = set().union(*own, *on_supply.values(), *on_trade.values()) if options.kaizen else set()
        wastes = [waste for waste in self._wastes() if waste.name in present and self.sizes[waste.name] > 0]
        of_companies = [w.name for w in wastes if w.channel not in ("freight", "transit_time")]
        of_links = [w.name for w in wastes if w.channel in ("freight", "transit_time")]

        def absent(names: list[str], here: set[str]) -> dict[str, WasteChange]:
            return {name: ABSENT for name in names if name not in here}

        name = "chain" if chain.number is None else f"chain {chain.number}"
        return {
            "name": "willems" if chain.number is None else f"willems_{chain.number:02d}",
            "title": f"Willems (2008), {name}: {len(chain.stages)} stages, {len(chain.arcs)} arcs",
            "sources": [
                "S. P. Willems, Data Set—Real-World Multiechelon Supply Chains Used for Inventory Optimization,"
                " Manufacturing & Service Operations Management 10(1):19–23, 2008"
            ],
            "period_days": options.period_days,
            "periods": options.periods,
            "companies": [self._company(i, absent(of_companies, own[i])) for i in rows],
            "supply_links": [self._supply_link(i, absent(of_links, on_supply[i])) for i in supplies],
            "trade_links": [self._trade_link(*arc, absent(of_links, on_trade[arc])) for arc in chain.arcs],
            "market_links": [self._market_link(i) for i in rows if chain.stages[i].demand],
            "markets": [self._market(stage) for stage in chain.stages if stage.demand],
            "wastes": wastes,
        }

    def _holding(self, worth: float) -> float:
        """Money per unit and day."""
        return self.options.holding_rate * worth / DAYS_PER_YEAR

    def _makes(self, i: int) -> bool:
        return bool(self.sellers[i]) and self.chain.stages[i].kind not in MOVING

    def _unit_cost(self, i: int) -> float:
        """Today's cost added by the company itself; suppliers and carriers are paid on links."""
        stage = self.chain.stages[i]
        return stage.cost if self.sellers[i] and stage.kind != "Trans" else 0.0

    def _freight(self, i: int) -> float:
        """Today's freight on each link to the stage: the cost of Trans, spread evenly over what comes in."""
        stage = self.chain.stages[i]
        return stage.cost / len(self.sellers[i]) if self.sellers[i] and stage.kind == "Trans" else 0.0

    def _excess_waste(self, i: int) -> str:
        return "over_processing" if self._makes(i) else "motion"

    def _own_wastes(self, i: int) -> set[str]:
        here = {
            "scrap": self._makes(i) and self.options.defect_rate > 0,
            self._excess_waste(i): self._unit_cost(i) > 0,
            "queueing": self.times[i].process > 0,
        }
        return {name for name, is_here in here.items() if is_here}

    def _link_wastes(self, buyer: int) -> set[str]:
        here = {"freight": self._freight(buyer) > 0, "delay": self.times[buyer].inbound > self.options.period_days}
        return {name for name, is_here in here.items() if is_here}

    def _wastes(self) -> list[Waste]:
        options = self.options

        def waste(name: str, channel: Channel, half_life: float, booked_as: Muda = "over_processing") -> Waste:
            return Waste(
                name=name,
                channel=channel,
                half_life=half_life,
                backsliding=options.backsliding,
                size=self.sizes[name],
                booked_as=booked_as,
            )

        return [
            waste("scrap", "yield", options.own_half_life),
            waste("motion", "unit_cost", options.own_half_life, "motion"),
            waste("over_processing", "unit_cost", options.own_half_life),
            waste("queueing", "process_time", options.own_half_life),
            waste("freight", "freight", options.link_half_life),
            waste("delay", "transit_time", options.link_half_life),
        ]

    def _company(self, i: int, wastes: dict[str, WasteChange]) -> Company:
        stage, options, worth = self.chain.stages[i], self.options, float(self.cost[i])
        excess = self.sizes[self._excess_waste(i)] if options.kaizen else 0.0
        z = NormalDist().inv_cdf(max(options.service_level, 0.5))
        safety_stock = z * float(self.sd[i]) * math.sqrt(stage.time + options.period_days)
        cost_flow = float(self.flow[i]) * worth if options.kaizen else 0.0
        return Company(
            name=stage.name,
            unit_cost=self._unit_cost(i) / (1.0 + excess),
            holding_cost=self._holding(worth),
            # What is under way in a stage has on average half of the stage's cost in it.
            work_in_process_holding_cost=self._holding(worth - stage.cost / 2.0),
            process_time=self.times[i].process,
            defect_rate=options.defect_rate if options.kaizen and self._makes(i) else 0.0,
            initial_on_hand=safety_stock if options.initial_on_hand_days is None else None,
            initial_on_hand_days=options.initial_on_hand_days,
            wage=options.wage_share * cost_flow,
            curvature=options.curvature_share * cost_flow,
            wastes=wastes,
            position=stage.position,
        )

    def _supply_link(self, i: int, wastes: dict[str, WasteChange]) -> SupplyLink:
        stage = self.chain.stages[i]
        return SupplyLink(
            buyer=stage.name,
            supplier=f"supplier of {stage.name}",
            price=stage.cost,
            lead_time=self.times[i].inbound,
            input_holding_cost=self._holding(stage.cost),
            transit_holding_cost=self._holding(stage.cost / 2.0),
            wastes=wastes,
        )

    def _trade_link(self, seller: int, buyer: int, wastes: dict[str, WasteChange]) -> TradeLink:
        stages = self.chain.stages
        return TradeLink(
            seller=stages[seller].name,
            buyer=stages[buyer].name,
            price=float(self.price[seller]),
            freight=self._freight(buyer),
            transit_time=self.times[buyer].inbound,
            penalty=self._penalty(seller, self.options.trade_service_level),
            wastes=wastes,
        )

    def _market_link(self, i: int) -> MarketLink:
        stage, options = self.chain.stages[i], self.options
        level = options.service_level if stage.service_level is None else stage.service_level
        penalty, price = self._penalty(i, level), float(self.market_price[i])
        return MarketLink(
            seller=stage.name,
            market=market_name(stage),
            price=price,
            value=options.value_over_price * price,
            penalty=penalty,
            waiting_cost=options.waiting_over_penalty * penalty,
        )

    def _penalty(self, i: int, service_level: float) -> float:
        """Money per unit and day that makes `service_level` the critical ratio p / (p + h)."""
        return self._holding(float(self.cost[i])) * service_level / (1.0 - service_level)

    def _market(self, stage: Stage) -> Market:
        mean = stage.demand or 0.0
        sd = stage.demand_sd
        process = {
            "gamma": lambda: Gamma(mean=mean, sd=sd),
            "normal": lambda: Normal(mean=mean, sd=sd),
            "poisson": lambda: Poisson(mean=mean),
        }[self.options.demand]()
        return Market(name=market_name(stage), demand=process)


def market_name(stage: Stage) -> str:
    return f"customers of {stage.name}"
