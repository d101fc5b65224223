"""`static`: what keeps the stocks of the start, and no kaizen: the network as it is."""

from __future__ import annotations

import numpy as np

from .policy import Policy


class Static(Policy):
    """Every company makes its mean throughput, or, where it orders by levels, keeps the level of the start."""

    def act(self, observations: np.ndarray) -> np.ndarray:
        setting = self.setting
        if setting.replenishment == "quantity":
            share = setting.order_share(setting.facts.started)
        else:
            share = 0.5  # an action of 0 stands for the level that keeps the stocks of the start
        return setting.actions(order=share)
