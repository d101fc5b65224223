"""`worst_own_waste`: the improvement team works where an hour saves its own company most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .kaizen_index import Sight, index, ordering_rule, together, waste_names, whole_team, with_kaizen
from .policy import Policy, PolicyError, Setting


class WorstOwnWaste(Policy):
    """Each company puts its whole team on the waste with the highest index, as far as that pays for its wage.

    The index of `agents.kaizen_index` with what a waste costs the company itself (`agents.savings`, from its own
    books) and levels, skill and culture as its own twin shows them. What costs end customers alone saves it nothing,
    unless a contract pays it a share. Joint effort counts what is saved on its purchase links if its partners work as
    much as it does; link wastes that do not answer teach it otherwise: their index is multiplied by

        (taken off so far + prior) / (expected so far + prior),  prior = what `patience` periods of full effort take off

    and at most 1; with `patience: null` it goes on hoping. It trains nobody and opens no twin: neither saves it
    anything. `ordering` names the policy that orders, made with `ordering_options`.
    """

    def __init__(
        self, ordering: str = "static", ordering_options: Mapping[str, Any] | None = None, patience: float | None = 30.0
    ) -> None:
        if patience is not None and not (isinstance(patience, (int, float)) and patience > 0):
            raise PolicyError(f"patience: got {patience!r}; allowed: a number of periods above 0, or null")
        self.ordering, self.patience = ordering_rule(ordering, ordering_options), patience
        partners = "" if patience is None else "; how far its link wastes answered to its joint effort"
        self.memory = self.ordering.memory + partners

    def reset(self, setting: Setting) -> None:
        super().reset(setting)
        self.ordering.reset(setting)
        self.wastes, self.link_wastes = waste_names(setting)
        self.sight, self.period = Sight(setting, shared=False), 0
        # By company and world, in money per period: what joint effort should have taken off link wastes, and did.
        self.expected = self.answered = np.zeros((len(setting.companies), setting.worlds))
        self.idle: np.ndarray | None = None  # link wastes of today, had the joint effort before done nothing

    def act(self, observations: np.ndarray) -> np.ndarray:
        setting, books = self.setting, self.setting.facts.kaizen
        orders = self.ordering.act(observations)
        remaining = setting.horizon - 1 - self.period
        self.period += 1
        if not self.wastes and "joint_effort" not in setting.action_names:
            return orders
        power = self.sight.power(observations)
        own = index(books.waste, self.sight.levels(observations, self.wastes), power, remaining)
        link_level = self.sight.levels(observations, self.link_wastes, "link_waste_")
        spread = power / books.links[:, None]
        joint = index(books.link_waste, link_level, spread, remaining) * self._answer(link_level, spread)
        value, decay = together(joint, books.link_waste.rate[..., None] * spread)
        values = np.concatenate((own, value))
        decays = np.concatenate((books.waste.rate[..., None] * power, decay))
        effort = whole_team(values, decays, books.wage, books.curvature)
        self._expect(link_level, effort[-1] * spread)
        return with_kaizen(setting, orders, effort, opens=False)

    def _answer(self, level: np.ndarray, power: np.ndarray) -> np.ndarray:
        """How far link wastes answered to joint effort so far (companies, worlds), 1 before there was any."""
        links = self.setting.facts.kaizen.link_waste
        if self.idle is not None:
            taken = (links.saving[..., None] * (self.idle - level)).sum(axis=0)
            self.answered = self.answered + np.where(self.worked, taken, 0.0)
        if self.patience is None:
            return np.ones_like(power)
        prior = self.patience * (links.saving * links.rate * (1.0 - links.floor)).sum(axis=0)[:, None] * power
        whole = self.expected + prior
        return np.clip((self.answered + prior) / np.where(whole > 0, whole, 1.0), 0.0, 1.0)

    def _expect(self, level: np.ndarray, power: np.ndarray) -> None:
        """Keep what joint effort of this `power` should take off, and what would be without it."""
        links = self.setting.facts.kaizen.link_waste
        rate, slide, floor = (values[..., None] for values in links[1:])
        taken = (level - floor) * (1.0 - np.exp(-rate * power))
        self.expected = self.expected + (links.saving[..., None] * taken).sum(axis=0)
        self.idle, self.worked = level + slide * (1.0 - level), power > 0

    def arrays(self) -> dict[str, np.ndarray]:
        return self.ordering.arrays()

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.ordering.restore(arrays)
