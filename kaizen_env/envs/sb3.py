"""Stable-Baselines3: the batch as a `VecEnv`, with truncation told apart from termination."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from ..errors import DescriptionError
from ..twins import BOUND, ECHELON_POSITION, SHARED_BY_COMPANY
from .batch import INFO, BatchEnv


class BatchVecEnv(VecEnv):
    """One row per world and company: parameter sharing, or, with `company`, the rows of one company.

    Rows are world-major: row w · companies + c is company c in world w. At the horizon every row is done, with
    `terminal_observation` and `TimeLimit.truncated` in its info, so that the learner bootstraps from the value of what
    it saw last. A company that goes bankrupt is done without truncation; its row then idles, without reward, until
    the horizon ends its world. Rows of a world share one info, but for those that are done, each of which has its own.

    With `company`, the others act by `others`, a function of all observations (worlds, companies, features) to actions
    (worlds, companies, elements); by default every action is 0. With `company_code`, what the twin shows is followed by
    as many elements as there are companies, 1 for the row's own and 0 for the others, so that one network can tell
    them apart; with `state`, by `BatchEnv.global_state`, for a critic only.
    """

    def __init__(
        self,
        batch: BatchEnv,
        company: str | None = None,
        others: Any = None,
        *,
        company_code: bool = False,
        state: bool = False,
    ) -> None:
        names = batch.network.names
        if company is not None and company not in names:
            raise ValueError(f"company '{company}' is not in the network; known: {', '.join(names)}")
        self.others = others
        self.rows = np.arange(batch.companies) if company is None else np.array([names.index(company)])
        self._code = np.eye(batch.companies, dtype=np.float32)[self.rows] if company_code else None
        self._set_up(batch, len(self.rows), batch.single_observation_space, batch.single_action_space, state)

    def _set_up(
        self, batch: BatchEnv, rows: int, seen: gymnasium.spaces.Box, acts: gymnasium.spaces.Box, state: bool
    ) -> None:
        """`rows` of each world, which see `seen` and what is appended to it."""
        if not batch.auto_reset:
            raise ValueError(f"{type(self).__name__} needs BatchEnv(auto_reset=True)")
        self.batch, self._rows, self._state = batch, rows, state
        self.seen = seen.shape[0] + (0 if self._code is None else self._code.shape[1])  # elements that an actor may use
        elements = self.seen + (batch.global_state_space.shape[0] if state else 0)
        space = seen if elements == seen.shape[0] else gymnasium.spaces.Box(-BOUND, BOUND, (elements,), np.float32)
        self.render_mode = None  # VecEnv asks for it while it is set up
        super().__init__(batch.worlds * rows, space, acts)
        self._observations: np.ndarray | None = None
        self._actions: np.ndarray | None = None

    def reset(self) -> np.ndarray:
        seed = self._seeds[0]
        self._observations, infos = self.batch.reset(seed=seed)
        self._reset_seeds()
        self._reset_options()
        self.reset_infos = self._details(infos)
        return self._seen(self._observations, self.batch.global_state() if self._state else None)

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> Any:
        observations, rewards, died, truncated, infos = self.batch.step(self._everyone())
        self._observations = observations
        rewards, died, truncated = self._of_rows(rewards, died, truncated)
        seen = self._seen(observations, self.batch.global_state() if self._state else None)
        details = self._details(infos)
        over = "final_observation" in infos
        dones = died | over
        if dones.any():
            last = seen
            if over:
                state = self.batch.global_state(ended=True) if self._state else None
                last = self._seen(infos["final_observation"], state)
            for row in np.flatnonzero(dones):
                # What goes bankrupt, or was bankrupt and ends its idle time, has nothing to bootstrap from.
                bootstrap = bool(truncated[row] and not died[row])
                details[row] = {
                    **details[row],
                    "terminal_observation": last[row],
                    "TimeLimit.truncated": bootstrap,
                }
        return seen, rewards.astype(np.float32), dones, details

    # --- rows -------------------------------------------------------------------------------------------------

    def _everyone(self) -> np.ndarray:
        """The actions of all companies, (worlds, companies, elements)."""
        assert self._actions is not None
        batch = self.batch
        given = self._actions.reshape(batch.worlds, self._rows, -1)
        if self._rows == batch.companies:
            return given
        everyone = np.zeros((batch.worlds, batch.companies, len(batch.action_names)))
        if self.others is not None:
            everyone[:] = self.others(self._observations)
        everyone[:, self.rows] = given
        return everyone

    def _of_rows(self, rewards: np.ndarray, died: np.ndarray, truncated: np.ndarray) -> Sequence[np.ndarray]:
        """Rewards, bankrupt now, and stopped by the horizon, of rows."""
        return [values[:, self.rows].reshape(-1) for values in (rewards, died, truncated)]

    def _seen(self, observations: np.ndarray, state: np.ndarray | None) -> np.ndarray:
        """What rows see, (rows, elements), from (worlds, companies, features) and (worlds, elements of the state)."""
        shown = self._shown(observations)
        if self._code is None and state is None:
            return shown.reshape(self.num_envs, -1)
        parts, shape = [shown], (self.batch.worlds, self._rows)
        if self._code is not None:
            parts.append(np.broadcast_to(self._code, (*shape, self._code.shape[1])))
        if state is not None:
            parts.append(np.broadcast_to(state[:, None], (*shape, state.shape[1])))
        return np.concatenate(parts, axis=-1).reshape(self.num_envs, -1)

    def _shown(self, observations: np.ndarray) -> np.ndarray:
        """What twins show to rows, (worlds, rows, features)."""
        return observations if self._rows == self.batch.companies else observations[:, self.rows]

    def _details(self, infos: dict[str, Any]) -> list[dict[str, Any]]:
        """An info for each row; rows of one world share it."""
        details: list[dict[str, Any]] = []
        for values in zip(*(infos[name].tolist() for name in INFO), strict=True):
            details += [dict(zip(INFO, values, strict=True))] * self._rows  # type: ignore[arg-type]
        return details

    # --- what VecEnv asks for -----------------------------------------------------------------------------------

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


class PlatformVecEnv(BatchVecEnv):
    """One row per world: the platform of a regime with one, which sets the fee, while companies act by `others`.

    `others` is a function of all observations (worlds, companies, features) to actions (worlds, companies, elements).
    A fee holds for `hold` periods, or to the end of the episode, and earns the mean of what it does in them.
    """

    def __init__(self, batch: BatchEnv, others: Any, hold: int = 1) -> None:
        batch.highest_fee  # noqa: B018 (raises where there is no platform)
        if isinstance(hold, bool) or not isinstance(hold, int) or hold < 1:
            raise ValueError(f"hold: got {hold!r}; allowed: a whole number of periods from 1 on")
        self.others, self.hold, self._code = others, hold, None
        self._set_up(batch, 1, batch.platform_space, gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32), False)

    def step_wait(self) -> Any:
        assert self._actions is not None
        earned: list[np.ndarray] = []
        infos: dict[str, Any] = {}
        while len(earned) < self.hold and "final_observation" not in infos:
            actions = np.asarray(self.others(self._observations), dtype=np.float64)
            self._observations, _, _, _, infos = self.batch.step(actions, self._actions.reshape(-1))
            earned.append(infos["platform_revenue"])
        revenue = self.batch.platform_reward(np.mean(earned, axis=0))
        seen, details = self.batch.platform_observation(), self._details(infos)
        over = "final_observation" in infos
        if over:
            last = self.batch.platform_observation(ended=True)
            details = [
                {**detail, "terminal_observation": last[row], "TimeLimit.truncated": True}
                for row, detail in enumerate(details)
            ]
        return seen, revenue.astype(np.float32), np.full(self.num_envs, over), details

    def _shown(self, observations: np.ndarray) -> np.ndarray:
        return self.batch.platform_observation()[:, None]


class PlannerVecEnv(BatchVecEnv):
    """One row per world: the planner of `PlannerEnv`, with its flat observations and actions and its summed rewards.

    When no company is left its row is done without truncation, and then idles, without reward, until the horizon.
    """

    def __init__(self, batch: BatchEnv, *, state: bool = False) -> None:
        regime = batch.regime
        if regime.control != "planner":
            raise DescriptionError("regime: control: company is one agent per company; use BatchVecEnv")
        if regime.twin in SHARED_BY_COMPANY and (regime.shared_twin_lag or regime.shared_twin_noise):
            raise DescriptionError(
                f"regime: a planner reads every company's own twin, so with twin: {regime.twin} shared_twin_lag and"
                " shared_twin_noise would change nothing; give twin_lag and twin_noise"
            )
        self._features = len(planner_features(batch.feature_names, batch.network.names))
        self._code = None
        low, high = batch.single_observation_space.low[0], batch.single_observation_space.high[0]
        seen = gymnasium.spaces.Box(low, high, (batch.companies * self._features,), np.float32)
        acts = gymnasium.spaces.Box(-1.0, 1.0, (batch.companies * len(batch.action_names),), np.float32)
        self._set_up(batch, 1, seen, acts, state)

    def reset(self) -> np.ndarray:
        self._alive = np.ones((self.batch.worlds, self.batch.companies), dtype=bool)
        return super().reset()

    def _everyone(self) -> np.ndarray:
        assert self._actions is not None
        return self._actions.reshape(self.batch.worlds, self.batch.companies, -1)

    def _of_rows(self, rewards: np.ndarray, died: np.ndarray, truncated: np.ndarray) -> Sequence[np.ndarray]:
        before = np.logical_or.reduce(self._alive, axis=1)
        self._alive &= ~died
        gone = before & ~np.logical_or.reduce(self._alive, axis=1)
        if self.batch.t == 0:  # the episode is over, and the next one has begun
            self._alive[:] = True
        return [np.where(before, rewards.sum(axis=1), 0.0), gone, np.logical_or.reduce(truncated, axis=1)]

    def _shown(self, observations: np.ndarray) -> np.ndarray:
        return observations[:, :, : self._features].reshape(self.batch.worlds, 1, -1)


def planner_features(features: Sequence[str], companies: Sequence[str]) -> list[str]:
    """Those of a company's features that a planner needs of it: all, but in a twin by company its own only.

    There every company's row holds all others' too, after a `shown` of each; the planner needs each company once.
    """
    names = list(features)
    if f"{companies[0]}.shown" not in names:
        return names
    own = names[: names.index(f"{companies[0]}.shown")]
    return own[:-1] if own[-1] == ECHELON_POSITION.name else own  # which follows from what is shown of all companies
