"""`worst_network_waste`: improvement teams work where an hour saves the whole network most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .kaizen_index import Sight, agreed, index, ordering_rule, together, whole_team, with_kaizen
from .policy import Policy, Setting
from .savings import Improvable, savings


class WorstNetworkWaste(Policy):
    """Each company puts its whole team on the waste with the highest index for the network, as far as that pays.

    The index of `agents.kaizen_index` with what a waste costs end customers and all companies together
    (`agents.savings`, from the network's description) and what the shared twin shows of everybody; it needs one (or a
    planner), and refuses to run with less. Hours on a link waste are spent by two, and each is credited with half of
    what both take off it. Who works jointly is agreed on: at first all do; who then has something better to do leaves,
    and with it all that its partners would have got from its links; and so on, until all who stay do best to stay.
    Ordering apart, everybody follows one plan.

    It opens every twin, where the scenario lets it: culture spreads by open twins, and the platform's fee stays in the
    network. It trains nobody: an hour of training raises culture by innovation · (1 − culture) and with it all later
    kaizen, which over R periods beats an hour of kaizen only if innovation · (1 − culture) / culture · R / 2 > 1; in
    none of the named scenarios does it reach 0.03. `ordering` names the policy that orders, made with
    `ordering_options`.
    """

    def __init__(self, ordering: str = "static", ordering_options: Mapping[str, Any] | None = None) -> None:
        self.ordering = ordering_rule(ordering, ordering_options)
        self.memory = self.ordering.memory

    def reset(self, setting: Setting) -> None:
        super().reset(setting)
        network, facts = setting.network, setting.facts
        self.ordering.reset(setting)
        self.kaizen = any(name != "order" for name in setting.action_names)
        self.sight, self.period = Sight(setting, shared=setting.regime.control == "company"), 0
        found = savings(network, facts.demand_deviation, facts.shortage_cost)
        self.waste = Improvable.of(network.waste, found.network)
        self.link_waste = Improvable.of(network.link_waste, found.link_network)
        self.buyer, self.partner = network.purchase.buyer, network.purchase.partner

    def act(self, observations: np.ndarray) -> np.ndarray:
        setting, network, books = self.setting, self.setting.network, self.setting.facts.kaizen
        orders = self.ordering.act(observations)
        remaining = setting.horizon - 1 - self.period
        self.period += 1
        if not self.kaizen:
            return orders
        power = self.sight.power(observations)
        level = self.sight.levels(observations, network.company_waste_names)
        own = index(self.waste, level, power, remaining)
        own_decay = self.waste.rate[..., None] * power
        # A link's level is seen as the mean over its buyer's links.
        link_level = self.sight.levels(observations, network.link_waste_names, "link_waste_")[:, self.buyer]
        spread = power / books.links[:, None]
        both = np.sqrt(spread[self.buyer] * spread[self.partner])
        link, link_decay = together(
            index(self.link_waste, link_level, both, remaining), self.link_waste.rate[..., None] * both
        )
        joint, decay = agreed(self.buyer, self.partner, own.max(axis=0, initial=0.0), link[0], link_decay[0])
        values, decays = np.concatenate((own, joint[None])), np.concatenate((own_decay, decay[None]))
        effort = whole_team(values, decays, books.wage, books.curvature)
        return with_kaizen(setting, orders, effort, opens=True)

    def arrays(self) -> dict[str, np.ndarray]:
        return self.ordering.arrays()

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.ordering.restore(arrays)
