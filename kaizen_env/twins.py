"""Twins: what a company sees. The only door between the state and a policy, with a name and a unit for every element.

A twin shows the company's own features, and after them what the regime shares: nothing (`own`), the mean of its
suppliers and of its customers (`neighbours`), sums over everything up- and downstream (`echelon`), or the features of
every company in the order of the description (`network`), of the same owner's (`group`), or of those with an open twin
to those with an open twin (`members`); what is not shown is 0, and `shown` is 0 beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .arrays import Array, Segments, as_array, as_numpy, converted, gather, segment_min, segment_sum, slot_sum
from .dynamics import Books, Flows, State
from .dynamics.improvement import effects
from .errors import DescriptionError
from .network import Network
from .regimes import Regime
from .replenishment import echelon_position, inventory_position, on_order

LARGEST_NETWORK = 64  # companies that a network twin can show; beyond, its size grows out of hand
BOUND = 1e6  # every element lies within ± this
SHARED_BY_COMPANY = ("network", "group", "members")


class Feature(NamedTuple):
    """An element of an observation."""

    name: str
    unit: str
    meaning: str


ECHELON_POSITION = Feature(
    "echelon_position", "periods of mean throughput", "own product anywhere downstream, and all on the way to it"
)


@dataclass(frozen=True)
class Seen:
    """What is known at the start of a period: the state, and the flows and books of the period before."""

    state: State
    flows: Flows | None  # None in the first period
    books: Books | None
    period: int
    fee: Array | None = None  # (worlds,) money per open twin, of the period before; by default the network's


class Twin:
    """The features of a regime's twin in one network."""

    def __init__(self, network: Network, regime: Regime) -> None:
        n, kind = network.companies, regime.twin
        if kind in SHARED_BY_COMPANY and n > LARGEST_NETWORK:
            raise DescriptionError(
                f"twin: {kind} shows every company, and {n} are too many (at most {LARGEST_NETWORK});"
                " choose twin: echelon or twin: neighbours, whose size does not grow with the network"
            )
        if network.scenario.replenishment == "echelon_order_up_to" and kind not in ("network", "echelon"):
            raise DescriptionError(
                f"twin: {kind} does not show the echelon that replenishment: echelon_order_up_to orders by;"
                " choose twin: network or twin: echelon, or replenishment: order_up_to"
            )
        self.network, self.regime = network, regime
        company, purchase, trade = network.company, network.purchase, network.trade
        throughput, credit = as_numpy(company.throughput), as_numpy(company.credit_limit)
        buyer, seller = as_numpy(trade.buyer), as_numpy(trade.seller)

        def column(values: np.ndarray) -> Array:
            return as_array(values, company.unit_cost)

        self._per_unit = column(_inverse(throughput))
        self._per_money = column(_inverse(as_numpy(company.standard_cost) * throughput))
        self._per_credit = column(_inverse(np.where(np.isfinite(credit), credit, 0.0), otherwise=0.0))
        at_market = np.zeros((network.sales, 1))
        at_market[slice(None) if network.sale.market is None else as_numpy(network.sale.market)] = 1.0
        self._at_market = column(at_market)
        self._links = column(np.bincount(as_numpy(purchase.buyer), minlength=n)[:, None])
        self._stage = column(self._stages())
        # Of the seller's product, what flows to each buyer, as units of the buyer's product.
        flow, bom = as_numpy(gather(purchase.flow, purchase.trade)), as_numpy(gather(purchase.bom, purchase.trade))
        share = flow * _inverse(throughput)[seller] / bom
        self._suppliers = Partners.of(network, buyer, seller)
        self._customers = Partners.of(network, seller, buyer)
        self._shares_of_suppliers = Partners.of(network, buyer, seller, share)
        if kind == "group":
            self._same_owner = column((network.owner[:, None] == network.owner)[:, :, None])
        cycles = [m.demand.cycle for m in network.scenario.markets if m.demand.process == "seasonal"]
        self.season = cycles[0] / network.scenario.period_days if cycles else None  # periods
        self.own = self._own_features()
        self.features = [*self.own, *self._shared_features()]

    @property
    def names(self) -> list[str]:
        return [f.name for f in self.features]

    @property
    def units(self) -> list[str]:
        return [f.unit for f in self.features]

    def _own_features(self) -> list[Feature]:
        network = self.network
        periods = "periods of mean throughput"
        features = [
            Feature("on_hand", periods, "finished stock"),
            Feature("work_in_process", periods, "good units in process"),
            Feature("inputs", periods, "units that the scarcest input suffices for"),
            Feature("arriving", periods, "inputs that arrive in this period, mean over purchase links"),
            Feature("in_transit", periods, "inputs under way, mean over purchase links"),
            Feature("on_order", periods, "inputs ordered and not yet shipped, mean over trade links and supply links"),
            Feature("inventory_position", periods, "all that is owned, on the way and on order, less what is owed"),
            Feature("owed_to_companies", periods, "orders of companies that wait"),
            Feature("owed_to_markets", periods, "orders of end customers that wait"),
            Feature("orders_received", periods, "orders that came in since the last decision"),
            Feature("forecast", periods, "smoothed orders"),
            Feature("profit", "standard cost of mean throughput", "of the last period, as accounted"),
            Feature("lead_time", "periods", "mean over purchase links, at today's waste"),
            Feature("process_time", "periods", "at today's waste"),
            Feature("stage", "share of the longest way", "place between first supplier (1) and end customer (0)"),
        ]
        features += [Feature(f"waste_{w}", "level", "1 = today, 0 = none") for w in network.company_waste_names]
        features += [Feature(f"link_waste_{w}", "level", "mean over purchase links") for w in network.link_waste_names]
        if network.learning or network.forgetting:
            features.append(Feature("skill", "times a beginner's", "what an hour of improvement yields"))
        culture = network.scenario.culture
        if network.cultural or culture.initial < 1 or culture.openness_threshold > 0:
            features.append(Feature("culture", "share", "readiness for transparency"))
        features.append(Feature("open_twin", "0 or 1", "whether the own twin is published"))
        if network.mortal:
            features.append(Feature("cash", "credit limits", "cash over the credit limit (0 where there is none)"))
            features.append(Feature("alive", "0 or 1", "0 = bankrupt"))
        if self.regime.platform is not None:
            features.append(Feature("platform_fee", "share of the highest", "per open twin, of the last period"))
        if self.season is not None:
            features.append(Feature("season_sin", "sine", "time of the demand's cycle"))
            features.append(Feature("season_cos", "cosine", "time of the demand's cycle"))
        return features

    def _shared_features(self) -> list[Feature]:
        kind, names = self.regime.twin, self.network.names
        if kind == "own":
            return []
        if kind == "neighbours":
            return [
                Feature(f"{side}.{f.name}", f.unit, f"{f.meaning}; mean over {side}")
                for side in ("suppliers", "customers")
                for f in self.own
            ]
        if kind == "echelon":
            periods = "periods of mean throughput"
            return [
                ECHELON_POSITION,
                Feature("downstream.stock", periods, "own product held or under way downstream"),
                Feature("downstream.owed_to_markets", periods, "end customers waiting downstream"),
                Feature("downstream.end_demand", periods, "end demand of the last period"),
                Feature("downstream.waste", "level", "mean waste downstream, by flow"),
                Feature("upstream.stock", periods, "finished and in process upstream, this company's share"),
                Feature("upstream.owed", periods, "orders that wait upstream, this company's share"),
                Feature("upstream.waste", "level", "mean waste upstream"),
            ]
        everyone = [
            Feature(f"{name}.{f.name}", f.unit, f"{f.meaning}; of {name}")
            for name in names
            for f in [Feature("shown", "0 or 1", "whether this twin is shown"), *self.own]
        ]
        return [ECHELON_POSITION, *everyone] if kind == "network" else everyone

    # --- what is seen -----------------------------------------------------------------------------------------

    def own_values(self, seen: Seen) -> Array:
        """Own features of every company: (features, companies, worlds), exact and of this period."""
        network, s = self.network, seen.state
        xp, purchase, sale = network.xp, network.purchase, network.sale
        per = self._per_unit
        nothing = network.zeros(*s.on_hand.shape)

        def mean(on_links: Array) -> Array:
            return segment_sum(on_links / purchase.bom, purchase.by_buyer) / self._links

        owed = segment_sum(s.backlog, sale.by_seller)
        to_markets = segment_sum(s.backlog * self._at_market, sale.by_seller)
        received = s.backlog if seen.flows is None else seen.flows.arrivals
        lead, process = self._times(s)
        values = [
            s.on_hand * per,
            slot_sum(s.work_in_process) * per,
            segment_min(s.inputs / purchase.bom, purchase.by_buyer) * per,
            mean(s.in_transit[0]) * per,
            mean(slot_sum(s.in_transit)) * per,
            mean(on_order(network, s)) * per,
            inventory_position(network, s) * per,
            (owed - to_markets) * per,
            to_markets * per,
            segment_sum(received, sale.by_seller) * per,
            segment_sum(s.forecast, sale.by_seller) * per,
            nothing if seen.books is None else seen.books.profit * self._per_money,
            nothing + lead,
            nothing + process,
            nothing + self._stage,
            *s.waste,
            *(segment_sum(level, purchase.by_buyer) / self._links for level in s.link_waste),
        ]
        shown = {f.name for f in self.own}
        optional = {"skill": s.skill, "culture": s.culture, "open_twin": s.open_twin, "alive": s.alive}
        if "cash" in shown:
            optional["cash"] = s.cash * self._per_credit
        if self.regime.platform is not None:
            fee = network.platform_fee if seen.fee is None else seen.fee
            optional["platform_fee"] = nothing + fee / (self.regime.platform * network.scenario.period_days)
        if self.season is not None:
            angle = 2.0 * math.pi * seen.period / self.season
            optional["season_sin"] = nothing + math.sin(angle)
            optional["season_cos"] = nothing + math.cos(angle)
        rest = [optional[f.name] for f in self.own if f.name in optional]
        return xp.stack([*values, *rest])

    def shared_values(self, seen: Seen, own: Array) -> Array:
        """What is shared: (features, companies, worlds) of means or sums, or all own features, to be masked."""
        kind, xp = self.regime.twin, self.network.xp
        if kind == "neighbours":
            features, n, worlds = own.shape
            flat = xp.reshape(xp.permute_dims(own, (1, 0, 2)), (n, features * worlds))
            sides = [xp.reshape(side.mean(flat), (n, features, worlds)) for side in (self._suppliers, self._customers)]
            return xp.permute_dims(xp.concat(sides, axis=1), (1, 0, 2))
        if kind == "echelon":
            return self._echelon(seen)
        if kind == "network":
            position = echelon_position(self.network, seen.state) * self._per_unit
            return xp.concat((position[None], own))
        return own  # by company; `visible` says to whom

    def visible(self, state: State) -> Array | None:
        """Whether company i (axis 0) is shown company j (axis 1): (companies, companies, worlds) 0 or 1; None = all."""
        if self.regime.twin == "members":
            return state.open_twin[:, None] * state.open_twin[None]
        return self._same_owner if self.regime.twin == "group" else None

    def assemble(self, own: Array, shared: Array, visible: Array | None) -> Array:
        """Observations (worlds, companies, features) from own and shared values, as far as they are shown.

        float32 from NumPy; PyTorch keeps its type, and gradients.
        """
        each, common = self.parts(own, shared, visible)
        if common is None:
            return each
        worlds, n, _ = each.shape
        xp = self.network.xp
        return xp.concat((each, xp.broadcast_to(common[:, None], (worlds, n, common.shape[-1]))), axis=-1)

    def parts(self, own: Array, shared: Array, visible: Array | None) -> tuple[Array, Array | None]:
        """Observations in two parts: what differs by viewer (worlds, companies, features), and what all see alike.

        The second is (worlds, features), of a network twin alone; observations are the one with the other after it.
        """
        kind, xp = self.regime.twin, self.network.xp
        own_part = self._bounded(own)
        if kind == "own":
            return own_part, None
        shared_part = self._bounded(shared)
        if kind not in SHARED_BY_COMPANY:
            return xp.concat((own_part, shared_part), axis=-1), None
        worlds, n, _ = own_part.shape
        each = own_part
        if kind == "network":
            each = xp.concat((own_part, shared_part[..., :1]), axis=-1)
            shared_part = shared_part[..., 1:]
        # What is seen of each company, `shown` first: (worlds, companies, 1 + features).
        blocks = xp.concat((xp.ones_like(shared_part[..., :1]), shared_part), axis=-1)
        if visible is None:
            return each, xp.reshape(blocks, (worlds, -1))
        mask = xp.permute_dims(visible, (2, 0, 1))[..., None]  # (worlds, i, j, 1)
        mask = mask.astype(np.float32) if self.network.backend == "numpy" else mask
        return xp.concat((each, xp.reshape(mask * blocks[:, None], (worlds, n, -1))), axis=-1), None

    def _bounded(self, values: Array) -> Array:
        """(features, companies, worlds) to (worlds, companies, features), within the bounds."""
        xp = self.network.xp
        within = xp.clip(xp.permute_dims(values, (2, 1, 0)), -BOUND, BOUND)
        return within.astype(np.float32) if self.network.backend == "numpy" else within

    # --- structure --------------------------------------------------------------------------------------------

    def _times(self, state: State) -> tuple[Array, Array]:
        """Lead time and process time at today's waste, (companies, worlds or 1) periods."""
        now = effects(self.network, state)
        purchase = self.network.purchase
        lead = now.transit_time
        return segment_sum(lead, purchase.by_buyer) / self._links, now.process_time

    def _stages(self) -> np.ndarray:
        network = self.network
        buyer, seller = as_numpy(network.trade.buyer), as_numpy(network.trade.seller)
        depth = np.zeros((network.companies, 1))
        for _ in range(network.depth):
            np.maximum.at(depth[:, 0], seller, depth[buyer, 0] + 1.0)
        return depth / max(1, network.depth - 1)

    def _echelon(self, seen: Seen) -> Array:
        """Sums over everything up- and downstream, in units of the company's own product; features as named."""
        network, s = self.network, seen.state
        xp, trade, sale = network.xp, network.trade, network.sale
        worlds = s.on_hand.shape[-1]
        bom = gather(network.purchase.bom, network.purchase.trade)
        on_way = gather(s.inputs + slot_sum(s.in_transit), network.purchase.trade)
        held = s.on_hand + slot_sum(s.work_in_process)
        waiting = gather(s.backlog, sale.market)
        revealed = gather(s.backlog if seen.flows is None else seen.flows.arrivals, sale.market)
        nothing = network.zeros(network.companies, worlds)
        waste = slot_sum(s.waste) / s.waste.shape[0] if s.waste.shape[0] else nothing

        def downstream(at_markets: Array, on_links: Array | None) -> Array:
            """Σ over sales links of what is at the market, or on the link and beyond it."""
            total = nothing
            for _ in range(network.depth):
                beyond = bom * gather(total if on_links is None else total + held, trade.buyer)
                onward = beyond if on_links is None else on_links + beyond
                total = segment_sum(gather(xp.concat((onward, at_markets)), sale.arranged), sale.by_seller)
            return total

        def upstream(values: Array) -> Array:
            """Mean over suppliers of their share of `values` that is for this company, as units of its product."""
            total = nothing
            for _ in range(network.depth):
                total = self._shares_of_suppliers.mean(values + total)
            return total

        def mean_waste(side: Partners) -> Array:
            """Mean waste of all companies that can be reached, each way counted once per step."""
            total, count = nothing, nothing
            for _ in range(network.depth):
                total, count = side.sum(waste + total), side.sum(1.0 + count)
            return total / xp.maximum(count, 1.0)

        owed = segment_sum(s.backlog, sale.by_seller)
        per = self._per_unit
        return xp.stack(
            [
                echelon_position(network, s) * per,
                downstream(network.zeros(network.market_links, worlds), on_way) * per,
                downstream(waiting, None) * per,
                downstream(revealed, None) * per,
                mean_waste(self._customers),
                upstream(held) * per,
                upstream(owed) * per,
                mean_waste(self._suppliers),
            ]
        )


