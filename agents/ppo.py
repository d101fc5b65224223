"""`ppo`: proximal policy optimisation (Schulman et al. 2017) by Stable-Baselines3, the standard learner."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.utils import set_random_seed

from kaizen_env import BatchEnv
from kaizen_env.envs.sb3 import BatchVecEnv, PlannerVecEnv, planner_features

from .policy import PolicyError, Setting
from .ppo_training import LOSSES, Part, collect, normalised
from .training import Learner, Log, Task

SHARING = ("auto", "shared", "company", "planner")


class Ppo(Learner):
    """Gaussian policies, clipped to the range of actions, on normalised observations; the mean at evaluation.

    `sharing`: "shared", one network for all companies, which are told apart by a code of as many elements as there are
    companies (`company_code`; without it they differ by what they see alone); "company", a network for each company,
    all trained at once: all act in the same periods, and each learns from its own rows with its own normalisation;
    "planner", one network for the whole network, for regimes with control: planner. "auto" is "planner" there and
    "shared" elsewhere. What companies share in training is weights; when they act, each sees its own twin alone.
    With `central_critic` the critic, which is needed in training only, sees the true state of the network too: the
    same in every regime, so that what regimes differ in is not how well their critics could be. (In the effort game of
    8 companies a critic that sees the own twin alone takes the efforts of all for its own: efforts came out at up to
    1.24 times the equilibrium. A hundred companies make the state long: there, false.)

    A training has `episodes` legs, each an episode in `worlds` worlds, learnt from every `rollout` periods (as near as
    a whole number of rollouts comes to the horizon, which truncates and is bootstrapped beyond). All chance of a leg
    follows from the seed and its number. At the start the mean action is what keeps stocks: 0 where orders are levels,
    the mean throughput where they are quantities. From leg to leg the standard deviation of actions falls from
    `spread` to `spread_end` by equal factors, and the learning rate to 0 in a straight line.
    """

    def __init__(
        self,
        sharing: str = "auto",
        central_critic: bool = True,
        company_code: bool = True,
        episodes: int = 400,
        worlds: int = 64,
        rollout: int = 50,
        hidden: Sequence[int] = (64, 64),
        learning_rate: float = 1e-3,
        discount: float = 0.99,
        gae_lambda: float = 0.99,
        epochs: int = 4,
        minibatches: int = 4,
        clip_range: float = 0.2,
        entropy: float = 0.0,
        spread: float = 0.2,
        spread_end: float = 0.02,
        deterministic: bool = True,
        threads: int = 1,
    ) -> None:
        _check_options(locals())
        self.sharing, self.central_critic, self.company_code = sharing, central_critic, company_code
        self.episodes, self.worlds, self.rollout, self.hidden = episodes, worlds, rollout, list(hidden)
        self.learning_rate, self.discount, self.gae_lambda = learning_rate, discount, gae_lambda
        self.epochs, self.minibatches, self.clip_range, self.entropy = epochs, minibatches, clip_range, entropy
        self.spread, self.spread_end = spread, spread_end
        self.deterministic, self.threads = deterministic, threads
        self._learnt: dict[str, np.ndarray] = {}

    # --- acting -----------------------------------------------------------------------------------------------

    def reset(self, setting: Setting) -> None:
        """Raises PolicyError for a policy that has not been trained, or was for another shape of network or twin."""
        super().reset(setting)
        if not self._learnt:
            raise PolicyError("policy 'ppo' has not been trained; train it, or load one that was")
        torch.set_num_threads(self.threads)
        names, companies = setting.feature_names, setting.companies
        self._kind = self._kind_for(setting.regime.control)
        self._names = _names(self._kind, companies)
        features = len(names)
        if self._kind == "planner":
            self._own = len(planner_features(names, companies))
            features = len(companies) * self._own
        self._code = np.eye(len(companies), dtype=np.float32) if self._coded(companies) else None
        seen = features + (0 if self._code is None else len(companies))
        acts = len(setting.action_names) * (len(companies) if self._kind == "planner" else 1)
        self._actors = [Actor(self._learnt, name, seen, acts) for name in self._names]
        self._lots = torch.Generator().manual_seed(setting.seed)

    def act(self, observations: np.ndarray) -> np.ndarray:
        worlds, companies = observations.shape[:2]
        lots = None if self.deterministic else self._lots
        if self._kind == "planner":
            flat = observations[:, :, : self._own].reshape(worlds, -1)
            return self._actors[0].act(flat, lots).reshape(worlds, companies, -1)
        if self._kind == "company":
            return np.stack([actor.act(observations[:, i], lots) for i, actor in enumerate(self._actors)], axis=1)
        rows = observations
        if self._code is not None:
            rows = np.concatenate((observations, np.broadcast_to(self._code, (worlds, *self._code.shape))), axis=-1)
        return self._actors[0].act(rows.reshape(worlds * companies, -1), lots).reshape(worlds, companies, -1)

    def arrays(self) -> dict[str, np.ndarray]:
        """Of each network, weights and the normalisation of what it sees, by `network/what`; critics are with them."""
        return dict(self._learnt)

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        foreign = [key for key in arrays if key.rpartition("/")[2].partition(".")[0] not in ("weights", "seen")]
        if foreign or not arrays:
            raise PolicyError(f"policy 'ppo' was saved with {', '.join(sorted(foreign)) or 'nothing'}; train it anew")
        self._learnt = {name: np.array(values) for name, values in arrays.items()}

    def _kind_for(self, control: str) -> str:
        if self.sharing == "auto":
            return "planner" if control == "planner" else "shared"
        if (self.sharing == "planner") != (control == "planner"):
            raise PolicyError(
                f"ppo: sharing '{self.sharing}' under control: {control}; a planner needs sharing 'planner', and"
                " companies need 'shared' or 'company'; 'auto' chooses"
            )
        return self.sharing

    def _coded(self, companies: Sequence[str]) -> bool:
        return self._kind == "shared" and self.company_code and len(companies) > 1

    # --- training ---------------------------------------------------------------------------------------------

    def train(self, task: Task, seed: int, log: Log) -> None:
        torch.set_num_threads(self.threads)
        batch = task.env(self.worlds, auto_reset=True)
        world, parts = self._begin(batch, seed)
        done, kept = log.start(self, task, seed)
        for part in parts if kept else ():
            part.resume(kept)
        for leg in range(done, self.episodes):
            leg_seed = _seed(seed, leg + 1)
            set_random_seed(leg_seed)
            world.seed(leg_seed)
            observations = world.reset()
            for part in parts:
                part.begin(observations, 1.0 - leg / self.episodes)
            earned = []
            for _ in range(self._rollouts(batch)):
                earned.append(collect(world, parts))
                for part in parts:
                    part.learn()
            arrays = _merged(part.arrays() for part in parts)
            numbers = self._numbers(batch, parts, np.mean(earned, axis=0), leg + 1)
            log.record(leg + 1, self.episodes, **numbers)
            log.checkpoint(leg + 1, arrays | _merged(part.unfinished() for part in parts))
        self._learnt = _merged(part.arrays() for part in parts)

    def _begin(self, batch: BatchEnv, seed: int) -> tuple[BatchVecEnv, list[Part]]:
        """The rows of `batch`, and who learns from which of them."""
        set_random_seed(_seed(seed, 0))
        companies, names = batch.companies, batch.network.names
        self._kind = self._kind_for(batch.regime.control)
        world = (
            PlannerVecEnv(batch, state=self.central_critic)
            if self._kind == "planner"
            else BatchVecEnv(batch, company_code=self._coded(names), state=self.central_critic)
        )
        step = companies if self._kind == "company" else 1
        periods = math.ceil(batch.horizon / self._rollouts(batch))
        parts = []
        for i, name in enumerate(_names(self._kind, names)):
            part = Part(name, world, slice(i, None, step), self, periods)
            part.centre(_keeping(batch, companies if self._kind == "planner" else 1))
            parts.append(part)
        return world, parts

    def _rollouts(self, batch: BatchEnv) -> int:
        """Of a leg."""
        return max(1, round(batch.horizon / self.rollout))

    def _numbers(self, batch: BatchEnv, parts: list[Part], earned: np.ndarray, leg: int) -> dict[str, float]:
        """A row of the log: mean episode reward of each company (or of the planner), and losses, mean over networks."""
        names = ["planner"] if self._kind == "planner" else batch.network.names
        rewards = earned.reshape(batch.worlds, len(names)).mean(axis=0) * batch.horizon
        losses = {loss: float(np.mean([part.numbers.get(loss, math.nan) for part in parts])) for loss in LOSSES}
        steps = leg * self._rollouts(batch) * parts[0].model.n_steps * batch.worlds * len(names)
        return {"agent_steps": steps, "reward": float(rewards.mean())} | {
            **{f"reward/{name}": float(value) for name, value in zip(names, rewards, strict=True)},
            **losses,
        }


class Actor:
    """A network that acts: what VecNormalize and the actor of an SB3 policy do, to the last bit, from arrays alone."""

    def __init__(self, learnt: Mapping[str, np.ndarray], name: str, seen: int, acts: int) -> None:
        try:
            self.mean, self.variance = (learnt[f"{name}/seen.{what}"][:seen] for what in ("mean", "variance"))
            weights = {k.removeprefix(f"{name}/weights."): torch.from_numpy(v) for k, v in learnt.items()}
            self.layers = []
            while f"mlp_extractor.policy_net.{2 * len(self.layers)}.weight" in weights:
                place = f"mlp_extractor.policy_net.{2 * len(self.layers)}"
                self.layers.append((weights[f"{place}.weight"], weights[f"{place}.bias"]))
            self.last = weights["action_net.weight"], weights["action_net.bias"]
            self.deviation = weights["log_std"].exp()
        except KeyError as error:
            raise PolicyError(f"policy 'ppo' has learnt nothing for '{name}' ({error}); train it for this") from None
        fits = (self.layers[0][0] if self.layers else self.last[0]).shape[1], len(self.last[1])
        if fits != (seen, acts):
            raise PolicyError(
                f"policy 'ppo' was trained to see {fits[0]} elements and do {fits[1]}, and here are {seen} and {acts};"
                " train it for this scenario and regime"
            )

    def act(self, rows: np.ndarray, lots: torch.Generator | None) -> np.ndarray:
        """Actions (rows, elements) float32, with the spread that was learnt where there are `lots`."""
        with torch.no_grad():
            values = torch.from_numpy(normalised(rows, self.mean, self.variance))
            for weight, bias in self.layers:
                values = torch.tanh(torch.nn.functional.linear(values, weight, bias))
            values = torch.nn.functional.linear(values, *self.last)
            if lots is not None:
                values = values + self.deviation * torch.randn(values.shape, generator=lots)
            return values.clamp(-1.0, 1.0).numpy()


def _merged(arrays: Iterable[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: values for some in arrays for name, values in some.items()}


def _names(kind: str, companies: Sequence[str]) -> list[str]:
    """Of the networks that a kind of sharing has."""
    return list(companies) if kind == "company" else [kind]


def _seed(seed: int, number: int) -> int:
    """Of everything in leg `number` from 1 on; 0 is for the weights of the start."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def _keeping(batch: BatchEnv, times: int) -> np.ndarray:
    """The action that keeps stocks, and half of every effort, (elements · times,)."""
    action = np.zeros(len(batch.action_names), dtype=np.float32)
    if batch.scenario.replenishment == "quantity":
        action[0] = 2.0 / batch.scenario.order_max - 1.0  # the mean throughput
    return np.tile(action, times)


