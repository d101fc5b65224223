"""Stable-Baselines3: the batch as a `VecEnv`, with truncation told apart from termination."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from .batch import INFO, BatchEnv


class BatchVecEnv(VecEnv):
    """One row per world and company: parameter sharing, or, with `company`, the rows of one company.

    Rows are world-major: row w · companies + c is company c in world w. At the horizon every row is done, with
    `terminal_observation` and `TimeLimit.truncated` in its info, so that the learner bootstraps from the value of what
    it saw last. A company that goes bankrupt is done without truncation; its row then idles, without reward, until
    the horizon ends its world.

    With `company`, the others act by `others`, a function of all observations (worlds, companies, features) to actions
    (worlds, companies, elements); by default every action is 0.
    """

    def __init__(self, batch: BatchEnv, company: str | None = None, others: Any = None) -> None:
        if not batch.auto_reset:
            raise ValueError("BatchVecEnv needs BatchEnv(auto_reset=True)")
        names = batch.network.names
        if company is not None and company not in names:
            raise ValueError(f"company '{company}' is not in the network; known: {', '.join(names)}")
        self.batch, self.others = batch, others
        self.rows = np.arange(batch.companies) if company is None else np.array([names.index(company)])
        self.render_mode = None  # VecEnv asks for it while it is set up
        super().__init__(batch.worlds * len(self.rows), batch.single_observation_space, batch.single_action_space)
        self._observations: np.ndarray | None = None
        self._actions: np.ndarray | None = None

    def reset(self) -> np.ndarray:
        seed = self._seeds[0]
        self._observations, infos = self.batch.reset(seed=seed)
        self._reset_seeds()
        self._reset_options()
        self.reset_infos = [self._info(infos, w) for w in range(self.batch.worlds) for _ in self.rows]
        return self._flat(self._observations)

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> Any:
        assert self._actions is not None
        assert self._observations is not None
        batch = self.batch
        everyone = np.zeros((batch.worlds, batch.companies, len(batch.action_names)))
        if len(self.rows) < batch.companies and self.others is not None:
            everyone[:] = self.others(self._observations)
        everyone[:, self.rows] = self._actions.reshape(batch.worlds, len(self.rows), -1)
        observations, rewards, died, truncated, infos = batch.step(everyone)
        self._observations = observations
        over = "final_observation" in infos
        last = infos["final_observation"] if over else observations
        dones = died | over
        details = []
        for w in range(batch.worlds):
            for c in self.rows:
                info = self._info(infos, w)
                if dones[w, c]:
                    info["terminal_observation"] = last[w, c]
                    # What goes bankrupt, or was bankrupt and ends its idle time, has nothing to bootstrap from.
                    info["TimeLimit.truncated"] = bool(truncated[w, c] and not died[w, c])
                details.append(info)
        return (
            self._flat(observations),
            rewards[:, self.rows].reshape(-1).astype(np.float32),
            dones[:, self.rows].reshape(-1),
            details,
        )

    def _flat(self, observations: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(observations[:, self.rows]).reshape(self.num_envs, -1)

    @staticmethod
    def _info(infos: dict[str, Any], world: int) -> dict[str, Any]:
        return {name: float(infos[name][world]) for name in INFO}

    def close(self) -> None:
        pass

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        value = getattr(self, attr_name) if hasattr(self, attr_name) else getattr(self.batch, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        setattr(self.batch, attr_name, value)

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        result = getattr(self.batch, method_name)(*method_args, **method_kwargs)
        return [result for _ in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[gymnasium.Wrapper], indices: Any = None) -> list[bool]:
        return [False for _ in self._get_indices(indices)]
