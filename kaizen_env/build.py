"""From a validated scenario to the arrays of a network: ordering of links, conversion to periods, mean flows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .arrays import Segments
from .checks import merged
from .description import Scenario, Waste
from .network import Companies, Markets, Network, Purchases, Sales, Trades, Wastes, split

LN2 = math.log(2.0)


def build(s: Scenario) -> Network:
    """The arrays of a scenario, in NumPy and double precision."""
    return _Builder(s).network()


def _column(values: Any) -> np.ndarray:
    return np.asarray(list(values), dtype=np.float64).reshape(-1, 1)


def _index(order: np.ndarray, rows: int) -> np.ndarray | None:
    """An index array, or None where it is the identity on `rows` rows."""
    return None if len(order) == rows and bool((order == np.arange(rows)).all()) else order


def _ceil(longest: float) -> int:
    return max(0, math.ceil(longest - 1e-9))


class _Builder:
    """One scenario on its way to a network; lives only inside `build`."""

    def __init__(self, s: Scenario) -> None:
        self.s = s
        self.days = s.period_days
        self.row = {c.name: i for i, c in enumerate(s.companies)}
        self.market_row = {m.name: i for i, m in enumerate(s.markets)}
        supply_buyer = np.array([self.row[k.buyer] for k in s.supply_links], dtype=np.int64)
        trade_buyer = np.array([self.row[k.buyer] for k in s.trade_links], dtype=np.int64)
        trade_seller = np.array([self.row[k.seller] for k in s.trade_links], dtype=np.int64)
        market_seller = np.array([self.row[k.seller] for k in s.market_links], dtype=np.int64)
        n_supply, n_trade = len(supply_buyer), len(trade_buyer)
        # Sales: trade links, then market links, stably sorted by seller.
        place = np.argsort(np.concatenate([trade_seller, market_seller]), kind="stable")
        trade_rows, market_rows = place[place < n_trade], place[place >= n_trade] - n_trade
        self.trades = [s.trade_links[i] for i in trade_rows]
        self.market_links = [s.market_links[i] for i in market_rows]
        self.sale_of_trade, self.sale_of_market = np.flatnonzero(place < n_trade), np.flatnonzero(place >= n_trade)
        self.sale_arranged = np.argsort(np.concatenate([self.sale_of_trade, self.sale_of_market]))
        self.seller = np.concatenate([trade_seller, market_seller])[place]
        self.trade_seller, self.trade_buyer = trade_seller[trade_rows], trade_buyer[trade_rows]
        # Purchases: supply links, then trade links in the order listed, stably sorted by buyer.
        place = np.argsort(np.concatenate([supply_buyer, trade_buyer]), kind="stable")
        self.supplies = [s.supply_links[i] for i in place[place < n_supply]]
        self.supply_place = np.flatnonzero(place < n_supply)
        purchase_of_listed = np.empty(n_trade, dtype=np.int64)
        purchase_of_listed[place[place >= n_supply] - n_supply] = np.flatnonzero(place >= n_supply)
        self.trade_place = purchase_of_listed[trade_rows]
        self.purchase_arranged = np.argsort(np.concatenate([self.supply_place, self.trade_place]))
        self.purchase_links = [None] * (n_supply + n_trade)  # type: list[Any]
        for i, link in zip(self.supply_place, self.supplies, strict=True):
            self.purchase_links[i] = link
        for i, link in zip(self.trade_place, self.trades, strict=True):
            self.purchase_links[i] = link
        self.buyer = np.array([self.row[k.buyer] for k in self.purchase_links], dtype=np.int64)
        self.depth = self._depth()
        self._mean_flows()

    def _depth(self) -> int:
        depth = np.zeros(len(self.s.companies), dtype=np.int64)
        while True:
            longer = depth.copy()
            np.maximum.at(longer, self.trade_seller, depth[self.trade_buyer] + 1)
            if (longer == depth).all():
                return int(depth.max()) + 1
            depth = longer

    def _mean_flows(self) -> None:
        """Mean throughput, and standard cost: each company needs one pass per company on its longest way."""
        s, n = self.s, len(self.s.companies)
        market = np.array([self.market_row[k.market] for k in self.market_links])
        given = np.array([-1.0 if k.share is None else k.share for k in self.market_links])
        left = 1.0 - np.bincount(market, np.maximum(given, 0.0), len(s.markets))
        open_links = np.bincount(market, given < 0, len(s.markets))
        self.share = np.where(given < 0, left[market] / np.maximum(open_links[market], 1), given)
        self.market_of_link = market
        self.market_mean = np.array([m.demand.mean_of_period(self.days) for m in s.markets])
        bom = np.array([k.bom for k in self.trades])
        good = 1.0 - np.array([c.defect_rate for c in s.companies])
        sold = np.bincount(self.seller[self.sale_of_market], self.share * self.market_mean[market], n)
        flow = sold
        unit_cost = np.array([c.unit_cost for c in s.companies])
        cost = added = unit_cost + np.bincount(
            self.buyer[self.supply_place], [k.bom * k.price for k in self.supplies], n
        )
        for _ in range(self.depth):
            flow = sold + np.bincount(self.trade_seller, bom * (flow / good)[self.trade_buyer], n)
            cost = added + np.bincount(self.trade_buyer, bom * cost[self.trade_seller], n)
        self.throughput, self.added_cost, self.standard_cost = flow, added, cost
        self.book_cost = unit_cost + np.bincount(self.buyer, [k.bom * k.price for k in self.purchase_links], n)
        self.started = flow / good

    def network(self) -> Network:
        s, days = self.s, self.days
        company, purchase = self._companies(), self._purchases()
        trade, sale = self._trades(), self._sales()
        waste = self._wastes(
            s.company_wastes(),
            [c.wastes for c in s.companies],
            {
                "yield": company.defect_rate,
                "motion": company.unit_cost,
                "over_processing": company.unit_cost,
                "process_time": company.process_time,
                "capacity": np.where(np.isinf(company.capacity), 0.0, company.capacity),
                "hurdle": company.hurdle,
            },
        )
        waste.base["capacity"] = np.where(np.isinf(company.capacity), np.inf, waste.base["capacity"])
        market = self._markets(_at_start(waste, "hurdle"))
        link_waste = self._wastes(
            s.link_wastes(),
            [k.wastes for k in self.purchase_links],
            {"freight": purchase.freight, "transit_time": purchase.lead_time},
        )
        neighbour, neighbour_company, neighbour_weight = self._neighbours()
        transit_slots = max(1, _ceil(float(purchase.lead_time.max())))
        process_slots = _ceil(float(company.process_time.max()))
        transit_places, process_places = (
            np.arange(slots + 1.0)[:, None, None] for slots in (transit_slots, process_slots)
        )
        fixed_transit = "transit_time" not in link_waste.channels
        fixed_process = "process_time" not in waste.channels
        culture = s.culture
        return Network(
            scenario=s,
            backend="numpy",
            company=company,
            purchase=purchase,
            trade=trade,
            sale=sale,
            market=market,
            waste=waste,
            link_waste=link_waste,
            neighbour=neighbour,
            neighbour_company=neighbour_company,
            neighbour_weight=neighbour_weight,
            links_per_company=self._links_per_company(purchase, link_waste),
            transit_slots=transit_slots,
            process_slots=process_slots,
            mail_slots=len(trade.mail) - 1,
            transit_places=transit_places,
            process_places=process_places,
            transit_split=split(purchase.lead_time, transit_places, np) if fixed_transit else None,
            process_split=split(company.process_time, process_places, np) if fixed_process else None,
            learning=s.improvement.learning * days,
            skill_max=s.improvement.skill_max,
            forgetting=_compound(s.improvement.forgetting, days),
            innovation=culture.innovation * days,
            imitation=culture.imitation * days,
            erosion=_compound(culture.erosion, days),
            openness_threshold=culture.openness_threshold,
            platform_fee=s.platform_fee * days,
            forecast_smoothing=s.forecast_smoothing,
            depth=self.depth,
            instant_supply=bool((purchase.lead_time[self.supply_place] < 1).any())
            or not (fixed_transit or (purchase.least_lead_time >= 1).all()),
            process_holding=any(c.work_in_process_holding_cost > 0 for c in s.companies),
            accrual=s.accounting == "accrual",
            losing=any(k.lost_sale_cost + k.customer_lost_sale_cost > 0 for k in [*s.trade_links, *s.market_links]),
            mortal=any(c.credit_limit is not None for c in s.companies),
            cultural=culture.innovation + culture.imitation + culture.erosion > 0,
            listening=any(m.goodwill > 0 or m.choice == "logit" for m in s.markets),
            choosing=any(m.choice == "logit" for m in s.markets),
            gain_shares=tuple(self._gain_shares()),
            disruptions=tuple(self._disruptions()),
        )

    def _companies(self) -> Companies:
        s, days, cs = self.s, self.days, self.s.companies
        on_hand = [
            c.initial_on_hand
            if c.initial_on_hand is not None
            else (c.initial_on_hand_days or 0.0) / days * self.throughput[i]
            for i, c in enumerate(cs)
        ]

        def or_default(field: str, default: float) -> list[float]:
            return [default if getattr(c, field) is None else getattr(c, field) for c in cs]

        return Companies(
            capacity=_column(np.inf if c.capacity is None else c.capacity * days for c in cs),
            unit_cost=_column(c.unit_cost for c in cs),
            holding_cost=_column(c.holding_cost * days for c in cs),
            work_in_process_holding_cost=_column(c.work_in_process_holding_cost * days for c in cs),
            process_time=_column(c.process_time / days for c in cs),
            defect_rate=_column(c.defect_rate for c in cs),
            spoilage=_column(_compound(c.spoilage, days) for c in cs),
            hurdle=_column(c.hurdle for c in cs),
            credit_limit=_column(or_default("credit_limit", np.inf)),
            wage=_column(or_default("wage", s.improvement.wage)) * days,
            curvature=_column(or_default("curvature", s.improvement.curvature)) * days,
            initial_culture=_column(or_default("initial_culture", s.culture.initial)),
            added_cost=_column(self.added_cost),
            standard_cost=_column(self.standard_cost),
            book_cost=_column(self.book_cost),
            throughput=_column(self.throughput),
            initial_on_hand=_column(on_hand),
        )

    def _purchases(self) -> Purchases:
        s, days, links = self.s, self.days, self.purchase_links
        is_trade = np.zeros(len(links), dtype=bool)
        is_trade[self.trade_place] = True
        partner = self.buyer.copy()
        partner[self.trade_place] = self.trade_seller
        flow = np.array([k.bom for k in links]) * self.started[self.buyer]

        def lead(i: int, link: Any) -> float:
            if not is_trade[i]:
                return link.lead_time / days
            return max(1.0, 1.0 if link.transit_time is None else link.transit_time / days)

        def holding(i: int, link: Any, field: str) -> float:
            given = getattr(link, field)
            return s.companies[partner[i]].holding_cost if given is None else given

        full = s.initial_pipelines == "mean_flow"
        return Purchases(
            buyer=self.buyer,
            by_buyer=Segments.of(self.buyer, len(s.companies)),
            partner=partner,
            supply=_index(self.supply_place, len(links)),
            trade=_index(self.trade_place, len(links)),
            arranged=_index(self.purchase_arranged, len(links)),
            is_trade=_column(is_trade),
            bom=_column(k.bom for k in links),
            price=_column(k.price for k in links),
            freight=_column(k.freight for k in links),
            lead_time=_column(lead(i, k) for i, k in enumerate(links)),
            least_lead_time=_column(is_trade),
            input_holding_cost=_column(holding(i, k, "input_holding_cost") for i, k in enumerate(links)) * days,
            transit_holding_cost=_column(holding(i, k, "transit_holding_cost") for i, k in enumerate(links)) * days,
            flow=_column(flow),
            initial_inputs=_column(
                k.initial_inputs if k.initial_inputs is not None else (k.initial_inputs_days or 0.0) / days * f
                for k, f in zip(links, flow, strict=True)
            ),
            initial_in_transit=_column(
                k.initial_in_transit if k.initial_in_transit is not None else f * full
                for k, f in zip(links, flow, strict=True)
            ),
        )

    def _trades(self) -> Trades:
        days = self.days
        wait = np.array([round(k.order_lead_time / days) for k in self.trades], dtype=np.int64)
        slots = int(wait.max()) if len(wait) else 0
        mail = (np.arange(slots + 1)[:, None, None] == wait[:, None]).astype(np.float64)
        full = self.s.initial_pipelines == "mean_flow"
        flow = np.array([k.bom for k in self.trades]) * self.started[self.trade_buyer]
        return Trades(
            buyer=self.trade_buyer,
            seller=self.trade_seller,
            sale=_index(self.sale_of_trade, len(self.seller)),
            mail=mail,
            initial_orders=_column(
                k.initial_orders if k.initial_orders is not None else f * full
                for k, f in zip(self.trades, flow, strict=True)
            ),
        )

    def _sales(self) -> Sales:
        days, n, rows = self.days, len(self.s.companies), len(self.seller)
        links: list[Any] = [None] * rows
        for place, group in ((self.sale_of_trade, self.trades), (self.sale_of_market, self.market_links)):
            for i, link in zip(place, group, strict=True):
                links[i] = link
        first = np.searchsorted(self.seller, np.arange(n))
        rank = np.arange(rows) - first[self.seller]
        ranks = np.full((int(rank.max()) + 1, n), rows, dtype=np.int64)
        ranks[rank, self.seller] = np.arange(rows)
        trade_flow = np.array([k.bom for k in self.trades]) * self.started[self.trade_buyer]
        market_flow = self.share * self.market_mean[self.market_of_link]
        payer, entry_link, entry_share = self._penalty_entries(links)
        return Sales(
            seller=self.seller,
            by_seller=Segments.of(self.seller, n),
            market=_index(self.sale_of_market, rows),
            arranged=_index(self.sale_arranged, rows),
            price=_column(k.price for k in links),
            penalty=_column(k.penalty * days for k in links),
            waiting_cost=_column(k.cost_of_waiting * days for k in links),
            lost_sale_cost=_column(k.lost_sale_cost for k in links),
            customer_lost_sale_cost=_column(k.customer_lost_sale_cost for k in links),
            kept=_column(k.unfilled == "backlog" for k in links),
            flow=_column(np.concatenate([trade_flow, market_flow])[self.sale_arranged]),
            ranks=ranks,
            rank_of=rank * n + self.seller,
            payer=Segments.of(payer, n),
            penalty_link=_index(entry_link, rows),
            penalty_share=_column(entry_share),
        )

    def _penalty_entries(self, links: list[Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Who bears the penalty of each sales link: by default its seller. Every company has an entry."""
        payer, link, share = list(self.seller), list(range(len(links))), [1.0] * len(links)
        row_of = {(links[i].seller, links[i].market): int(i) for i in self.sale_of_market}
        for contract in self.s.contracts.penalty_share:
            row = row_of[contract.seller, contract.market]
            share[row] = contract.shares.get(contract.seller, 0.0)
            for name, part in contract.shares.items():
                if name != contract.seller:
                    payer.append(self.row[name])
                    link.append(row)
                    share.append(part)
        return np.array(payer), np.array(link), np.array(share)

    def _markets(self, hurdle: np.ndarray) -> Markets:
        """Market links; `hurdle` (companies, 1) is what each company's hurdle costs at the start."""
        s, days, links = self.s, self.days, self.market_links
        of = self.market_of_link
        route, company, units = self._routes()
        price = np.array([k.price for k in links])
        value = np.array([k.price if k.value is None else k.value for k in links])
        flow = self.share * self.market_mean[of]
        worth = np.bincount(of, self.share * value, len(s.markets))
        met = np.bincount(route.group, (hurdle[company] * units)[:, 0], len(links))
        return Markets(
            market=of,
            by_market=Segments.of(of, len(s.markets)),
            seller=self.seller[self.sale_of_market],
            share=_column(self.share),
            flow=_column(np.where(flow > 0, flow, 1.0)),
            price=_column(price),
            value=_column(value),
            waiting_cost=_column(k.waiting_cost * days for k in links),
            penalty=_column(k.penalty * days for k in links),
            customer_lost_sale_cost=_column(k.customer_lost_sale_cost for k in links),
            lost_sale_cost=_column(k.lost_sale_cost for k in links),
            logit=_column(s.markets[m].choice == "logit" for m in of),
            sensitivity=_column(s.markets[m].choice_sensitivity for m in of),
            smoothing=_column(_compound(s.markets[m].experience_smoothing, days) for m in of),
            goodwill=_column(m.goodwill for m in s.markets),
            mean=_column(self.market_mean),
            worth=_column(np.where(worth > 0, worth, 1.0)),
            initial_experience=_column(value - price - met),
            route=route,
            route_company=company,
            route_units=units,
        )

    def _routes(self) -> tuple[Segments, np.ndarray, np.ndarray]:
        """Units of every company with a hurdle per unit delivered on each market link, by sparse powers of the bom."""
        from scipy import sparse

        n, rows = len(self.s.companies), len(self.market_links)
        seller = self.seller[self.sale_of_market]
        hurdle = np.array([c.hurdle for c in self.s.companies])
        if not any(m.goodwill > 0 or m.choice == "logit" for m in self.s.markets):
            hurdle = np.zeros(n)  # nobody asks for experience
        good = 1.0 - np.array([c.defect_rate for c in self.s.companies])
        bom = np.array([k.bom for k in self.trades]) / good[self.trade_buyer]
        step = sparse.csr_array((bom, (self.trade_buyer, self.trade_seller)), shape=(n, n))
        units = reach = sparse.csr_array((np.ones(rows), (np.arange(rows), seller)), shape=(rows, n))
        for _ in range(self.depth - 1 if hurdle.any() else 0):
            reach = reach @ step
            units = units + reach
        met = sparse.coo_array(units @ sparse.diags_array((hurdle > 0).astype(float)))
        # Every market link has an entry, its own seller with 0 units where it meets no hurdle.
        link = np.concatenate([np.arange(rows), met.coords[0]])
        company = np.concatenate([seller, met.coords[1]]).astype(np.int64)
        amount = np.concatenate([np.zeros(rows), met.data])
        order = np.argsort(link, kind="stable")
        return Segments.of(link[order], rows), company[order], _column(amount[order])

    def _wastes(self, wastes: list[Waste], changes: list[Any], parameters: dict[str, np.ndarray]) -> Wastes:
        rows = len(changes)
        changed = [(i, [merged(w, own.get(w.name)) for w in wastes]) for i, own in enumerate(changes) if own]

        def table(field: str) -> np.ndarray:
            """(wastes, rows, 1) of one field: the scenario's value, except where a row has its own."""
            values = np.empty((len(wastes), rows, 1))
            for k, waste in enumerate(wastes):
                values[k] = getattr(waste, field)
            for i, own in changed:
                values[:, i, 0] = [getattr(waste, field) for waste in own]
            return values

        channel = [w.booked_as if w.channel == "unit_cost" else w.channel for w in wastes]
        spans = {c: (channel.index(c), channel.index(c) + channel.count(c)) for c in dict.fromkeys(channel)}
        size = table("share")
        slope, base = {}, {}
        for name, parameter in parameters.items():
            first, last = spans.get(name, (0, 0))
            of_channel = size[first:last] * parameter
            if name in ("motion", "over_processing"):
                slope[name], base[name] = of_channel, np.zeros_like(parameter)
            elif name == "capacity":
                slope[name], base[name] = -of_channel, parameter
            else:
                slope[name], base[name] = of_channel, parameter - of_channel.sum(axis=0)
        return Wastes(
            channels=spans,
            initial=table("initial"),
            rate=-LN2 * self.days / table("half_life"),
            backsliding=_compound(table("backsliding"), self.days),
            floor=table("floor"),
            floored=bool((table("floor") > 0).any()),
            slope=slope,
            base=base,
        )

    def _neighbours(self) -> tuple[Segments, np.ndarray, np.ndarray]:
        """Whom each company can imitate: its trade partners (with full mixing `improve` asks all)."""
        n = len(self.s.companies)
        partners = np.bincount(np.concatenate([self.trade_buyer, self.trade_seller]), minlength=n)
        alone = np.flatnonzero(partners == 0)  # sees itself, with weight 0, so that nobody's group is empty
        looks = np.concatenate([alone, self.trade_buyer, self.trade_seller])
        seen = np.concatenate([alone, self.trade_seller, self.trade_buyer])
        order = np.argsort(looks, kind="stable")
        weight = np.where(partners > 0, 1.0 / np.maximum(partners, 1), 0.0)
        return Segments.of(looks[order], n), seen[order], _column(weight)

    def _links_per_company(self, purchase: Purchases, wastes: Wastes) -> np.ndarray:
        """Links with a waste that can fall, on which a company's joint effort is spread evenly; at least 1."""
        can_fall = np.zeros((len(self.buyer), 1), dtype=bool)
        for channel, (first, last) in wastes.channels.items():
            present = wastes.slope[channel] > 0
            if channel == "transit_time":
                present = present & (purchase.lead_time > purchase.least_lead_time)
            above = (wastes.initial > wastes.floor) | (wastes.backsliding > 0)
            can_fall |= (present & above[first:last]).any(axis=0)
        n = len(self.s.companies)
        count = np.bincount(self.buyer, can_fall[:, 0], n)
        count += np.bincount(self.trade_seller, can_fall[self.trade_place, 0], n)
        return _column(np.maximum(count, 1))

    def _gain_shares(self) -> Any:
        for contract in self.s.contracts.gain_share:
            net = np.zeros(len(self.s.companies))
            for name, part in contract.shares.items():
                net[self.row[name]] += part
            for name, part in contract.paid_by.items():
                if name != "customers":
                    net[self.row[name]] -= part
            customers = -contract.paid_by.get("customers", 0.0)
            yield contract.share, contract.reference * self.days, _column(net), customers

    def _disruptions(self) -> Any:
        trade_of = {(a, b): i for i, (a, b) in enumerate(zip(self.trade_seller, self.trade_buyer, strict=True))}
        for hit in self.s.disruptions:
            chance, length = _compound(hit.probability, self.days), max(1.0, hit.duration / self.days)
            if hit.company is not None:
                yield hit.name, "company", self.row[hit.company], chance, length, hit.remaining
            else:
                row = trade_of[self.row[str(hit.seller)], self.row[str(hit.buyer)]]
                yield hit.name, "trade", row, chance, length, hit.remaining


def _at_start(wastes: Wastes, channel: str) -> np.ndarray:
    """The parameter of a channel at the initial levels of waste: (rows, 1)."""
    first, last = wastes.channels.get(channel, (0, 0))
    return wastes.base[channel] + (wastes.slope[channel] * wastes.initial[first:last]).sum(axis=0)


def _compound(share_per_day: Any, days: float) -> Any:
    """A share that is lost (or regained) each day, as a share per period."""
    return 1.0 - (1.0 - share_per_day) ** days
