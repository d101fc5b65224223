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
from scipy import sparse

from .arrays import gather, segment_min, segment_sum, slot_sum
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


@dataclass(frozen=True)
class Seen:
    """What is known at the start of a period: the state, and the flows and books of the period before."""

    state: State
    flows: Flows | None  # None in the first period
    books: Books | None
    period: int


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
        self._per_unit = 1.0 / np.where(network.company.throughput > 0, network.company.throughput, 1.0)
        self._bom = network.purchase.bom
        self._links = np.bincount(network.purchase.buyer, minlength=n).astype(float)[:, None]
        scale = network.company.standard_cost * network.company.throughput
        self._per_money = 1.0 / np.where(scale > 0, scale, 1.0)
        cycles = [m.demand.cycle for m in network.scenario.markets if m.demand.process == "seasonal"]
        self.season = cycles[0] / network.scenario.period_days if cycles else None  # periods
        self.own = self._own_features()
        self.features = [*self.own, *self._shared_features()]
        self._stage = self._stages()
        if kind == "neighbours":
            self._adjacent = self._means()

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
            Feature("profit", "standard cost of mean throughput", "of the last period"),
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
                Feature("echelon_position", periods, "own product anywhere downstream, and all on the way to it"),
                Feature("downstream.stock", periods, "own product held or under way downstream"),
                Feature("downstream.owed_to_markets", periods, "end customers waiting downstream"),
                Feature("downstream.end_demand", periods, "end demand of the last period"),
                Feature("downstream.waste", "level", "mean waste downstream, by flow"),
                Feature("upstream.stock", periods, "finished and in process upstream, this company's share"),
                Feature("upstream.owed", periods, "orders that wait upstream, this company's share"),
                Feature("upstream.waste", "level", "mean waste upstream"),
            ]
        return [
            Feature(f"{name}.{f.name}", f.unit, f"{f.meaning}; of {name}")
            for name in names
            for f in [Feature("shown", "0 or 1", "whether this twin is shown"), *self.own]
        ]

    # --- what is seen -----------------------------------------------------------------------------------------

    def own_values(self, seen: Seen) -> np.ndarray:
        """Own features of every company: (features, companies, worlds), exact and of this period."""
        network, s = self.network, seen.state
        purchase, sale = network.purchase, network.sale
        per = self._per_unit

        def mean(on_links: np.ndarray) -> np.ndarray:
            return segment_sum(on_links / self._bom, purchase.by_buyer) / self._links

        def owed(to_companies: float, to_markets: float) -> np.ndarray:
            trade = to_companies * gather(s.backlog, network.trade.sale)
            market = to_markets * gather(s.backlog, sale.market)
            return segment_sum(gather(np.concatenate((trade, market)), sale.arranged), sale.by_seller)

        received = s.backlog if seen.flows is None else seen.flows.arrivals
        profit = np.zeros_like(s.on_hand) if seen.books is None else seen.books.profit
        lead, process = self._times(s)
        values = [
            s.on_hand * per,
            slot_sum(s.work_in_process) * per,
            segment_min(s.inputs / self._bom, purchase.by_buyer) * per,
            mean(s.in_transit[0]) * per,
            mean(slot_sum(s.in_transit)) * per,
            mean(on_order(network, s)) * per,
            inventory_position(network, s) * per,
            owed(1.0, 0.0) * per,
            owed(0.0, 1.0) * per,
            segment_sum(received, sale.by_seller) * per,
            segment_sum(s.forecast, sale.by_seller) * per,
            profit * self._per_money,
            lead,
            process,
            np.broadcast_to(self._stage, s.on_hand.shape),
            *s.waste,
            *(segment_sum(level, purchase.by_buyer) / self._links for level in s.link_waste),
        ]
        shown = {f.name for f in self.own}
        optional = {"skill": s.skill, "culture": s.culture, "open_twin": s.open_twin, "alive": s.alive}
        if "cash" in shown:
            limit = network.company.credit_limit
            optional["cash"] = np.where(np.isfinite(limit) & (limit > 0), s.cash / np.where(limit > 0, limit, 1.0), 0.0)
        if self.season is not None:
            angle = 2.0 * math.pi * seen.period / self.season
            optional["season_sin"] = np.full_like(s.on_hand, math.sin(angle))
            optional["season_cos"] = np.full_like(s.on_hand, math.cos(angle))
        rest = [optional[f.name] for f in self.own if f.name in optional]
        return np.stack([*values, *rest])

    def shared_values(self, seen: Seen, own: np.ndarray) -> np.ndarray:
        """What is shared: (features, companies, worlds) of means or sums, or all own features, to be masked."""
        kind = self.regime.twin
        if kind == "neighbours":
            features, n, worlds = own.shape
            flat = np.moveaxis(own, 1, 0).reshape(n, -1)
            sides = [np.moveaxis((weight @ flat).reshape(n, features, worlds), 0, 1) for weight in self._adjacent]
            return np.concatenate(sides)
        if kind == "echelon":
            return self._echelon(seen)
        return own  # by company; `visible` says to whom

    def visible(self, state: State) -> np.ndarray:
        """Whether company i (axis 0) is shown company j (axis 1): (companies, companies, worlds) 0 or 1."""
        n, worlds = state.on_hand.shape
        if self.regime.twin == "members":
            return state.open_twin[:, None] * state.open_twin[None]
        owner = self.network.owner
        known = owner[:, None] == owner if self.regime.twin == "group" else np.ones((n, n))
        return np.broadcast_to(known[:, :, None].astype(np.float64), (n, n, worlds))

    def assemble(self, own: np.ndarray, shared: np.ndarray, visible: np.ndarray | None) -> np.ndarray:
        """Observations (worlds, companies, features) float32 from own and shared values, as far as they are shown."""
        own_part = np.transpose(own, (2, 1, 0))
        if self.regime.twin == "own":
            parts = [own_part]
        elif self.regime.twin in SHARED_BY_COMPANY:
            assert visible is not None
            mask = np.transpose(visible, (2, 0, 1))[..., None]  # (worlds, i, j, 1)
            blocks = np.transpose(shared, (2, 1, 0))[:, None]  # (worlds, 1, j, features)
            shown = np.concatenate((mask, mask * blocks), axis=-1)
            parts = [own_part, shown.reshape(*shown.shape[:2], -1)]
        else:
            parts = [own_part, np.transpose(shared, (2, 1, 0))]
        return np.clip(np.concatenate(parts, axis=-1), -BOUND, BOUND).astype(np.float32)

    # --- structure --------------------------------------------------------------------------------------------

    def _times(self, state: State) -> tuple[np.ndarray, np.ndarray]:
        now = effects(self.network, state)
        shape = (self.network.purchases, state.on_hand.shape[-1])
        lead = segment_sum(np.broadcast_to(now.transit_time, shape).copy(), self.network.purchase.by_buyer)
        return lead / self._links, np.broadcast_to(now.process_time, state.on_hand.shape)

    def _stages(self) -> np.ndarray:
        network = self.network
        depth = np.zeros((network.companies, 1))
        for _ in range(network.depth):
            np.maximum.at(depth[:, 0], network.trade.seller, depth[network.trade.buyer, 0] + 1.0)
        return depth / max(1, network.depth - 1)

    def _means(self) -> list[sparse.csr_array]:
        """Weights (companies, companies) of the mean over suppliers and over customers; rows of 0 where none are."""
        trade, n = self.network.trade, self.network.companies
        weights = []
        for looks, seen in ((trade.buyer, trade.seller), (trade.seller, trade.buyer)):
            count = np.bincount(looks, minlength=n)
            weights.append(sparse.csr_array((1.0 / count[looks], (looks, seen)), shape=(n, n)))
        return weights

    def _echelon(self, seen: Seen) -> np.ndarray:
        """Sums over everything up- and downstream, in units of the company's own product; features as named."""
        network, s = self.network, seen.state
        trade, sale = network.trade, network.sale
        worlds = s.on_hand.shape[-1]
        bom = gather(network.purchase.bom, network.purchase.trade)
        on_way = gather(s.inputs + slot_sum(s.in_transit), network.purchase.trade)
        held = s.on_hand + slot_sum(s.work_in_process)
        market = sale.market
        waiting = gather(s.backlog, market)
        revealed = gather(s.backlog if seen.flows is None else seen.flows.arrivals, market)
        waste = s.waste.mean(axis=0) if s.waste.shape[0] else np.zeros_like(s.on_hand)

        def downstream(at_markets: np.ndarray, on_links: np.ndarray | None, weight: np.ndarray) -> np.ndarray:
            """Σ over sales links of what is at the market, or on the link and beyond it."""
            total = np.zeros((network.companies, worlds))
            for _ in range(network.depth):
                beyond = weight * (total + (0.0 if on_links is None else held))[trade.buyer]
                onward = beyond if on_links is None else on_links + beyond
                total = segment_sum(gather(np.concatenate((onward, at_markets)), sale.arranged), sale.by_seller)
            return total

        no_market = np.zeros((network.market_links, worlds))
        flow = gather(network.purchase.flow, network.purchase.trade)
        throughput = network.company.throughput
        share = flow / np.where(throughput > 0, throughput, 1.0)[trade.seller]  # of the seller's product
        stock = downstream(no_market, on_way, bom)

        def upstream(values: np.ndarray) -> np.ndarray:
            """Σ over suppliers of their share of `values` that is for this company, as units of its product."""
            total = np.zeros((network.companies, worlds))
            suppliers = np.maximum(np.bincount(trade.buyer, minlength=network.companies), 1)[:, None]
            for _ in range(network.depth):
                ahead = (values + total)[trade.seller] * share / bom
                total = np.zeros_like(total)
                np.add.at(total, trade.buyer, ahead)
                total = total / suppliers
            return total

        def mean_waste(source: np.ndarray, target: np.ndarray) -> np.ndarray:
            """Mean waste of all companies that can be reached, each way counted once per step."""
            total, count = np.zeros_like(waste), np.zeros_like(waste)
            for _ in range(network.depth):
                new_total, new_count = np.zeros_like(waste), np.zeros_like(waste)
                np.add.at(new_total, target, (waste + total)[source])
                np.add.at(new_count, target, (1.0 + count)[source])
                total, count = new_total, new_count
            return total / np.maximum(count, 1.0)

        owed = segment_sum(s.backlog, sale.by_seller)
        per = self._per_unit
        return np.stack(
            [
                echelon_position(network, s) * per,
                stock * per,
                downstream(waiting, None, bom) * per,
                downstream(revealed, None, bom) * per,
                mean_waste(trade.buyer, trade.seller),
                upstream(held) * per,
                upstream(owed) * per,
                mean_waste(trade.seller, trade.buyer),
            ]
        )
