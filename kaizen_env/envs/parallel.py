"""The PettingZoo environment: each company is an agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium
import numpy as np
from pettingzoo import AECEnv, ParallelEnv
from pettingzoo.utils.conversions import parallel_to_aec_wrapper
from pettingzoo.utils.wrappers import OrderEnforcingWrapper

from ..description import Scenario
from ..errors import DescriptionError, near
from ..regimes import Regime
from .batch import INFO, PLATFORM_FEATURES, BatchEnv
from .render import close, render

PLATFORM = "platform"  # the agent that sets the fee
RENDER_MODES = ("ansi", "rgb_array", "human")


class KaizenParallelEnv(ParallelEnv[str, np.ndarray, np.ndarray]):
    """A value network in which every company acts for itself, in one world; see `BatchEnv` for what it computes.

    Agents are called like their companies. An agent ends by bankruptcy (termination) or by the horizon (truncation).
    In a regime with a `platform` whoever runs the shared twin is one more agent, `platform`: it sees
    `PLATFORM_FEATURES`, sets the fee by one element in [−1, 1] (nothing to the highest), and earns the fees, as a share
    of the most there could be.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "name": "kaizen_v1",
        "render_modes": list(RENDER_MODES),
        "render_fps": 4,
        "is_parallelizable": True,
    }

    def __init__(
        self,
        scenario: str | Mapping[str, Any] | Scenario = "cola",
        regime: str | Mapping[str, Any] | Regime = "isolated",
        *,
        render_mode: str | None = None,
        **overrides: Any,
    ) -> None:
        check_render_mode(render_mode)
        self.batch = BatchEnv(scenario, regime, worlds=1, auto_reset=False, **overrides)
        if self.batch.regime.control == "planner":
            raise DescriptionError(
                "regime: control: planner is one agent for all companies; use kaizen_env.PlannerEnv, or"
                " control: company"
            )
        self.render_mode = render_mode
        self.possible_agents: list[str] = list(self.batch.network.names)
        self.has_platform = self.batch.regime.platform is not None
        if self.has_platform:
            if PLATFORM in self.possible_agents:
                raise DescriptionError(f"regime: platform: a company is called '{PLATFORM}' already; rename it")
            self.possible_agents.append(PLATFORM)
        self.agents: list[str] = []
        self.max_cycles = self.batch.horizon
        self._row = {name: i for i, name in enumerate(self.possible_agents)}
        observation, action = self.batch.single_observation_space, self.batch.single_action_space
        self.observation_spaces = {name: _like(observation) for name in self.batch.network.names}
        self.action_spaces = {name: _like(action) for name in self.batch.network.names}
        if self.has_platform:
            self.observation_spaces[PLATFORM] = self.batch.platform_space
            self.action_spaces[PLATFORM] = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.platform_feature_names = list(PLATFORM_FEATURES) if self.has_platform else []
        self.state_space = self.batch.global_state_space
        self.feature_names, self.feature_units = self.batch.feature_names, self.batch.feature_units
        self.action_names = self.batch.action_names

    def observation_space(self, agent: str) -> gymnasium.spaces.Space[np.ndarray]:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> gymnasium.spaces.Space[np.ndarray]:
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]:
        """Begin an episode; a seed fixes all luck of it and of those that follow without a seed."""
        observations, infos = self.batch.reset(seed=seed)
        self.agents = list(self.possible_agents)
        return self._seen(observations[0], self.agents), self._infos(infos, self.agents)

    def step(self, actions: Mapping[str, np.ndarray]) -> tuple[Any, Any, Any, Any, Any]:
        """One period. Raises ValueError, and changes nothing, for an agent without or with an unusable action."""
        if not self.agents:
            raise RuntimeError("no agent is left; call reset() to begin an episode")
        acting = self.agents
        array = self._array(actions)
        fee = self.checked(PLATFORM, actions[PLATFORM]) if self.has_platform else None
        observations, earned, died, truncated, infos = self.batch.step(array[None], fee)
        over = self.batch.t >= self.batch.horizon
        rewards, terminations, truncations = {}, {}, {}
        for name in acting:
            if name == PLATFORM and self.has_platform:
                reward, ends, stops = self.batch.platform_reward(infos["platform_revenue"])[0], False, over
            else:
                row = self._row[name]
                reward, ends, stops = earned[0, row], died[0, row], truncated[0, row]
            rewards[name], terminations[name], truncations[name] = float(reward), bool(ends), bool(stops)
        self.agents = [name for name in acting if not (terminations[name] or truncations[name])]
        return (
            self._seen(observations[0], acting),
            rewards,
            terminations,
            truncations,
            self._infos(infos, acting),
        )

    def _array(self, actions: Mapping[str, np.ndarray]) -> np.ndarray:
        """Actions (companies, elements), 0 for the bankrupt; refused where they do not fit the agents."""
        array = np.zeros((self.batch.companies, len(self.action_names)))
        if not isinstance(actions, Mapping):
            raise ValueError(f"actions of type {type(actions).__name__}; a mapping of agents to arrays is needed")
        for name in actions:
            if name not in self._row:
                raise ValueError(f"action for unknown agent '{name}'{near(name, self.agents)}")
            if name not in self.agents:
                raise ValueError(f"action for '{name}', which is bankrupt; act for: {', '.join(self.agents)}")
        for name in self.agents:
            if name not in actions:
                raise ValueError(f"no action for agent '{name}'; every living agent must act")
            given = self.checked(name, actions[name])
            if not (name == PLATFORM and self.has_platform):
                array[self._row[name]] = given
        return array

    def checked(self, name: str, action: Any) -> np.ndarray:
        """The action of an agent as an array of numbers (elements,). Raises ValueError where it is unusable."""
        try:
            given = np.asarray(action, dtype=np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"action of '{name}': got {action!r}; an array of numbers is needed") from None
        elements = ["fee"] if name == PLATFORM and self.has_platform else self.action_names
        if given.shape != (len(elements),):
            raise ValueError(
                f"action of '{name}' has shape {given.shape}; allowed: ({len(elements)},) for {', '.join(elements)}"
            )
        if np.isnan(given).any():
            element = int(np.flatnonzero(np.isnan(given))[0])
            raise ValueError(
                f"action of '{name}': element {element} ('{elements[element]}') is NaN; a number in [-1, 1] is needed"
            )
        return given

    def _seen(self, values: np.ndarray, agents: list[str]) -> dict[str, np.ndarray]:
        seen = {name: values[self._row[name]] for name in agents if not (name == PLATFORM and self.has_platform)}
        if self.has_platform and PLATFORM in agents:
            seen[PLATFORM] = self.batch.platform_observation()[0]
        return seen

    def _infos(self, infos: dict[str, Any], agents: list[str]) -> dict[str, dict[str, Any]]:
        """The network's metrics for every agent, and its own profit: plain numbers, fresh mappings."""
        shared = {name: float(infos[name][0]) for name in INFO}
        books = self.batch.books
        profits = {} if books is None else dict(zip(self.batch.network.names, books.profit[:, 0].tolist(), strict=True))
        if self.has_platform:
            profits[PLATFORM] = shared["platform_revenue"]
        return {name: shared | {"profit": profits.get(name, 0.0)} for name in agents}

    def state(self) -> np.ndarray:
        """The true state for centralised critics: finite float32 in `state_space`."""
        return self.batch.global_state()[0]

    def describe(self) -> str:
        """What an agent sees and does, as text."""
        return self.batch.describe()

    def render(self) -> Any:
        """`ansi`: a table as text; `rgb_array`: a picture (height, width, 3) uint8; `human`: shows it."""
        return render(self.batch, self.render_mode)

    def close(self) -> None:
        close(self)


