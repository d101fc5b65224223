"""What a company knows of itself from its own books, without any twin: static facts, one row per company."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kaizen_env import Network
from kaizen_env.actions import Actions
from kaizen_env.arrays import gather, segment_sum
from kaizen_env.luck import stream

RECORD = 20_000  # periods of demand from which its deviation is measured


@dataclass(frozen=True)
class Facts:
    """Each (companies,), per period."""

    throughput: np.ndarray  # mean good units; observations count stocks in it
    demand_deviation: np.ndarray  # standard deviation of the orders received, if customers pass demand on as it comes
    started: np.ndarray  # mean units started
    largest_order: np.ndarray  # what share 1 of the action `order` stands for, in its unit
    holding_cost: np.ndarray  # money per finished unit
    shortage_cost: np.ndarray  # money per unit that waits, mean over sales links by flow

    @staticmethod
    def of(network: Network, actions: Actions) -> Facts:
        """The facts of every company of a network."""
        company, sale = network.company, network.sale
        throughput = company.throughput[:, 0]
        flow = segment_sum(sale.flow, sale.by_seller)[:, 0]
        penalty = segment_sum(sale.flow * sale.penalty, sale.by_seller)[:, 0]
        return Facts(
            throughput=throughput,
            demand_deviation=_deviation(network),
            started=throughput / (1.0 - company.defect_rate[:, 0]),
            largest_order=actions.most[:, 0],
            holding_cost=company.holding_cost[:, 0],
            shortage_cost=penalty / np.where(flow > 0, flow, 1.0),
        )


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