def _check_options(options: Mapping[str, Any]) -> None:
    """Raises PolicyError for what cannot be used, with what was got and what is allowed."""
    if options["sharing"] not in SHARING:
        raise PolicyError(f"ppo: sharing: got {options['sharing']!r}; allowed: {', '.join(SHARING)}")
    for name in ("central_critic", "company_code", "deterministic"):
        if not isinstance(options[name], bool):
            raise PolicyError(f"ppo: {name}: got {options[name]!r}; allowed: true or false")
    for name in ("episodes", "worlds", "rollout", "epochs", "minibatches", "threads"):
        if isinstance(options[name], bool) or not isinstance(options[name], int) or options[name] < 1:
            raise PolicyError(f"ppo: {name}: got {options[name]!r}; allowed: a whole number from 1 on")
    hidden = options["hidden"]
    if not isinstance(hidden, Sequence) or not all(isinstance(size, int) and size > 0 for size in hidden):
        raise PolicyError(f"ppo: hidden: got {hidden!r}; allowed: a list of layer sizes, e.g. [64, 64]")
    ranges = {
        "learning_rate": (0.0, math.inf),
        "discount": (0.0, 1.0),
        "gae_lambda": (0.0, 1.0),
        "clip_range": (0.0, 1.0),
        "entropy": (0.0, math.inf),
        "spread": (1e-6, math.inf),
        "spread_end": (1e-6, math.inf),
    }
    for name, (low, high) in ranges.items():
        value = options[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            most = "" if math.isinf(high) else f" to {high:g}"
            raise PolicyError(f"ppo: {name}: got {value!r}; allowed: a number from {low:g}{most}")
