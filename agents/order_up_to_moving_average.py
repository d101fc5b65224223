"""`order_up_to_moving_average`: order-up-to with a forecast that follows demand: the rule behind the bullwhip."""

from __future__ import annotations

from collections import deque

import numpy as np

from kaizen_env import Network
from kaizen_env.arrays import gather

from .ordering import Levels, check_numbers, needs, order_up_to, per_company, protection, units
from .policy import Policy, PolicyError, Setting


class OrderUpToMovingAverage(Policy):
    """Level = lag · mean + z · √lag · deviation of what was ordered in the last `window` periods.

    Chen, Drezner, Ryan & Simchi-Levi (2000), equation 3, with z = 0 by default. The orders are those that the company
    itself receives, or with `shared` the end customers' demand for its product, which a twin must show. `lag` is the
    periods to cover; by default, those that `ordering.protection` tells. `position` says what is raised to the level:
    the inventory position, or the echelon position, for which `lag` must be given (periods from an order to the
    market). Before the first period everybody ordered the mean throughput.
    """

    def __init__(
        self,
        window: int = 5,
        lag: Levels | None = None,
        z: float = 0.0,
        shared: bool = False,
        position: str = "inventory",
    ) -> None:
        if isinstance(window, bool) or not isinstance(window, int) or window < 1:
            raise PolicyError(f"window: got {window!r}; allowed: a whole number of periods from 1 on")
        if lag is not None:
            check_numbers(lag, "lag", 0.0)
        check_numbers(z, "z")
        if position not in ("inventory", "echelon"):
            raise PolicyError(f"position: got {position!r}; allowed: inventory, echelon")
        if position == "echelon" and lag is None:
            raise PolicyError("position: echelon needs a lag: the periods from each company's order to the market")
        self.window, self.lag, self.z, self.shared = window, lag, z, bool(shared)
        self.position = f"{position}_position"
        self.memory = f"orders of the last {window} periods"

    def reset(self, setting: Setting) -> None:
        super().reset(setting)
        needs(setting, self.position, "orders_received", "lead_time", "process_time")
        if self.lag is not None:
            self.given = per_company(setting, self.lag, "lag")
        if self.shared:
            self._share(setting)
        before = np.tile(setting.facts.throughput, (setting.worlds, 1))
        self.seen = deque([before] * self.window, maxlen=self.window)

    def act(self, observations: np.ndarray) -> np.ndarray:
        setting = self.setting
        self.seen.append(self._orders(observations))
        orders = np.stack(self.seen)  # (window, worlds, companies)
        if self.lag is None:
            mean, _ = protection(setting, observations)
            throughput = setting.facts.throughput
            lag = mean / np.where(throughput > 0, throughput, 1.0)
        else:
            lag = self.given
        level = lag * orders.mean(axis=0)
        if self.z and self.window > 1:
            level = level + self.z * np.sqrt(lag) * orders.std(axis=0, ddof=1)
        return order_up_to(setting, observations, level, self.position)

    def _orders(self, observations: np.ndarray) -> np.ndarray:
        """What was ordered since the last decision, (worlds, companies) units."""
        setting = self.setting
        if not self.shared:
            return units(setting, observations, "orders_received")
        if self.at_market is not None:
            sold = np.where(self.at_market, units(setting, observations, "orders_received"), 0.0)
            return sold @ self.per_sale
        return units(setting, observations, "downstream.end_demand") * self.made

    def _share(self, setting: Setting) -> None:
        """How end customers' demand is found on the twin. Raises PolicyError where it is not there."""
        summed = "downstream.end_demand" in setting.feature_names
        if not summed and setting.regime.twin != "network":
            raise PolicyError(
                f"twin: {setting.regime.twin} does not show the end customers' demand, which shared=True needs; choose"
                " twin: network or twin: echelon, or shared=False"
            )
        network = setting.network
        self.per_sale = _units_per_sale(network, 1.0 / (1.0 - network.company.defect_rate))
        if summed:  # the twin counts by bills of materials alone, without what will be scrapped
            self.at_market = None
            sold = _units_per_sale(network, np.ones((network.companies, 1)))
            markets = np.bincount(network.market.seller, network.market.flow[:, 0], network.companies)
            needed = markets @ sold
            self.made = np.where(needed > 0, markets @ self.per_sale / np.where(needed > 0, needed, 1.0), 1.0)
        else:
            self.at_market = _sellers_to_markets(network)


def _sellers_to_markets(network: Network) -> np.ndarray:
    """Whether a company sells to end customers, (companies,).

    Raises PolicyError where one sells to companies too, since the twin does not tell their orders apart.
    """
    at_market = np.isin(np.arange(network.companies), network.market.seller)
    both = at_market & np.isin(np.arange(network.companies), network.trade.seller)
    if both.any():
        raise PolicyError(
            f"'{network.names[int(np.argmax(both))]}' sells to companies and to end customers, and twin: network does"
            " not tell their orders apart, which shared=True needs; choose twin: echelon"
        )
    return at_market


def _units_per_sale(network: Network, made: np.ndarray) -> np.ndarray:
    """Units of each company's product (columns) in a unit that a company (row) sells to end customers.

    `made` (companies, 1) is what a company starts per good unit.
    """
    trade, n = network.trade, network.companies
    bom = gather(network.purchase.bom, network.purchase.trade) * made[trade.buyer]
    first = np.diag(np.isin(np.arange(n), network.market.seller).astype(np.float64))
    units_made = first  # (company, seller to end customers)
    for _ in range(network.depth - 1):  # each pass goes one company further up
        onward = first.copy()
        np.add.at(onward, trade.seller, bom * units_made[trade.buyer])
        units_made = onward
    return units_made.T