def check_render_mode(mode: str | None) -> None:
    """Raises `DescriptionError` for a mode that there is not."""
    if mode is not None and mode not in RENDER_MODES:
        raise DescriptionError(
            f"render_mode: got {mode!r}{near(str(mode), RENDER_MODES)}; allowed: {', '.join(RENDER_MODES)}"
        )


class KaizenAECEnv(parallel_to_aec_wrapper):
    """The conversion of PettingZoo; it refuses an action when it is given, not when the last agent has acted."""

    def step(self, action: Any) -> None:
        """One agent's action. Raises ValueError, and changes nothing, for one that is unusable."""
        agent = self.agent_selection
        if not (self.terminations[agent] or self.truncations[agent]):
            assert isinstance(self.env, KaizenParallelEnv)
            self.env.checked(agent, action)
        elif action is not None:
            raise ValueError(f"action for '{agent}', which has ended; step(None) takes its leave")
        super().step(action)


def _like(space: gymnasium.spaces.Box) -> gymnasium.spaces.Box:
    """A space of its own for every agent, so that their samples are their own."""
    return gymnasium.spaces.Box(space.low, space.high, space.shape, np.float32)


def parallel_env(
    scenario: str | Mapping[str, Any] | Scenario = "cola",
    regime: str | Mapping[str, Any] | Regime = "isolated",
    **overrides: Any,
) -> KaizenParallelEnv:
    """The PettingZoo ParallelEnv; keywords as of `BatchEnv`, and `render_mode`."""
    return KaizenParallelEnv(scenario, regime, **overrides)


def env(
    scenario: str | Mapping[str, Any] | Scenario = "cola",
    regime: str | Mapping[str, Any] | Regime = "isolated",
    **overrides: Any,
) -> AECEnv:
    """The same as an AEC environment, in which agents act in turn and the period runs when all have."""
    return OrderEnforcingWrapper(KaizenAECEnv(KaizenParallelEnv(scenario, regime, **overrides)))
