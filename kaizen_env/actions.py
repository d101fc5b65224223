"""From actions in [−1, 1] to decisions: what each element means, by name."""

from __future__ import annotations

import numpy as np

from .dynamics import Decisions, initial_state
from .network import Network
from .regimes import Regime
from .replenishment import steady_levels


class Actions:
    """The actions of a company under a regime; the same for all companies of a scenario.

    Element a of [−1, 1] is u = (a + 1) / 2 of the way from nothing to the most: of `order`, `order_max` periods of mean
    throughput, or, where it is an order-up-to level, twice the level that keeps the stocks of the start, so that 0
    keeps them (and at least twice what a mean period starts); of an effort, the whole team; of `openness`, an open
    twin (above ½).
    """

    def __init__(self, network: Network, regime: Regime) -> None:
        scenario = network.scenario
        culture = scenario.culture
        uses_culture = network.cultural or culture.openness_threshold > 0 or scenario.platform_fee > 0
        efforts = {
            **{f"effort_{name}": row for row, name in enumerate(network.company_waste_names)},
            **({"joint_effort": len(network.company_waste_names)} if network.link_waste_names else {}),
            **({"training": len(network.company_waste_names) + 1} if culture.innovation > 0 else {}),
        }
        self.efforts = efforts if regime.kaizen else {}
        self.opens = regime.kaizen and (uses_culture or regime.twin == "members")
        self.names = ["order", *self.efforts, *(["openness"] if self.opens else [])]
        started = network.company.throughput / (1.0 - network.company.defect_rate)
        if scenario.replenishment == "quantity":
            self.most = scenario.order_max * started
            self.order_unit = "units to make"
        else:
            steady = steady_levels(network, initial_state(network, network.market.mean))
            self.most = 2.0 * np.maximum(steady, started)
            position = "echelon" if scenario.replenishment == "echelon_order_up_to" else "inventory"
            self.order_unit = f"units, order-up-to level over the {position} position"
        self._rows = np.array(list(self.efforts.values()), dtype=np.int64)
        self._network = network

    @property
    def units(self) -> list[str]:
        """The unit of each element's range, in the order of `names`."""
        opens = ["open above ½"] if self.opens else []
        return [self.order_unit, *["share of the team"] * len(self.efforts), *opens]

    def decisions(self, actions: np.ndarray) -> Decisions:
        """Decisions (…, companies, worlds) for actions (worlds, companies, elements) within [−1, 1]."""
        network = self._network
        share = 0.5 * (np.moveaxis(actions.astype(np.float64), 0, -1) + 1.0)  # (companies, elements, worlds)
        effort = np.zeros((len(network.effort_names), network.companies, share.shape[-1]))
        last = 1 + len(self._rows)
        effort[self._rows] = np.moveaxis(share[:, 1:last], 1, 0)
        openness = share[:, last] if self.opens else np.zeros_like(share[:, 0])
        return Decisions(self.most * share[:, 0], effort, openness)
