"""`random`: actions drawn evenly from all that are allowed: what no policy should do worse than."""

from __future__ import annotations

import numpy as np

from kaizen_env.luck import stream

from .policy import Policy, Setting


class Random(Policy):
    """Every element of every action uniform on [−1, 1].

    World b draws from a stream of its own, which follows from the policy's seed and b: more worlds change nothing for
    those that are there. The streams have nothing to do with the luck, of which a policy knows no seed.
    """

    def reset(self, setting: Setting) -> None:
        super().reset(setting)
        self.streams = [stream(setting.seed, world, "random policy") for world in range(setting.worlds)]

    def act(self, observations: np.ndarray) -> np.ndarray:
        shape = (len(self.setting.companies), len(self.setting.action_names))
        return np.stack([draw.uniform(-1.0, 1.0, shape) for draw in self.streams])
