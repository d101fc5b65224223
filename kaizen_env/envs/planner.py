"""The Super Enterprise: one agent for all companies, as a Gymnasium environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium
import numpy as np

from ..description import Scenario
from ..errors import DescriptionError
from ..regimes import Regime
from ..twins import SHARED_BY_COMPANY
from .batch import INFO, BatchEnv, whole
from .parallel import RENDER_MODES, check_render_mode
from .render import close, render


class PlannerEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """One planner sees what the regime's twins show of every company, decides for all, and earns the sum of rewards.

    Observations are the companies' own features one after the other (with a twin of sums, those too), actions their
    elements one after the other. The episode ends by the horizon (truncation), or when no company is left.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": list(RENDER_MODES), "render_fps": 4}  # type: ignore[misc]

    def __init__(
        self,
        scenario: str | Mapping[str, Any] | Scenario = "cola",
        regime: str | Mapping[str, Any] | Regime = "super_enterprise",
        *,
        render_mode: str | None = None,
        **overrides: Any,
    ) -> None:
        check_render_mode(render_mode)
        self.batch = BatchEnv(scenario, regime, worlds=1, auto_reset=False, **overrides)
        if self.batch.regime.control != "planner":
            raise DescriptionError(
                "regime: control: company is one agent per company; use kaizen_env.parallel_env, or control: planner"
            )
        self.render_mode = render_mode
        batch = self.batch
        regime = batch.regime
        if regime.twin in SHARED_BY_COMPANY and (regime.shared_twin_lag or regime.shared_twin_noise):
            raise DescriptionError(
                f"regime: a planner reads every company's own twin, so with twin: {regime.twin} shared_twin_lag and"
                " shared_twin_noise would change nothing; give twin_lag and twin_noise"
            )
        # In a network twin every company's block holds all others': the planner needs each company once.
        self._features = len(batch.twin.own) if regime.twin in SHARED_BY_COMPANY else len(batch.feature_names)
        low, high = batch.single_observation_space.low[0], batch.single_observation_space.high[0]
        self.observation_space = gymnasium.spaces.Box(low, high, (batch.companies * self._features,), np.float32)
        elements = len(batch.action_names)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (batch.companies * elements,), np.float32)
        names = batch.network.names
        self.feature_names = [f"{c}.{f}" for c in names for f in batch.feature_names[: self._features]]
        self.feature_units = batch.feature_units[: self._features] * batch.companies
        self.action_names = [f"{c}.{a}" for c in names for a in batch.action_names]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode; a seed fixes all luck of it and of those that follow without a seed."""
        super().reset(seed=None if seed is None else whole(seed))
        observations, infos = self.batch.reset(seed=seed)
        return self._flat(observations), _plain(infos)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One period. Raises ValueError, and changes nothing, for an action that is unusable."""
        if self.batch.luck is not None and not self.batch.state.alive.any():
            raise RuntimeError("no company is left; call reset() to begin an episode")
        try:
            given = np.asarray(action, dtype=np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"action of type {type(action).__name__}; an array of numbers is needed") from None
        if given.shape != self.action_space.shape:
            raise ValueError(f"action of shape {given.shape}; allowed: {self.action_space.shape}")
        actions = given.reshape(1, self.batch.companies, -1)
        observations, rewards, _, _, infos = self.batch.step(actions)
        gone = bool((self.batch.state.alive == 0).all())
        truncated = self.batch.t >= self.batch.horizon and not gone
        return self._flat(observations), float(rewards.sum()), gone, truncated, _plain(infos)

    def _flat(self, observations: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(observations[0, :, : self._features]).reshape(-1)

    def describe(self) -> str:
        """What the planner sees and does of every company, as text."""
        return self.batch.describe()

    def render(self) -> Any:
        """As `parallel_env.render`."""
        return render(self.batch, self.render_mode)

    def close(self) -> None:
        close(self)


def _plain(infos: dict[str, Any]) -> dict[str, Any]:
    return {name: float(infos[name][0]) for name in INFO}
