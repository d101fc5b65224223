"""Many worlds of one network at once, arrays in and out; every other environment is a view of this one."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np

from ..actions import Actions
from ..arrays import gather
from ..build import build
from ..description import Scenario
from ..dynamics import Books, Decisions, Flows, State, end_customer_value, held, initial_state, step
from ..errors import DescriptionError, near
from ..luck import Luck, draw, stream
from ..metrics import waste_remaining
from ..objectives import Objective
from ..observer import Observer
from ..regimes import Regime, load_regime
from ..scenarios import load_scenario
from ..twins import BOUND, Seen, Twin

INFO = (
    "end_customer_value",
    "network_profit",
    "customer_surplus",
    "platform_revenue",
    "served",
    "waste",
    "open_twins",
    "alive",
    "clipped_actions",
)
"""Lean metrics of the last period, one number per world, at reset and at every step."""

PLATFORM_FEATURES = {
    "open_twins": "share of the companies",
    "culture": "mean over companies",
    "could_open": "share of the companies whose culture lets them open a twin",
    "waste": "mean level of what there was at the start; 1 = as then",
    "alive": "share of the companies",
    "fee": "of the last period, share of the highest",
    "revenue": "of the last period, share of the most there could be",
    "time": "share of the episode that is over",
}
"""What the platform sees, by name, with unit."""


class BatchEnv:
    """`worlds` copies of a network under a regime, which run in step.

    Observations are (worlds, companies, features) float32, actions (worlds, companies, elements) in [−1, 1]; rewards,
    `terminated` and `truncated` are (worlds, companies). The horizon truncates, only bankruptcy terminates, and what
    is bankrupt earns no more rewards (a planner goes on to pay what it costs). With `auto_reset` a world that has
    ended begins anew in the same step; what it showed last is then in `infos["final_observation"]`. World b is a
    `parallel_env` that was reset with `seeds[b]`.

    Further keywords change axes of the regime (`alignment=0.5`, `twin_lag=2`) or fields of the scenario
    (`periods=52`). Raises `DescriptionError` for what does not exist or does not fit together.
    """

    def __init__(
        self,
        scenario: str | Mapping[str, Any] | Scenario,
        regime: str | Mapping[str, Any] | Regime = "isolated",
        worlds: int = 1,
        *,
        auto_reset: bool = True,
        **overrides: Any,
    ) -> None:
        if isinstance(worlds, bool) or not isinstance(worlds, (int, np.integer)) or worlds < 1:
            raise DescriptionError(f"worlds: got {worlds!r}; allowed: a whole number from 1 on")
        axes = {k: v for k, v in overrides.items() if k in Regime.model_fields}
        changes = {k: v for k, v in overrides.items() if k in Scenario.model_fields}
        known = {*Regime.model_fields, *Scenario.model_fields}
        for name in overrides:
            if name not in known:
                raise DescriptionError(
                    f"unknown keyword '{name}'{near(name, known)}; allowed: axes of the regime"
                    f" ({', '.join(Regime.model_fields)}) and fields of the scenario"
                )
        described = load_scenario(scenario)
        self.scenario = load_scenario({"scenario": described, **changes}) if changes else described
        self.regime = load_regime(regime, **axes)
        self.network = build(self.scenario)
        self.worlds, self.auto_reset = int(worlds), auto_reset
        self.twin, self.objective = Twin(self.network, self.regime), Objective(self.network, self.regime)
        self.actions = Actions(self.network, self.regime)
        self.companies, self.horizon = self.network.companies, self.scenario.periods
        self.feature_names, self.feature_units = self.twin.names, self.twin.units
        self.action_names = self.actions.names
        shape = (len(self.feature_names),)
        self.single_observation_space = gymnasium.spaces.Box(-BOUND, BOUND, shape, np.float32)
        self.single_action_space = gymnasium.spaces.Box(-1.0, 1.0, (len(self.action_names),), np.float32)
        self.seeds = [0] * self.worlds
        self._next: list[np.random.Generator] = []
        self.luck: Luck | None = None
        self._ended: Seen | None = None  # the last moment of the last episode

    # --- an episode -------------------------------------------------------------------------------------------

    def reset(self, seed: int | None = None, seeds: Sequence[int] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode in every world: observations and infos.

        `seeds` gives every world its own; `seed` gives world b the seed `seed + b`. Without either the worlds go on to
        the next seeds of their own, which follow from the first. Raises ValueError for a seed that is no whole number.
        """
        if seeds is None and seed is not None:
            seeds = [whole(seed) + b for b in range(self.worlds)]
        if seeds is not None:
            if len(seeds) != self.worlds:
                raise ValueError(f"{len(seeds)} seeds for {self.worlds} worlds; give one per world")
            self.seeds = [whole(s) for s in seeds]
            self._next = [stream(s, 0, "episodes") for s in self.seeds]
        elif self._next:
            self.seeds = [int(rng.integers(2**31)) for rng in self._next]
        else:
            first = int(np.random.default_rng().integers(2**31))
            return self.reset(seeds=[first + b for b in range(self.worlds)])
        self._begin()
        return self._observe(), self._infos()

    def _begin(self) -> None:
        tapes = [draw(self.network, s, 1, self.horizon) for s in self.seeds]
        self.luck = Luck(
            *(None if parts[0] is None else np.concatenate(parts, axis=-1) for parts in zip(*tapes, strict=True))
        )
        self.t = 0
        self.state: State = initial_state(self.network, self.luck.demand[0])
        self.flows: Flows | None = None
        self.books: Books | None = None
        self.fee = np.full(self.worlds, self.network.platform_fee)  # money per open twin, of the last period
        self.decided: Decisions | None = None  # in the last period
        self.clipped = np.zeros(self.worlds, dtype=np.int64)
        self.value_so_far = np.zeros(self.worlds)  # end-customer value of this episode, money
        self._observer = Observer(self.twin, self.seeds)

    def step(
        self, actions: np.ndarray, fee: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One period in every world: observations, rewards, terminated, truncated, infos.

        `fee` (worlds,) is what the platform of a regime with one asks for in this period, as an action in [−1, 1], from
        nothing to the highest fee, of those whose twin is open now; without it the fee is the scenario's.

        Raises RuntimeError before a reset, ValueError for actions of another shape or with NaN, naming the company and
        the element; after a refused step the environment is as it was before. Actions outside [−1, 1] are clipped, and
        counted in the infos.
        """
        if self.luck is None:
            raise RuntimeError("step before reset; call reset(seed=…) first")
        if self.t >= self.horizon:
            raise RuntimeError(f"the episode of {self.horizon} periods is over; call reset() first")
        values = self._checked(actions)
        within = np.clip(values, -1.0, 1.0)
        alive = self.state.alive
        network = self.network
        if fee is not None:
            self.fee = self._charged(fee)
            network = dataclasses.replace(network, platform_fee=self.fee)
        decisions = self.actions.decisions(within, self.t)
        self.decided = decisions
        before = self.state
        self.state, self.flows, self.books = step(network, before, decisions, self.luck.period(self.t))
        if self.t < self.regime.warm_up:
            self.state = held(before, self.state)
        self.t += 1
        self.clipped = ((values != within) & (alive.T == 1)[..., None]).sum(axis=(1, 2))
        self.value_so_far = self.value_so_far + end_customer_value(self.network, self.books)
        rewards = self.objective.rewards(self.network, self.books)
        if self.regime.control == "company":  # a planner answers for the bankrupt too
            rewards = rewards * alive.T
        died = ((alive == 1) & (self.state.alive == 0)).T
        # The horizon truncates everyone who acted, also who goes bankrupt just then: RLlib ends an episode only when
        # all agents of a step are terminated, or all are truncated. Bootstrap where truncated and not terminated.
        truncated = (alive == 1).T & (self.t >= self.horizon)
        observations, infos = self._observe(), self._infos()
        if self.t >= self.horizon and self.auto_reset:
            infos["final_observation"] = observations
            self._ended = self._now()
            observations, _ = self.reset()
        return observations, rewards, died, truncated, infos

    def _checked(self, actions: Any) -> np.ndarray:
        try:
            values = np.asarray(actions, dtype=np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"actions of type {type(actions).__name__}; an array of numbers is needed") from None
        shape = (self.worlds, self.companies, len(self.action_names))
        if values.shape != shape:
            raise ValueError(f"actions of shape {values.shape}; allowed: {shape}, worlds × companies × elements")
        if np.isnan(values).any():
            world, company, element = np.argwhere(np.isnan(values))[0]
            raise ValueError(
                f"action of {self.network.names[company]} in world {world}: element {element}"
                f" ('{self.action_names[element]}') is NaN; a number in [-1, 1] is needed"
            )
        return values

    # --- what is seen -----------------------------------------------------------------------------------------

    def _observe(self) -> np.ndarray:
        """Observations of this moment (worlds, companies, features); call once per period."""
        return self._observer.look(self._now())

    def _now(self) -> Seen:
        return Seen(self.state, self.flows, self.books, self.t, self.fee)

    def _infos(self) -> dict[str, Any]:
        """`INFO` of the last period, (worlds,) each; zeros at reset, but for what the state itself tells."""
        state, zeros = self.state, np.zeros(self.worlds)
        infos: dict[str, Any] = dict.fromkeys(INFO, zeros)
        infos["waste"] = waste_remaining(self.network, state)
        infos["open_twins"] = state.open_twin.mean(axis=0)
        infos["alive"] = state.alive.mean(axis=0)
        if self.books is not None and self.flows is not None:
            infos["end_customer_value"] = end_customer_value(self.network, self.books)
            infos["network_profit"] = self.books.profit.sum(axis=0)
            infos["customer_surplus"] = self.books.customers[0]
            infos["platform_revenue"] = self.books.fee.sum(axis=0)
            infos["served"] = self._served(self.flows)
            infos["clipped_actions"] = self.clipped.astype(np.float64)
        return infos

    def _served(self, flows: Flows) -> np.ndarray:
        """Share of the end customers who wanted something in the last period and got it (worlds,); 1 if nobody did."""
        market = self.network.sale.market
        still = gather(self.state.backlog - flows.arrivals + flows.lost, market).sum(axis=0)
        served = gather(flows.shipped, market).sum(axis=0)
        wanted = served + still
        return np.where(wanted > 0, served / np.where(wanted > 0, wanted, 1.0), 1.0)

    def global_state(self, *, ended: bool = False) -> np.ndarray:
        """The true state for centralised critics, normalised and finite: (worlds, elements) float32.

        Own features of every company, exact and in time, whatever the regime's twins show. With `ended`, the state in
        which the last episode ended, where `auto_reset` has begun another one.
        """
        if self.luck is None:
            raise RuntimeError("there is no state before reset; call reset(seed=…) first")
        if ended and self._ended is None:
            raise RuntimeError("no episode has ended yet; ended=True is for after the horizon, with auto_reset")
        now = self._now()
        own = self.twin.own_values(self._ended if ended and self._ended is not None else now)
        flat = np.transpose(own, (2, 1, 0)).reshape(self.worlds, -1)
        return np.clip(flat, -BOUND, BOUND).astype(np.float32)

    # --- the platform -----------------------------------------------------------------------------------------

    def _charged(self, fee: Any) -> np.ndarray:
        """Money per open twin and period (worlds,) of an action of the platform."""
        if self.regime.platform is None:
            raise ValueError(
                "there is no platform to set a fee; give its highest one, e.g. platform=50, or leave fee out"
            )
        try:
            values = np.asarray(fee, dtype=np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"fee of type {type(fee).__name__}; an array of numbers is needed") from None
        if values.shape != (self.worlds,):
            raise ValueError(f"fee of shape {values.shape}; allowed: ({self.worlds},), a number in [-1, 1] per world")
        if np.isnan(values).any():
            raise ValueError(
                f"fee in world {int(np.flatnonzero(np.isnan(values))[0])} is NaN; a number in [-1, 1] is needed"
            )
        return 0.5 * (np.clip(values, -1.0, 1.0) + 1.0) * self.highest_fee

    @property
    def platform_space(self) -> gymnasium.spaces.Box:
        """What the platform sees: `PLATFORM_FEATURES`."""
        return gymnasium.spaces.Box(-BOUND, BOUND, (len(PLATFORM_FEATURES),), np.float32)

    def platform_observation(self, *, ended: bool = False) -> np.ndarray:
        """What whoever runs the twins knows of them: (worlds, features) float32, named by `PLATFORM_FEATURES`.

        With `ended` that of the moment in which the last episode ended.
        """
        now = self._ended if ended and self._ended is not None else self._now()
        assert now.fee is not None
        ones = np.ones(self.worlds)
        features = (
            now.state.open_twin.mean(axis=0),
            now.state.culture.mean(axis=0),
            (now.state.culture >= self.network.openness_threshold).mean(axis=0),
            waste_remaining(self.network, now.state),
            now.state.alive.mean(axis=0),
            now.fee / self.highest_fee,
            self.platform_reward(ones * 0.0 if now.books is None else now.books.fee.sum(axis=0)),
            ones * (now.period / self.horizon),
        )
        return np.stack(features, axis=1).astype(np.float32)

    @property
    def highest_fee(self) -> float:
        """Money per open twin and period. Raises ValueError where there is no platform."""
        if self.regime.platform is None:
            raise ValueError("there is no platform; give its highest fee per open twin and day, e.g. platform=50")
        return self.regime.platform * self.scenario.period_days

    def platform_reward(self, revenue: np.ndarray) -> np.ndarray:
        """Revenue of a period (worlds,) as a share of the most there could be, all twins at the highest fee."""
        return revenue / (self.companies * self.highest_fee)

    @property
    def global_state_space(self) -> gymnasium.spaces.Box:
        return gymnasium.spaces.Box(-BOUND, BOUND, (self.companies * len(self.twin.own),), np.float32)

    def describe(self) -> str:
        """Tables of what a company sees and does, with units and normalisation, as text."""
        from .describe import text

        return text(self)

    def copy(self) -> BatchEnv:
        """An independent copy in mid-episode, with its luck and its random state."""
        return copy.deepcopy(self)


def whole(seed: Any) -> int:
    """A seed as int. Raises ValueError for what is no whole number."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise ValueError(f"seed {seed!r} is not a whole number; give one, e.g. seed=1")
    return int(seed)