@dataclass(frozen=True)
class Partners:
    """Whom each company has as a partner on trade links: sums and means over its suppliers, or its customers."""

    by_company: Segments  # of entries; a company without partners has one that counts for nothing
    partner: Array  # (entries,) int
    weight: Array  # (entries, 1)
    number: Array  # (companies, 1) partners, at least 1

    @staticmethod
    def of(network: Network, company: np.ndarray, partner: np.ndarray, weight: np.ndarray | None = None) -> Partners:
        """Partners by trade link (trades,), each link counting for its `weight` (trades, 1), by default 1."""
        n = network.companies
        alone = np.setdiff1d(np.arange(n), company)
        counted = np.ones((len(company), 1)) if weight is None else weight
        partners = Partners(
            Segments.of(np.concatenate((company, alone)), n),
            np.concatenate((partner, alone)),
            np.concatenate((counted, np.zeros((len(alone), 1)))),
            np.maximum(np.bincount(company, minlength=n), 1)[:, None].astype(np.float64),
        )
        return converted(partners, network.company.unit_cost)

    def sum(self, values: Array) -> Array:
        """Σ over partners of weight · their `values`: (companies, ·) to (companies, ·)."""
        return segment_sum(gather(values, self.partner) * self.weight, self.by_company)

    def mean(self, values: Array) -> Array:
        """The sum over the number of partners; 0 where there are none."""
        return self.sum(values) / self.number


def _inverse(values: np.ndarray, otherwise: float = 1.0) -> np.ndarray:
    """1 / values where they are above 0."""
    return np.where(values > 0, 1.0 / np.where(values > 0, values, 1.0), otherwise)
