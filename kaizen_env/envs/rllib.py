"""RLlib (new API stack): `ParallelPettingZooEnv`, with the horizon as the truncation that it is."""

from __future__ import annotations

from typing import Any

from ray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv  # pyright: ignore[reportMissingImports]

from .parallel import KaizenParallelEnv


class RLlibEnv(ParallelPettingZooEnv):
    """A `parallel_env` for `register_env`; policies are mapped by the names of companies.

    Through RLlib's own wrapper episodes end too, but as if the world ended with them: where every agent of a step is
    done, `MultiAgentEpisode` (ray 2.60) declares all of them terminated, so that no value is bootstrapped at the
    horizon. It takes truncation for what it is when it is said of the episode and of no agent by name.
    """

    def __init__(self, env: KaizenParallelEnv) -> None:
        super().__init__(env)

    def step(self, action_dict: dict[str, Any]) -> tuple[Any, Any, Any, Any, Any]:
        """One period; terminated by name, truncated as `__all__`."""
        observations, rewards, terminated, _, infos = super().step(action_dict)
        over = not self.par_env.agents and not terminated["__all__"]
        return observations, rewards, terminated, {"__all__": over}, infos
