"""From actions in [−1, 1] to decisions: what each element means, by name."""

from __future__ import annotations

import numpy as np

from .arrays import Array, as_array
from .dynamics import Decisions, initial_state
from .network import Network
from .regimes import Regime
from .replenishment import steady_levels


class Actions:
    """The actions of a company under a regime; the same for all companies of a scenario.

    Element a of [−1, 1] is u = (a + 1) / 2 of the way from nothing to the most: of `order`, `order_max` periods of mean
    throughput, or, where it is an order-up-to level, twice the level that keeps the stocks of the start, so that 0
    keeps them (and at least twice what a mean period starts); of an effort, the whole team; of `openness`, an open
    twin (above ½). In the first `forced_periods` of a scenario every order is the mean throughput, in the `warm_up` and
    the `kaizen_delay` of a regime every effort is none, and in the warm-up every twin closes.
    """

    def __init__(self, network: Network, regime: Regime) -> None:
        scenario, xp = network.scenario, network.xp
        culture = scenario.culture
        uses_culture = network.cultural or culture.openness_threshold > 0 or scenario.platform_fee > 0
        efforts = {
            **{f"effort_{name}": row for row, name in enumerate(network.company_waste_names)},
            **({"joint_effort": len(network.company_waste_names)} if network.link_waste_names else {}),
            **({"training": len(network.company_waste_names) + 1} if culture.innovation > 0 else {}),
        }
        self.efforts = efforts if regime.kaizen else {}
        self.warm_up, self.delay = regime.warm_up, regime.warm_up + regime.kaizen_delay
        self.opens = regime.kaizen and (uses_culture or regime.twin == "members" or regime.platform is not None)
        self.names = ["order", *self.efforts, *(["openness"] if self.opens else [])]
        self.steady = network.company.throughput / (1.0 - network.company.defect_rate)  # units started, on average
        if scenario.replenishment == "quantity":
            self.most = scenario.order_max * self.steady
            self.order_unit = "units to make"
        else:
            levels = steady_levels(network, initial_state(network, network.market.mean))
            self.most = 2.0 * xp.maximum(levels, self.steady)
            position = "echelon" if scenario.replenishment == "echelon_order_up_to" else "inventory"
            self.order_unit = f"units, order-up-to level over the {position} position"
        # Each row of the decisions' effort is an element of the action, or the row of zeros after them.
        rows = {row: element for element, row in enumerate(self.efforts.values(), start=1)}
        idle = len(self.names)
        self._element = np.array([rows.get(row, idle) for row in range(len(network.effort_names))])
        self._network = network

    @property
    def units(self) -> list[str]:
        """The unit of each element's range, in the order of `names`."""
        opens = ["open above ½"] if self.opens else []
        return [self.order_unit, *["share of the team"] * len(self.efforts), *opens]

    def decisions(self, actions: Array, period: int) -> Decisions:
        """Decisions (…, companies, worlds) of a period for actions (worlds, companies, elements) within [−1, 1]."""
        network, xp = self._network, self._network.xp
        actions = as_array(actions, network.company.unit_cost)
        share = 0.5 * (xp.permute_dims(actions, (2, 1, 0)) + 1.0)  # (elements, companies, worlds)
        nothing = xp.zeros_like(share[:1])
        order = self.most * share[0] if period >= network.scenario.forced_periods else self.steady + nothing[0]
        effort = xp.concat((share, nothing))[self._element]
        openness = share[-1] if self.opens else nothing[0]
        if period < self.delay:
            effort = xp.zeros_like(effort)
        if period < self.warm_up:
            openness = nothing[0]
        return Decisions(order, effort, openness)
