"""`order_up_to`: base stock by a company that looks at itself; levels given, or newsvendor on the lead time."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from .ordering import Levels, check_numbers, needs, order_up_to, per_company, protection, within_reach
from .policy import Policy, Setting


class OrderUpTo(Policy):
    """Raise the inventory position to a level in every period.

    Without `levels`: mean + z · deviation of the demand that must be covered, of P periods as `ordering.protection`
    tells them, with z the normal quantile of the critical ratio b / (b + h) (newsvendor; Snyder & Shen 2019, section
    4.3.4). b is what the company pays per unit and period of backlog, h what its finished stock costs; where either is
    0 the ratio is `service`. Lead times are read from the own twin in every period, so levels follow kaizen.
    A given level that `order` cannot name is refused, a computed one beyond its range is its end.
    """

    def __init__(self, levels: Levels | None = None, service: float = 0.95) -> None:
        if levels is not None:
            check_numbers(levels, "levels")
        check_numbers(service, "service", 0.001, 0.999)
        self.levels, self.service = levels, service

    def reset(self, setting: Setting) -> None:
        super().reset(setting)
        needs(setting, "inventory_position", "lead_time", "process_time")
        facts = setting.facts
        b, h = facts.shortage_cost, facts.holding_cost
        known = (b > 0) & (h > 0)
        ratio = np.where(known, b / np.where(known, b + h, 1.0), self.service)
        self.z = ndtri(ratio)  # (companies,)
        self.given = None
        if self.levels is not None:
            self.given = per_company(setting, self.levels, "levels")
            within_reach(setting, self.given, "inventory_position")

    def act(self, observations: np.ndarray) -> np.ndarray:
        return order_up_to(self.setting, observations, self.level(observations), "inventory_position")

    def level(self, observations: np.ndarray) -> np.ndarray:
        """Order-up-to levels in units, that broadcast to (worlds, companies)."""
        if self.given is not None:
            return self.given
        mean, periods = protection(self.setting, observations)
        return np.maximum(mean + self.z * self.setting.facts.demand_deviation * np.sqrt(periods), 0.0)
