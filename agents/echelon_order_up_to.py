"""`echelon_order_up_to`: base stock over the echelon: optimal in serial systems, and on the network twin only."""

from __future__ import annotations

import numpy as np
from scipy import stats

from kaizen_env import Network
from kaizen_env.arrays import gather, segment_sum

from .clark_scarf import serial_levels
from .facts import Facts
from .ordering import Levels, check_numbers, needs, order_up_to, per_company, within_reach
from .policy import Policy, PolicyError, Setting

LEAST, MOST = 0.001, 0.999  # critical ratios that a quantile is taken of


class EchelonOrderUpTo(Policy):
    """Raise the echelon position, a company's product anywhere downstream and all on the way to it, to a level.

    Without `levels` they are optimal for the end customers' value in a serial system that `clark_scarf` covers, and
    elsewhere the averages of the newsvendor bounds of Shang & Song (2003), see `shang_song_bounds`; `found` says which.
    Where a network has no cost of waiting or of lost sales, `service` stands for the critical ratio of the bounds.
    """

    def __init__(self, levels: Levels | None = None, service: float = 0.95) -> None:
        if levels is not None:
            check_numbers(levels, "levels")
        check_numbers(service, "service", LEAST, MOST)
        self.levels, self.service = levels, service
        self.found = ""  # where the levels are from: given, clark_scarf or shang_song

    def reset(self, setting: Setting) -> None:
        super().reset(setting)
        network = setting.network
        needs(setting, "echelon_position")
        if setting.replenishment == "order_up_to" and network.scenario.ordering == "cascade":
            raise PolicyError(
                "an echelon level cannot be ordered with replenishment: order_up_to and ordering: cascade, where"
                " customers' orders come on top; use replenishment: echelon_order_up_to or quantity"
            )
        if self.levels is not None:
            self.found, self.level = "given", per_company(setting, self.levels, "levels")
        else:
            try:
                self.found, self.level = "clark_scarf", serial_levels(network)[0]
            except PolicyError:
                self.found, self.level = "shang_song", shang_song_levels(network, setting.facts, self.service)
        within_reach(setting, self.level, "echelon_position")

    def act(self, observations: np.ndarray) -> np.ndarray:
        return order_up_to(self.setting, observations, self.level, "echelon_position")


def shang_song_levels(network: Network, facts: Facts, service: float = 0.95) -> np.ndarray:
    """Echelon levels of any network, (companies,) units: the mean of `shang_song_bounds` (Shang & Song 2003)."""
    low, high = shang_song_bounds(network, facts, service)
    return 0.5 * (low + high)


def shang_song_bounds(network: Network, facts: Facts, service: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Newsvendor levels that in a serial system enclose the optimal echelon levels, (companies,) units each.

    Shang & Song (2003), theorem 1: the demand of all the periods from a company's order to the market, at the critical
    ratios (p + h⁺) / (p + h₁) and (p + h⁺) / (p + h), with h its holding rate, h⁺ that of its inputs, h₁ that of what
    it becomes at the market, and p the cost of waiting, per unit of its product. Where unfilled demand is lost, p is
    the cost of a lost sale, as in a newsvendor; where paths to markets part, all of these are means over them by flow.
    In both cases the levels are a heuristic. Demand is taken as normal and independent from period to period, and lead
    times as they are today.
    """
    mean, periods, at_market, waiting = _downstream(network)
    inputs = _input_rate(network)
    inbound = facts.extra_lead_time + _mean_transit(network)
    covered = mean + facts.started * (inbound + 1.0)
    deviation = facts.demand_deviation * np.sqrt(periods + inbound)

    def level(rate: np.ndarray) -> np.ndarray:
        known = (waiting > 0) & (waiting + rate > 0)
        ratio = np.where(known, (waiting + inputs) / np.where(known, waiting + rate, 1.0), service)
        return np.maximum(covered + stats.norm.ppf(np.clip(ratio, LEAST, MOST)) * deviation, 0.0)

    return level(at_market), level(network.company.holding_cost[:, 0])


def _downstream(network: Network) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of every company's product from the start of making it to the market, (companies,) each:

    mean units in process and under way less the demand that is just revealed, periods it takes, holding rate at the
    market, and cost of being short there (`_cost_of_short`).
    """
    company, trade, sale, market = network.company, network.trade, network.sale, network.market
    transit = gather(network.purchase.lead_time, network.purchase.trade)
    bom = gather(network.purchase.bom, network.purchase.trade)
    sold = segment_sum(sale.flow, sale.by_seller)
    share = sale.flow / np.where(sold > 0, sold, 1.0)[sale.seller]
    flow = gather(network.purchase.flow, network.purchase.trade)
    cost = _cost_of_short(network)

    def at_sellers(on_trades: np.ndarray, on_markets: np.ndarray) -> np.ndarray:
        return gather(np.concatenate((on_trades, on_markets)), sale.arranged)

    nothing, revealed = np.zeros((network.market_links, 1)), gather(sale.flow, sale.market)
    mean = periods = rate = waiting = np.zeros((network.companies, 1))
    for _ in range(network.depth):  # each pass goes one company further up
        buyer = trade.buyer
        mean = company.throughput * company.process_time + segment_sum(
            at_sellers(flow * transit + bom * mean[buyer], -revealed), sale.by_seller
        )
        periods = company.process_time + segment_sum(
            share * at_sellers(transit + periods[buyer], nothing), sale.by_seller
        )
        end = company.holding_cost[market.seller]
        rate = segment_sum(share * at_sellers(rate[buyer] / bom, end), sale.by_seller)
        waiting = segment_sum(share * at_sellers(waiting[buyer] / bom, cost), sale.by_seller)
    return mean[:, 0], periods[:, 0], rate[:, 0], waiting[:, 0]


def _cost_of_short(network: Network) -> np.ndarray:
    """Cost to the network of a unit that is short at the market for a period, (market links, 1).

    Where customers wait it is the cost of waiting, or the penalty where a link has none. Where they do not it is what a
    lost sale costs both sides, and the value that is not delivered, less the standard cost that is not spent.
    """
    market, sale = network.market, network.sale
    kept = gather(sale.kept, sale.market)
    waiting = np.where(market.waiting_cost > 0, market.waiting_cost, market.penalty)
    margin = np.maximum(market.value - network.company.standard_cost[market.seller], 0.0)
    lost = market.lost_sale_cost + market.customer_lost_sale_cost + margin
    return np.where(kept > 0, waiting, lost)


def _input_rate(network: Network) -> np.ndarray:
    """Holding rate of the inputs of a unit at the sellers' rates, (companies,)."""
    trade = network.trade
    bom = gather(network.purchase.bom, network.purchase.trade)[:, 0]
    rate = bom * network.company.holding_cost[trade.seller, 0]
    return np.bincount(trade.buyer, rate, network.companies)


def _mean_transit(network: Network) -> np.ndarray:
    """Mean transit time over a company's purchase links, (companies,) periods."""
    buyer = network.purchase.buyer
    return np.bincount(buyer, network.purchase.lead_time[:, 0]) / np.bincount(buyer)
