"""What a company knows of itself from its own books, without any twin: static facts, one row per company."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kaizen_env import Network
from kaizen_env.actions import Actions
from kaizen_env.arrays import gather, segment_sum
from kaizen_env.luck import stream

from .savings import OwnKaizen

RECORD = 20_000  # periods of demand from which its deviation is measured


@dataclass(frozen=True)
class Facts:
    """Each (companies,), per period."""

    throughput: np.ndarray  # mean good units; observations count stocks in it
    demand_deviation: np.ndarray  # standard deviation of the orders received, if customers pass demand on as it comes
    started: np.ndarray  # mean units started
    largest_order: np.ndarray  # what share 1 of the action `order` stands for, in its unit
    holding_cost: np.ndarray  # money per finished unit
    shortage_cost: np.ndarray  # money per unit that waits, or is lost, mean over sales links by flow
    extra_lead_time: np.ndarray  # periods from an order to its slowest input, beyond the mean transit time today
    unseen_orders: np.ndarray  # share of the orders received that join the backlog after the company has decided
    kaizen: OwnKaizen  # what its wastes cost it, and how they fall

    @staticmethod
    def of(network: Network, actions: Actions) -> Facts:
        """The facts of every company of a network."""
        company, sale = network.company, network.sale
        throughput = company.throughput[:, 0]
        flow = segment_sum(sale.flow, sale.by_seller)[:, 0]
        penalty = gather(sale.flow * sale.penalty, sale.penalty_link) * sale.penalty_share
        missed = sale.lost_sale_cost + np.maximum(sale.price - company.book_cost[sale.seller], 0.0)
        lost = segment_sum(sale.flow * missed * (1.0 - sale.kept), sale.by_seller)
        short = (segment_sum(penalty, sale.payer) + lost)[:, 0]
        extra, unseen = _delays(network, np.where(flow > 0, flow, 1.0))
        deviation, shortage = _deviation(network), short / np.where(flow > 0, flow, 1.0)
        return Facts(
            throughput=throughput,
            demand_deviation=deviation,
            started=throughput / (1.0 - company.defect_rate[:, 0]),
            largest_order=actions.most[:, 0],
            holding_cost=company.holding_cost[:, 0],
            shortage_cost=shortage,
            extra_lead_time=extra,
            unseen_orders=unseen,
            kaizen=OwnKaizen.of(network, deviation, shortage),
        )


def _delays(network: Network, flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`extra_lead_time` and `unseen_orders` of every company (companies,); `flow` is what each sells, not 0.

    An order without order lead time joins its seller's backlog in the period in which it is placed, after all have
    decided, unless companies order one after the other (`ordering: cascade`).
    """
    purchase, trade, sale = network.purchase, network.trade, network.sale
    transit, slowest = purchase.lead_time[:, 0], purchase.lead_time[:, 0].copy()
    wait = np.tensordot(np.arange(len(trade.mail)), trade.mail[..., 0], axes=1)
    slowest[gather(np.arange(network.purchases), purchase.trade)] += wait
    longest = np.zeros(network.companies)
    np.maximum.at(longest, purchase.buyer, slowest)
    mean = np.bincount(purchase.buyer, transit) / np.bincount(purchase.buyer)
    at_once = trade.mail[0, :, 0] * (network.scenario.ordering == "simultaneous")
    unseen = segment_sum(
        gather(np.concatenate((at_once[:, None], np.zeros((network.market_links, 1)))), sale.arranged) * sale.flow,
        sale.by_seller,
    )
    return longest - mean, unseen[:, 0] / flow


def _deviation(network: Network) -> np.ndarray:
    """Deviation of a period's end demand, in units of each company's product, markets being independent (companies,).

    Measured on a long record of each market's demand, episodes of the scenario's length, the same on every call.
    """
    market, trade, scenario = network.market, network.trade, network.scenario
    episodes = -(-RECORD // scenario.periods)
    spread = []
    for m in scenario.markets:
        tapes = [m.demand.draw(stream(0, e, "record"), scenario.periods, scenario.period_days) for e in range(episodes)]
        spread.append(np.std(tapes))
    at_market = np.zeros((network.companies, len(scenario.markets)))
    np.add.at(at_market, (market.seller, market.market), market.share[:, 0])
    made = 1.0 / (1.0 - network.company.defect_rate)
    bom = gather(network.purchase.bom, network.purchase.trade) * made[trade.buyer]
    units = at_market
    for _ in range(network.depth - 1):  # each pass carries demand one company further up
        onward = at_market.copy()
        np.add.at(onward, trade.seller, bom * units[trade.buyer])
        units = onward
    return np.sqrt(units**2 @ np.square(spread))
