"""The protocol of policies: what a policy is told before an episode, and how it acts.

A policy is reset with what its regime may know, and maps a batch of observations to actions, once per period. Nothing
is registered: `agents.loading` finds a policy by its name or its place.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import gymnasium
import numpy as np

from kaizen_env import BatchEnv, Network, Regime

from .facts import Facts

SHOWS_NETWORK = ("network", "echelon")  # twins whose viewers know the description of the whole network


class PolicyError(RuntimeError):
    """A policy cannot be used, or did what no policy may: the message names it, the place, and the mend."""


@dataclass(frozen=True)
class Setting:
    """What a policy may know before an episode. Rows of observations and actions follow `companies`."""

    scenario: str  # its name
    regime: Regime
    replenishment: str  # what the action `order` means: quantity, order_up_to or echelon_order_up_to
    companies: tuple[str, ...]
    feature_names: tuple[str, ...]  # of one row, in order
    feature_units: tuple[str, ...]
    action_names: tuple[str, ...]
    action_units: tuple[str, ...]
    observation_space: gymnasium.spaces.Box  # of one company
    action_space: gymnasium.spaces.Box  # of one company, [-1, 1]
    horizon: int  # periods of an episode
    worlds: int
    seed: int  # for a policy that draws lots
    facts: Facts  # row i is what company i knows of itself from its own books, and is the business of row i alone
    whole: Network | None = field(repr=False)  # see `network`

    @staticmethod
    def of(env: BatchEnv, seed: int = 0) -> Setting:
        """What the regime of `env` lets a policy know."""
        shows = env.regime.twin in SHOWS_NETWORK or env.regime.control == "planner"
        return Setting(
            scenario=env.scenario.name,
            regime=env.regime,
            replenishment=env.scenario.replenishment,
            companies=tuple(env.network.names),
            feature_names=tuple(env.feature_names),
            feature_units=tuple(env.feature_units),
            action_names=tuple(env.action_names),
            action_units=tuple(env.actions.units),
            observation_space=env.single_observation_space,
            action_space=env.single_action_space,
            horizon=env.horizon,
            worlds=env.worlds,
            seed=seed,
            facts=Facts.of(env.network, env.actions),
            whole=env.network if shows else None,
        )

    @property
    def network(self) -> Network:
        """The description of the whole network (not its state). Raises PolicyError where the regime's twin hides it."""
        if self.whole is None:
            raise PolicyError(
                f"twin: {self.regime.twin} does not show the whole network, which this policy needs; give it a regime"
                f" with twin: {' or '.join(SHOWS_NETWORK)}, e.g. kaizen2"
            )
        return self.whole

    def feature(self, observations: np.ndarray, name: str) -> np.ndarray:
        """The feature `name` of every row, (worlds, companies) float64. Raises PolicyError where no twin shows it."""
        return observations[..., self.column(name)].astype(np.float64)

    def column(self, name: str) -> int:
        """The place of a feature in a row. Raises PolicyError where this regime's twin does not show it."""
        if name not in self.feature_names:
            raise PolicyError(
                f"the feature '{name}' is not in twin: {self.regime.twin} of scenario '{self.scenario}', and this"
                " policy needs it; kaizen_env.BatchEnv(…).describe() lists what each twin shows"
            )
        return self.feature_names.index(name)

    def actions(self, **elements: Any) -> np.ndarray:
        """Actions (worlds, companies, elements) in [−1, 1] from shares 0 … 1 of each element's range, by name.

        A share is a number or an array that broadcasts to (worlds, companies). Elements that are not given are 0
        (nothing), names that the scenario does not use are ignored.
        """
        shares = np.zeros((self.worlds, len(self.companies), len(self.action_names)))
        for name, share in elements.items():
            if name in self.action_names:
                shares[..., self.action_names.index(name)] = share
        return 2.0 * np.clip(shares, 0.0, 1.0) - 1.0

    def order_share(self, order: np.ndarray) -> np.ndarray:
        """Orders (worlds, companies), in the unit of `order`, as shares of its range; beyond it, its end."""
        most = self.facts.largest_order  # 0 where nothing is ever sold
        return np.clip(order / np.where(most > 0, most, 1.0), 0.0, 1.0)


class Policy(ABC):
    """Something that acts. Its constructor takes plain keyword arguments, which are saved with it.

    `reset` is called before every episode and `act` once in every period; a policy that keeps a memory keeps it in
    between, per world, and says so in `memory`. It must pickle.
    """

    memory = "none"  # what it remembers of an episode, in words for the results: "none", or how many periods
    options: dict[str, Any]  # the constructor's keyword arguments, kept by `__new__`
    spec: str | None = None  # how `agents.loading.make_policy` found it

    def __new__(cls, *args: Any, **options: Any) -> Self:
        self = super().__new__(cls)
        signature = inspect.signature(cls.__init__)
        self.options = {}
        bound = signature.bind_partial(self, *args, **options).arguments
        for name, value in list(bound.items())[1:]:  # the first is the policy itself
            gathered = signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD
            self.options |= value if gathered else {name: value}
        return self

    @property
    def name(self) -> str:
        """What it is called in results: the name of its file for the agents here, else of its class."""
        module, kind = type(self).__module__, type(self).__qualname__
        return module.removeprefix("agents.") if module.startswith("agents.") else kind

    def reset(self, setting: Setting) -> None:
        """Begin an episode. Raises PolicyError where it needs more than the regime's twin shows."""
        self.setting = setting

    @abstractmethod
    def act(self, observations: np.ndarray) -> np.ndarray:
        """Actions (worlds, companies, elements) in [−1, 1] for observations (worlds, companies, features) float32."""

    def arrays(self) -> dict[str, np.ndarray]:
        """What it has learnt, by name: weights, normalisation. Nothing by default."""
        return {}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take over what `arrays` gave. Raises PolicyError for what is not its own."""
        if arrays:
            raise PolicyError(f"policy '{self.name}' learns nothing, but was saved with {', '.join(sorted(arrays))}")


class PerAgent(Policy):
    """A function `f(observation, agent)` of one company's observation (features,) to its action (elements,)."""

    def __init__(self, function: Callable[[np.ndarray, str], Any]) -> None:
        self.function = function
        self.options = {}  # the function itself is found again by its place

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)

    def act(self, observations: np.ndarray) -> np.ndarray:
        names = self.setting.companies
        return np.array([[self.function(world[i], name) for i, name in enumerate(names)] for world in observations])
