"""What trains `ppo`: Stable-Baselines3's PPO, several of them on the rows of one batch of worlds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.utils import obs_as_tensor
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from kaizen_env.envs.sb3 import BatchVecEnv

from .central_critic import CentralCriticPolicy
from .training import TrainingError

CLIP = 10.0  # normalised observations and rewards lie within ±
FINEST = 0.01  # standard deviation below which what is seen is not blown up any further: see `Normal`
LOSSES = ("policy_gradient_loss", "value_loss", "entropy_loss", "approx_kl", "clip_fraction", "std")


def normalised(rows: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """What networks see, float32: within ± CLIP, with a deviation of about 1, or less where there is hardly any."""
    return np.clip((rows - mean) / np.sqrt(variance + FINEST**2), -CLIP, CLIP).astype(np.float32)


class Normal(VecNormalize):
    """VecNormalize, but for what it adds to the variance of observations: 0.01², where SB3 has 1e-8.

    In the effort game a waste moves by 1e-5. Blown up to 1 its slope in the critic is error by far the most, and GAE
    hands that to the actor: efforts then came out half as large again as they should. Rewards are as in SB3.
    """

    def _normalize_obs(self, obs: np.ndarray, obs_rms: RunningMeanStd) -> np.ndarray:
        return normalised(obs, obs_rms.mean, obs_rms.var)


class Rows(VecEnv):
    """Some rows of a world that somebody else steps: what a model is told is what was `given`."""

    render_mode = None

    def __init__(self, world: BatchVecEnv, rows: slice) -> None:
        self.given: Any = None
        super().__init__(len(range(world.num_envs)[rows]), world.observation_space, world.action_space)

    def reset(self) -> Any:
        return self.given

    def step_wait(self) -> Any:
        return self.given

    def step_async(self, actions: np.ndarray) -> None:
        raise NotImplementedError("`collect` steps the world")

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        setattr(self, attr_name, value)

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        return [getattr(self, method_name)(*method_args, **method_kwargs) for _ in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False for _ in self._get_indices(indices)]

    def close(self) -> None:
        pass


class Part:
    """A network that learns from some rows of the world, with its own normalisation: an SB3 model and VecNormalize.

    `options` are those of `Ppo`; `periods` is the length of a rollout.
    """

    def __init__(self, name: str, world: BatchVecEnv, rows: slice, options: Any, periods: int) -> None:
        self.name, self.rows = name, rows
        self.spreads = math.log(options.spread), math.log(options.spread_end)
        self.env = Rows(world, rows)
        self.normal = Normal(self.env, gamma=options.discount, clip_reward=CLIP)
        policy: Any = "MlpPolicy"
        kept: dict[str, Any] = {}
        if options.central_critic:
            policy, kept = CentralCriticPolicy, {"seen": world.seen, "hidden": options.hidden}
        else:
            kept["net_arch"] = {"pi": options.hidden, "vf": options.hidden}
        size = periods * self.env.num_envs
        self.model = PPO(
            policy,
            self.normal,
            learning_rate=lambda left: options.learning_rate * left,
            n_steps=periods,
            batch_size=size,
            n_epochs=options.epochs,
            gamma=options.discount,
            gae_lambda=options.gae_lambda,
            clip_range=options.clip_range,
            ent_coef=options.entropy,
            policy_kwargs=kept,
            device="cpu",
        )
        self.model.batch_size = math.ceil(size / options.minibatches)  # the last one may be smaller
        self.model.set_logger(Logger(None, []))
        # The spread follows a schedule. Left to learn, it shrinks within some tens of updates, and the mean stays where
        # it happens to be: costs of serial systems then ended twice as far from the optimum.
        self.model.policy.log_std.requires_grad_(False)
        self.numbers: dict[str, float] = {}

    def centre(self, actions: np.ndarray) -> None:
        """Set the mean actions of the start, (elements,)."""
        bias: Any = self.model.policy.action_net.bias
        with torch.no_grad():
            bias.copy_(torch.from_numpy(actions))

    # --- a rollout ------------------------------------------------------------------------------------------------

    def begin(self, observations: np.ndarray, left: float) -> None:
        """Begin a leg with observations of all rows of the world; a share `left` of the training is left."""
        self.env.given = observations[self.rows]
        self.observations: Any = self.normal.reset()
        self.starts = np.ones(self.env.num_envs, dtype=bool)
        self.model._current_progress_remaining = left  # the learning rate follows from it
        self.model.policy.log_std.fill_(left * self.spreads[0] + (1.0 - left) * self.spreads[1])

    def act(self) -> np.ndarray:
        """Actions of this period (rows, elements), within the range of actions."""
        with torch.no_grad():
            seen = obs_as_tensor(self.observations, self.model.device)
            self._chosen = self.model.policy.forward(seen)  # type: ignore[arg-type]
        return np.clip(self._chosen[0].numpy(), -1.0, 1.0)

    def keep(self, observations: np.ndarray, rewards: np.ndarray, dones: np.ndarray, infos: list[Any]) -> None:
        """Keep the period that led to this, in all rows of the world; where the horizon stopped it, bootstrap."""
        self.env.given = observations[self.rows], rewards[self.rows], dones[self.rows], infos[self.rows]
        seen, paid, over, told = self.normal.step_wait()
        ends = [row for row in np.flatnonzero(over) if told[row]["TimeLimit.truncated"]]
        if ends:
            last = np.stack([told[row]["terminal_observation"] for row in ends])
            paid[ends] += self.model.gamma * self._values(last).numpy()[:, 0]
        actions, values, log_probabilities = self._chosen
        buffer = self.model.rollout_buffer
        buffer.add(self.observations, actions.numpy(), paid, self.starts, values, log_probabilities)
        self.observations, self.starts = seen, over

    def finish(self) -> None:
        """Returns and advantages of a whole rollout."""
        self.model.rollout_buffer.compute_returns_and_advantage(self._values(self.observations), self.starts)

    def _values(self, seen: Any) -> torch.Tensor:
        with torch.no_grad():
            return self.model.policy.predict_values(obs_as_tensor(seen, self.model.device))

    # --- an update ------------------------------------------------------------------------------------------------

    def learn(self) -> None:
        """Update the network from the rollout. Raises TrainingError for weights that are not finite, as of NaN."""
        try:
            self.model.train()
        except ValueError as error:  # what torch's distributions say of NaN
            raise self._diverged(str(error).split("(")[0].strip()) from error
        self.numbers = {k.removeprefix("train/"): float(v) for k, v in self.model.logger.name_to_value.items()}
        for name, values in self.model.policy.state_dict().items():
            if not torch.isfinite(values).all():
                raise self._diverged(f"{name} is not finite")

    def _diverged(self, what: str) -> TrainingError:
        return TrainingError(
            f"ppo: the training of '{self.name}' has diverged ({what}); the last checkpoint is whole; train anew with a"
            " smaller learning_rate, e.g. a third of it, or more worlds"
        )

    # --- what is kept -----------------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, np.ndarray]:
        """What has been learnt: weights, and the normalisation of what is seen."""
        weights = self.model.policy.state_dict()
        seen: Any = self.normal.obs_rms
        return {
            **{f"{self.name}/weights.{name}": values.numpy().copy() for name, values in weights.items()},
            f"{self.name}/seen.mean": seen.mean.copy(),
            f"{self.name}/seen.variance": seen.var.copy(),
        }

    def unfinished(self) -> dict[str, np.ndarray]:
        """What is needed besides to go on learning: the state of the optimizer, and of the normalisation."""
        states = self.model.policy.optimizer.state_dict()["state"]
        returns, seen = self.normal.ret_rms, self.normal.obs_rms
        counts = np.array([seen.count, returns.count, returns.mean, returns.var])  # type: ignore[union-attr]
        kept = {f"adam.{i}.{what}": v.numpy().copy() for i, state in states.items() for what, v in state.items()}
        return {f"{self.name}/{name}": value for name, value in {**kept, "counts": counts}.items()}

    def resume(self, kept: Mapping[str, np.ndarray]) -> None:
        """Go on from what `arrays` and `unfinished` gave."""
        start = f"{self.name}/"
        mine = {name.removeprefix(start): value for name, value in kept.items() if name.startswith(start)}
        policy, returns = self.model.policy, self.normal.ret_rms
        seen: Any = self.normal.obs_rms
        policy.load_state_dict({name: torch.from_numpy(mine[f"weights.{name}"]) for name in policy.state_dict()})
        adam = policy.optimizer.state_dict()
        adam["state"] = {
            i: {what: torch.from_numpy(mine[f"adam.{i}.{what}"]) for what in ("step", "exp_avg", "exp_avg_sq")}
            for i, parameter in enumerate(policy.parameters())
            if parameter.requires_grad
        }
        policy.optimizer.load_state_dict(adam)
        seen.mean, seen.var = mine["seen.mean"], mine["seen.variance"]
        seen.count, returns.count, returns.mean, returns.var = mine["counts"]


def collect(world: BatchVecEnv, parts: Sequence[Part]) -> np.ndarray:
    """A rollout of all parts at once, each acting in its rows of every period: mean reward of every row, (rows,).

    For one part it is `collect_rollouts` of SB3, but for values at the horizon, which are taken of all rows at once.
    """
    earned = np.zeros(world.num_envs)
    actions = np.zeros((world.num_envs, *(world.action_space.shape or ())), dtype=np.float32)
    periods = parts[0].model.n_steps
    for part in parts:
        part.model.policy.set_training_mode(False)
        part.model.rollout_buffer.reset()
    for _ in range(periods):
        for part in parts:
            actions[part.rows] = part.act()
        observations, rewards, dones, infos = world.step(actions)
        for part in parts:
            part.keep(np.asarray(observations), rewards, dones, infos)
        earned += rewards
    for part in parts:
        part.finish()
    return earned / periods
