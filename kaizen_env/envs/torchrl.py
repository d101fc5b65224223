"""TorchRL: `PettingZooWrapper` with the settings that companies need, which can go bankrupt."""

from __future__ import annotations

from typing import Any

import numpy as np
from pettingzoo.utils import BaseParallelWrapper
from torchrl.envs.libs.pettingzoo import PettingZooWrapper  # pyright: ignore[reportMissingImports]
from torchrl.envs.utils import MarlGroupMapType  # pyright: ignore[reportMissingImports]

from .parallel import KaizenParallelEnv


class OnlyTheLiving(BaseParallelWrapper):
    """TorchRL acts for every company always; the environment refuses actions of the bankrupt."""

    def step(self, actions: dict[str, np.ndarray]) -> Any:
        """One period, with the actions of the companies that are left."""
        return super().step({name: actions[name] for name in self.env.agents})


def torchrl_env(env: KaizenParallelEnv, **options: Any) -> PettingZooWrapper:
    """All companies as one group `agents`, with `mask` where one is alive, and the true state as `state`.

    The episode goes on when a company goes bankrupt (`done_on_any=False`); `options` are those of `PettingZooWrapper`
    and change any of this.
    """
    settings = {
        "group_map": MarlGroupMapType.ALL_IN_ONE_GROUP,
        "use_mask": True,
        "done_on_any": False,
        "return_state": True,
    }
    return PettingZooWrapper(OnlyTheLiving(env), **(settings | options))
