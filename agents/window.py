"""The window of an experiment: which periods of a simulated episode count.

An episode that ends where the counting ends is exploited by a policy that sees the end coming: it stops buying and
making, and saves the waste of making. One that begins where the counting begins is an account of running down the
stocks of the start. So an experiment simulates `warm_up` + `periods` + `tail` periods and counts `periods`. In the
warm-up companies order as their policy has them do, but no company improves or opens its twin (an open twin spreads
culture), so that each regime begins to count from its own stocks, and with the wastes, skill and culture of the start.
The tail continues as the counted part does. Learners are paid in all of it.

Demand that depends on the calendar (a step, a season, a replayed record) keeps its place in the counted part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kaizen_env import Network, Regime, Scenario, build
from kaizen_env.arrays import gather, segment_min

WAYS = 1.5  # longest ways from supplier to customer that a warm-up, and a tail, last by default


@dataclass(frozen=True)
class Window:
    """The counted part of an episode, in periods; period 0 is the first that counts."""

    periods: int
    warm_up: int = 0
    tail: int = 0

    @staticmethod
    def of(scenario: Scenario, warm_up: int | None = None, tail: int | None = None) -> Window:
        """The window of an experiment: lengths as given, else the scenario's own, else of `WAYS` longest ways."""
        days = scenario.period_days
        if warm_up is None and scenario.warm_up_days is not None:
            warm_up = math.ceil(scenario.warm_up_days / days - 1e-9)
        if tail is None and scenario.tail_days is not None:
            tail = math.ceil(scenario.tail_days / days - 1e-9)
        if warm_up is None or tail is None:
            default = math.ceil(WAYS * longest_way(build(scenario)) - 1e-9)
            warm_up, tail = default if warm_up is None else warm_up, default if tail is None else tail
        return Window(scenario.periods, warm_up, tail)

    @property
    def length(self) -> int:
        """Periods that are simulated."""
        return self.warm_up + self.periods + self.tail

    def period(self, t: int) -> int:
        """The number of the simulated period `t`: negative in the warm-up, from `periods` on in the tail."""
        return t - self.warm_up

    def counts(self, t: int) -> bool:
        """Whether the simulated period `t` counts."""
        return 0 <= self.period(t) < self.periods

    def simulated(self, scenario: Scenario) -> Scenario:
        """`scenario` with all periods of the window, and its demand as much later as the warm-up is long."""
        if not self.warm_up and self.length == scenario.periods:
            return scenario
        days = self.warm_up * scenario.period_days
        markets = [m.model_copy(update={"demand": m.demand.later(days)}) for m in scenario.markets]
        return scenario.changed(periods=self.length, markets=markets)

    def waiting(self, regime: Regime) -> Regime:
        """`regime` in which no company improves during the warm-up."""
        return regime.model_copy(update={"warm_up": regime.warm_up + self.warm_up})

    def __str__(self) -> str:
        if not self.warm_up and not self.tail:
            return f"all {self.periods} periods"
        return f"{self.periods} periods, after {self.warm_up} of warm-up without kaizen and before {self.tail} of tail"


def longest_way(network: Network) -> float:
    """Periods of the longest way from a supplier to a customer at today's waste: lead, process and transit times."""
    company, purchase = network.company, network.purchase
    way = company.process_time
    for _ in range(network.depth):  # each pass goes one company further down
        ahead = purchase.lead_time.copy()
        rows = np.arange(network.purchases) if purchase.trade is None else purchase.trade
        ahead[rows] += way[network.trade.seller]
        way = company.process_time - segment_min(-ahead, purchase.by_buyer)
    return float(gather(way, network.market.seller).max())
