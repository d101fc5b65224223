"""What a company is paid for: own profit, or a share of what its group or the whole network earns."""

from __future__ import annotations

import numpy as np

from .arrays import Array, Segments, as_array, as_numpy, converted, gather, segment_sum
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
        self.scale = money_scale(network)
        like = network.company.unit_cost
        self._by_owner = converted(Segments.of(network.owner, int(network.owner.max()) + 1), like)
        self._owner = converted(network.owner, like)
        self._members = as_array(np.bincount(network.owner)[:, None], like)  # (owners, 1)

    def rewards(self, network: Network, books: Books) -> Array:
        """(worlds, companies), scaled."""
        own, xp = books.profit, network.xp
        if self.weight == 0.0:
            shared = own
        elif self.kind == "group":
            shared = gather(segment_sum(own, self._by_owner) / self._members, self._owner)
        else:
            shared = xp.broadcast_to(end_customer_value(network, books) / network.companies, own.shape)
        return (((1.0 - self.weight) * own + self.weight * shared) / self.scale).T


def money_scale(network: Network) -> float:
    """Money per company and period that rewards are divided by: what end customers get, or what their waiting costs.

    Mean over companies of mean flow · max(value, price, penalty, waiting cost, costs of a lost sale) of the market
    links; 1 where it is 0.
    """
    market = network.market
    lost = (market.lost_sale_cost, market.customer_lost_sale_cost)
    kinds = (market.value, market.price, market.penalty, market.waiting_cost, *lost)
    dearest = np.max([np.abs(as_numpy(kind)) for kind in kinds], axis=0)
    flow = as_numpy(market.share * gather(market.mean, market.market))
    total = float((flow * dearest).sum()) / network.companies
    return total if total > 0 else 1.0
