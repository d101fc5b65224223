"""`members`: companies that want an open twin work jointly with open partners, all others on their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kaizen_env.errors import near

from .kaizen_index import Sight, agreed, index, ordering_rule, together, waste_names, whole_team, with_kaizen
from .policy import Policy, PolicyError, Setting


class Members(Policy):
    """Each company puts its whole team on the waste with the highest index, jointly only with whom it sees.

    Own wastes count by what the company itself saves, as in `worst_own_waste`. A link waste counts where both ends
    have open twins: the two tell each other what the link costs and how strong their teams are, each is credited with
    half of what both take off it, and who works jointly is agreed on as in `worst_network_waste`. On supply links a
    company works alone, with an open twin or without. Nobody works jointly in the dark, nobody trains.

    `members` names the companies that open their twin as soon as their culture lets them; null stands for all. How far
    a link has come both ends know from what they did on it, because the twin shows but the mean over all purchase
    links; what partners do there who are not seen is not counted. `ordering` names the policy that orders, made with
    `ordering_options`. It runs with `twin: members` alone.
    """

    def __init__(
        self,
        members: Sequence[str] | None = None,
        ordering: str = "order_up_to",
        ordering_options: Mapping[str, Any] | None = None,
    ) -> None:
        listed = isinstance(members, (list, tuple)) and all(isinstance(name, str) for name in members)
        if members is not None and not listed:
            raise PolicyError(f"members: got {members!r}; allowed: a list of names of companies, or null for all")
        self.members, self.ordering = members, ordering_rule(ordering, ordering_options)
        self.memory = self.ordering.memory + "; how far link wastes have come on which it worked"

    def reset(self, setting: Setting) -> None:
        super().reset(setting)
        if setting.regime.twin != "members" or setting.regime.control != "company":
            raise PolicyError(
                f"twin: {setting.regime.twin}, control: {setting.regime.control} is not what this policy is for;"
                " give it a regime with twin: members and control: company"
            )
        self.ordering.reset(setting)
        self.willing = self.wanting(setting)
        self.wastes, self.link_wastes = waste_names(setting)
        self.sight, self.period = Sight(setting, shared=False), 0
        books = setting.facts.kaizen
        self.buyer, self.alone = books.buyer, (books.buyer == books.partner)[:, None]
        self.shown = self._columns("shown")
        self.strength = [self._columns(name) for name in ("skill", "culture") if name in setting.feature_names]
        self.level: np.ndarray | None = None  # of link wastes (link wastes, purchases, worlds)

    def wanting(self, setting: Setting) -> np.ndarray:
        """Who wants an open twin, 0 or 1: broadcasts to (worlds, companies). Raises PolicyError for unknown names."""
        names = setting.companies
        for name in self.members or ():
            if name not in names:
                raise PolicyError(f"members: there is no company '{name}'{near(name, names)}; here: {', '.join(names)}")
        return np.array([self.members is None or name in self.members for name in names], dtype=np.float64)

    def act(self, observations: np.ndarray) -> np.ndarray:
        setting, books = self.setting, self.setting.facts.kaizen
        remaining = setting.horizon - 1 - self.period
        self.period += 1
        power = self.sight.power(observations)
        own = index(books.waste, self.sight.levels(observations, self.wastes), power, remaining)
        own_decay = books.waste.rate[..., None] * power
        if self.level is None:
            self.level = self.sight.levels(observations, self.link_wastes, "link_waste_")[:, self.buyer]
        both = self._together(observations, power)
        rate = books.purchase.rate[..., None] * both
        link, link_decay = together(index(books.purchase, self.level, both, remaining), rate)
        best = own.max(axis=0, initial=0.0)
        joint, decay = agreed(books.buyer, books.partner, best, link[0], link_decay[0])
        values, decays = np.concatenate((own, joint[None])), np.concatenate((own_decay, decay[None]))
        effort = whole_team(values, decays, books.wage, books.curvature)
        self._remember(np.sqrt(effort[-1][books.buyer] * effort[-1][books.partner]) * rate)
        actions = with_kaizen(setting, self.ordering.act(observations), effort, opens=False)
        actions[..., setting.action_names.index("openness")] = 2.0 * self.willing - 1.0
        return actions

    def _together(self, observations: np.ndarray, power: np.ndarray) -> np.ndarray:
        """What both ends of a link can do there with whole teams (purchases, worlds), 0 where they do not see them."""
        books = self.setting.facts.kaizen
        theirs = np.ones_like(power[self.buyer])
        for columns in self.strength:
            theirs = theirs * self._of_partner(observations, columns)
        theirs = np.where(self.alone, power[self.buyer], theirs * self._of_partner(observations, self.shown))
        links = (books.links[books.buyer] * books.links[books.partner])[:, None]
        return np.sqrt(power[self.buyer] * np.maximum(theirs, 0.0) / links)

    def _of_partner(self, observations: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """What the buyer of every purchase link sees of its seller: (purchases, worlds)."""
        return observations[:, self.buyer, columns].astype(np.float64).T

    def _columns(self, feature: str) -> np.ndarray:
        setting = self.setting
        partner = setting.facts.kaizen.partner
        return np.array([setting.column(f"{setting.companies[j]}.{feature}") for j in partner])

    def _remember(self, worked: np.ndarray) -> None:
        """Link wastes after a period in which `worked` (link wastes, purchases, worlds) was done; the model's law."""
        assert self.level is not None
        slide, floor = (values[..., None] for values in self.setting.facts.kaizen.purchase[2:])
        left = floor + (self.level - floor) * np.exp(-worked)
        self.level = left + slide * (1.0 - self.level)

    def arrays(self) -> dict[str, np.ndarray]:
        return self.ordering.arrays()

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.ordering.restore(arrays)
