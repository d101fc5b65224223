"""`worst_paid_waste`: improvement teams work where an hour saves those most for whom the regime pays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .loading import make_policy
from .policy import Policy, Setting


class WorstPaidWaste(Policy):
    """`worst_network_waste` where companies are paid for the network and see it; `worst_own_waste` everywhere else.

    One rule for the regimes from isolated to Kaizen 2.0, so that they can be compared without a learner in between.
    Who is paid for the network and does not see it goes on as before, and so does who sees it and is not paid for it:
    what a rule does with half of the step is the rule's, not the regime's. With an alignment below 1 pay for the
    network counts from one half on. `ordering` names the policy that orders, made with `ordering_options`.
    """

    def __init__(self, ordering: str = "static", ordering_options: Mapping[str, Any] | None = None) -> None:
        options = {"ordering": ordering, "ordering_options": ordering_options}
        self.alone = make_policy("worst_own_waste", **options)
        self.together = make_policy("worst_network_waste", **options)
        self.rule = self.alone
        self.memory = f"{self.alone.memory} (as worst_own_waste)"

    def reset(self, setting: Setting) -> None:
        super().reset(setting)
        regime = setting.regime
        paid = regime.objective == "network" and regime.alignment >= 0.5
        self.rule = self.together if paid and regime.twin == "network" else self.alone
        self.rule.reset(setting)

    def act(self, observations: np.ndarray) -> np.ndarray:
        return self.rule.act(observations)

    def arrays(self) -> dict[str, np.ndarray]:
        return self.rule.arrays()

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        for rule in (self.alone, self.together):
            rule.restore(arrays)
