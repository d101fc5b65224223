"""What a company is paid for: own profit, or a share of what its group or the whole network earns."""

from __future__ import annotations

import numpy as np

from .dynamics import Books, end_customer_value
from .network import Network
from .regimes import Regime


class Objective:
    """Rewards of companies from the books of a period.

    Reward of company i = [(1 − α) · profit_i + α · shared_i] / scale. `shared` is end-customer value / companies under
    the network's objective, and profit of the group / its members under the group's, so that rewards add up to the
    network's value (α = 1, network) or to its profit (α = 0, or group), divided by `scale`.
    """

    def __init__(self, network: Network, regime: Regime) -> None:
        self.weight = regime.shared_weight
        self.kind = regime.objective
        self._members = np.bincount(network.owner)[:, None]  # (owners, 1)
        self.scale = money_scale(network)

    def rewards(self, network: Network, books: Books) -> np.ndarray:
        """(worlds, companies), scaled."""
        own = books.profit
        if self.weight == 0.0:
            shared = own
        elif self.kind == "group":
            earned = np.zeros((len(self._members), own.shape[-1]))
            np.add.at(earned, network.owner, own)
            shared = (earned / self._members)[network.owner]
        else:
            shared = np.broadcast_to(end_customer_value(network, books) / network.companies, own.shape)
        return (((1.0 - self.weight) * own + self.weight * shared) / self.scale).T


def money_scale(network: Network) -> float:
    """Money per company and period that rewards are divided by: what end customers get, or what their waiting costs.

    Mean over companies of mean flow · max(value, price, penalty, waiting cost) of the market links; 1 where it is 0.
    """
    market = network.market
    worth = np.maximum(np.abs(market.value), np.abs(market.price))
    dearest = np.maximum(worth, np.maximum(market.penalty, market.waiting_cost))
    total = float((market.share * market.mean[market.market] * dearest).sum()) / network.companies
    return total if total > 0 else 1.0
