"""`sterman`: the human player of the beer game, who forgets what is on its way: Sterman (1989)."""

from __future__ import annotations

import numpy as np

from .ordering import Levels, check_numbers, needs, order, per_company, units
from .policy import Policy, Setting

TARGET = 4.25  # periods of mean throughput: 17 cases where 4 are sold a week


class Sterman(Policy):
    """Anchoring and adjustment: order = max(0, L + α · (S′ − S − β · SL)), Sterman (1989), equations 7 to 10.

    L is the expected orders, θ · orders received + (1 − θ) · L of the period before, from the mean throughput on; S the
    finished stock less what is owed, with what arrives in this period; SL the supply line: inputs ordered and not here,
    and goods in process. Defaults are the mean estimates of Sterman's 44 players: θ = 0.36, α = 0.26, β = 0.34,
    S′ = 17 at 4 cases a week. `target` is S′ in units: one number, a list, or a mapping by company.
    """

    memory = "expected orders, exponentially smoothed over all periods so far"

    def __init__(
        self,
        target: Levels | None = None,
        smoothing: float = 0.36,
        stock_adjustment: float = 0.26,
        supply_line_weight: float = 0.34,
    ) -> None:
        if target is not None:
            check_numbers(target, "target")
        numbers = {
            "smoothing": smoothing,
            "stock_adjustment": stock_adjustment,
            "supply_line_weight": supply_line_weight,
        }
        for name, value in numbers.items():
            check_numbers(value, name, 0.0, 1.0)
        self.target, self.smoothing = target, smoothing
        self.stock_adjustment, self.supply_line_weight = stock_adjustment, supply_line_weight

    def reset(self, setting: Setting) -> None:
        super().reset(setting)
        needs(setting, "on_hand", "arriving", "in_transit", "on_order", "inputs", "work_in_process", "orders_received")
        mean = setting.facts.throughput
        self.wanted = TARGET * mean if self.target is None else per_company(setting, self.target, "target")
        self.expected = np.tile(mean, (setting.worlds, 1))  # orders of a period, (worlds, companies) units

    def act(self, observations: np.ndarray) -> np.ndarray:
        def seen(name: str) -> np.ndarray:
            return units(self.setting, observations, name)

        arriving = seen("arriving")
        stock = seen("on_hand") + arriving - seen("owed_to_companies") - seen("owed_to_markets")
        supply_line = seen("in_transit") - arriving + seen("on_order") + seen("inputs") + seen("work_in_process")
        self.expected = self.expected + self.smoothing * (seen("orders_received") - self.expected)
        gap = self.wanted - stock - self.supply_line_weight * supply_line
        return order(self.setting, observations, np.maximum(self.expected + self.stock_adjustment * gap, 0.0))
