"""A validated scenario as arrays: who is linked to whom, and every parameter per period.

Companies keep the order of the description. Purchase links are sorted by buyer, sales links by seller (each
in the order listed: supply before trade, trade before market); trade links have the order they have among the
sales links. Parameters are (rows, 1), to meet (rows, worlds).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .arrays import Array, Segments, converted, namespace
from .description import Scenario


@dataclass(frozen=True)
class Companies:
    """Parameters of companies, each (companies, 1)."""

    capacity: Array  # units started per period; infinite where unlimited
    unit_cost: Array  # lean, money per unit started
    holding_cost: Array  # money per finished unit and period
    work_in_process_holding_cost: Array  # money per unit in process and period
    process_time: Array  # periods, today
    defect_rate: Array  # share of what is started, today
    spoilage: Array  # share of the finished stock per period
    hurdle: Array  # money of the end customer per unit shipped, today
    credit_limit: Array  # money; infinite where bankruptcy is impossible
    wage: Array  # money per period of a whole team
    curvature: Array  # money per period
    initial_culture: Array
    added_cost: Array  # money per unit at zero waste: unit cost + external supplies
    standard_cost: Array  # money per unit at zero waste: added cost + bom-weighted standard cost of companies' inputs
    book_cost: Array  # money per unit at which the company books it: unit cost + bom-weighted price of its inputs
    throughput: Array  # mean good units per period
    initial_on_hand: Array  # units


@dataclass(frozen=True)
class Purchases:
    """Parameters of purchase links (supply and trade, sorted by buyer), each (purchases, 1)."""

    buyer: Array  # (purchases,) int
    by_buyer: Segments
    partner: Array  # (purchases,) int, the seller; on supply links the buyer itself, who works alone
    supply: Array | None  # (supplies,) int, purchase links that are supply links
    trade: Array | None  # (trades,) int, purchase link of each trade link
    arranged: Array | None  # (purchases,) int, place of each in supply rows followed by trade rows
    is_trade: Array  # 1 on trade links
    bom: Array  # input units per unit made
    price: Array  # money per unit
    freight: Array  # money per unit, today
    lead_time: Array  # periods, today
    least_lead_time: Array  # 1 on trade links, 0 on supply links
    input_holding_cost: Array  # money per unit and period
    transit_holding_cost: Array  # money per unit and period, whoever bears it
    flow: Array  # mean units per period
    initial_inputs: Array  # units
    initial_in_transit: Array  # units per period


@dataclass(frozen=True)
class Trades:
    """Trade links, each field (trades, 1)."""

    buyer: Array  # (trades,) int
    seller: Array  # (trades,) int
    sale: Array | None  # (trades,) int, sales link of each trade link
    mail: Array  # (mail slots + 1, trades, 1): 1 where an order placed now is seen after that many periods
    initial_orders: Array  # units per period


@dataclass(frozen=True)
class Sales:
    """Sales links (trade and market, sorted by seller), each (sales, 1)."""

    seller: Array  # (sales,) int
    by_seller: Segments
    market: Array | None  # (market links,) int, sales link of each market link
    arranged: Array | None  # (sales,) int, place of each in trade rows followed by market rows
    price: Array  # money per unit
    penalty: Array  # money per unit of backlog and period
    waiting_cost: Array  # money per unit of backlog and period, borne by the customer
    lost_sale_cost: Array  # money per unit lost, borne by the seller
    customer_lost_sale_cost: Array  # money per unit lost, borne by the customer
    kept: Array  # 1 where unfilled orders wait, 0 where they are lost
    flow: Array  # mean units per period
    ranks: Array  # (most links of a seller, companies) int: links in listed order; `sales` where there is none
    rank_of: Array  # (sales,) int, place of each link in `ranks` laid flat
    payer: Segments  # of penalty entries, by the company that bears them
    penalty_link: Array | None  # (penalty entries,) int, sales link
    penalty_share: Array  # (penalty entries, 1)


@dataclass(frozen=True)
class Markets:
    """Market links and the markets they serve; fields of links are (market links, 1)."""

    market: Array  # (market links,) int
    by_market: Segments
    seller: Array  # (market links,) int
    share: Array  # of the market's demand
    flow: Array  # mean units per period; 1 where there is none
    price: Array  # money per unit
    value: Array  # money per unit, to the end customer
    waiting_cost: Array  # money per unit of backlog and period
    penalty: Array  # money per unit of backlog and period
    customer_lost_sale_cost: Array  # money per unit lost
    lost_sale_cost: Array  # money per unit lost, borne by the seller
    logit: Array  # 1 where the market chooses by experience
    sensitivity: Array  # per money of experience
    smoothing: Array  # of experience, per period
    goodwill: Array  # (markets, 1) relative change of demand per relative change of experience
    mean: Array  # (markets, 1) units per period at the start
    worth: Array  # (markets, 1) mean value of a unit, the measure of goodwill; 1 where it is not positive
    initial_experience: Array  # money per unit, served without waiting at today's hurdles
    route: Segments  # of hurdle entries, by the market link whose customers meet them
    route_company: Array  # (hurdle entries,) int
    route_units: Array  # (hurdle entries, 1) units of the company per unit delivered


@dataclass(frozen=True)
class Wastes:
    """Wastes of companies or of purchase links, each (wastes, rows, 1)."""

    channels: dict[str, tuple[int, int]]  # rows of each channel, grouped
    initial: Array
    rate: Array  # −ln 2 / half-life in periods
    backsliding: Array  # per period
    floor: Array
    floored: bool  # some floor is above 0
    slope: dict[str, Array]  # channel → (wastes of the channel, rows, 1): parameter per level of waste
    base: dict[str, Array]  # channel → (rows, 1): parameter at zero waste


@dataclass(frozen=True)
class Network:
    """Everything the period needs, as arrays of one library, one floating type and one device."""

    scenario: Scenario
    backend: str
    company: Companies
    purchase: Purchases
    trade: Trades
    sale: Sales
    market: Markets
    waste: Wastes  # of companies
    link_waste: Wastes  # of purchase links
    neighbour: Segments  # of neighbour entries, by the company that looks
    neighbour_company: Array  # (entries,) int; itself where a company has no trade partner
    neighbour_weight: Array  # (companies, 1), 1 / number of trade partners, 0 where there is none
    links_per_company: Array  # (companies, 1), over which joint effort is spread; at least 1
    transit_slots: int
    process_slots: int
    mail_slots: int
    transit_places: Array  # (transit slots + 1, 1, 1) 0, 1, … periods
    process_places: Array  # (process slots + 1, 1, 1)
    transit_split: Array | None  # (transit slots + 1, purchases, 1) when no waste moves transit times
    process_split: Array | None  # (process slots + 1, companies, 1) when no waste moves process times
    learning: float  # per period
    skill_max: float
    forgetting: float  # per period
    innovation: float  # per period
    imitation: float  # per period
    erosion: float  # per period
    openness_threshold: float
    platform_fee: float  # money per open twin and period
    forecast_smoothing: float  # per period
    depth: int  # companies on the longest way to a market
    instant_supply: bool  # some supply link can deliver within the period
    process_holding: bool  # work in process is held at a cost somewhere
    accrual: bool  # profit counts the change of stock at book cost
    losing: bool  # some orders are lost at a cost
    mortal: bool  # some company can go bankrupt
    cultural: bool  # culture can change
    listening: bool  # some market's demand answers to experience
    choosing: bool  # some market splits its demand by experience
    gain_shares: tuple[tuple[float, float, Array, float], ...]
    # each: share, reference per period, net share per company (companies, 1), net share of the end customers
    disruptions: tuple[tuple[str, str, int, float, float, float], ...]
    # each: name, "company" or "trade", row, probability per period, mean duration in periods, what remains

    @cached_property
    def xp(self) -> Any:
        """The array API namespace."""
        return namespace(self.backend)

    def __getstate__(self) -> dict[str, Any]:
        # `xp` is a module, which neither pickles nor copies; it is found anew.
        return {name: value for name, value in self.__dict__.items() if name != "xp"}

    @cached_property
    def names(self) -> list[str]:
        return [c.name for c in self.scenario.companies]

    @cached_property
    def owner(self) -> np.ndarray:
        """(companies,) int, the ownership group of each company, numbered as they first appear."""
        owners = [company.group or company.name for company in self.scenario.companies]
        number = {name: i for i, name in enumerate(dict.fromkeys(owners))}
        return np.array([number[name] for name in owners])

    @cached_property
    def company_waste_names(self) -> list[str]:
        return [w.name for w in self.scenario.company_wastes()]

    @cached_property
    def link_waste_names(self) -> list[str]:
        return [w.name for w in self.scenario.link_wastes()]

    @cached_property
    def effort_names(self) -> list[str]:
        """Rows of `Decisions.effort`: one per company waste, then joint effort, then training."""
        return [*self.company_waste_names, "joint_effort", "training"]

    @property
    def companies(self) -> int:
        return int(self.company.unit_cost.shape[0])

    @property
    def purchases(self) -> int:
        return int(self.purchase.bom.shape[0])

    @property
    def sales(self) -> int:
        return int(self.sale.price.shape[0])

    @property
    def trades(self) -> int:
        return int(self.trade.initial_orders.shape[0])

    @property
    def market_links(self) -> int:
        return int(self.market.share.shape[0])

    def zeros(self, *shape: int) -> Array:
        """Zeros of this network's library, floating type and device."""
        like = self.company.unit_cost
        return np.zeros(shape, like.dtype) if self.backend == "numpy" else like.new_zeros(shape)

    def to(self, backend: str = "numpy", dtype: str = "float64", device: str | None = None) -> Network:
        """The same network for another library, floating type (`float64`, `float32`) or device.

        Parameters are rounded to what is asked for; start from the network that `build` gave, in double precision.
        """
        if dtype not in ("float64", "float32"):
            raise ValueError(f"dtype '{dtype}' is not supported; allowed: float64, float32")
        namespace(backend)  # says what is missing
        like: Array = np.empty(0, dtype)
        if backend == "torch":
            import torch

            like = torch.empty(0, dtype=getattr(torch, dtype), device=device)
        parts = {f.name: converted(getattr(self, f.name), like) for f in dataclasses.fields(self)}
        return dataclasses.replace(self, **(parts | {"scenario": self.scenario, "backend": backend}))


def split(lead_time: Array, places: Array, xp: Any) -> Array:
    """Shares of a shipment that arrive after `places` (slots + 1, 1, 1) periods: (slots + 1, rows, worlds).

    A fractional lead time is split between the two neighbouring slots: 2.3 gives 70 % to slot 2, 30 % to slot 3.
    """
    return xp.maximum(1.0 - xp.abs(lead_time - places), 0.0)
