"""`pathwise`: small networks trained by gradients through the simulation, not by trial and error.

The period is differentiable, so the gradient of a whole episode's reward with respect to the weights is computed
exactly, on many worlds at once (hindsight differentiable policy optimisation: Alvo, Russo & Kanoria 2023). Each company
has its own network (or all share one), which sees what the regime's twin shows and nothing else.

A company follows the gradient of *its* reward with respect to *its* weights: with N companies the N gradients come
from one batched vector–Jacobian product, and only the blocks (reward i, weights i) are used. The responses of others in
later periods are part of a gradient, their learning is not. Where all are paid the same it is one plain gradient.

Orders are order-up-to by construction: a level from the network, over the position that the twin shows. Efforts are a
softmax over the wastes and rest, so that they are shares of one team. Opening a twin has no gradient (it is a step),
and is set by the option `open_twin`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kaizen_env import BatchEnv, Network, draw
from kaizen_env.actions import Actions
from kaizen_env.dynamics import initial_state, step
from kaizen_env.luck import Luck, stream
from kaizen_env.objectives import Objective
from kaizen_env.observer import Observer
from kaizen_env.twins import Seen, Twin

from .policy import PolicyError, Setting
from .training import Learner, Log, Task, TrainingError

LEAST_SPREAD = 0.1  # of a feature, below which it is not stretched
LARGEST_INPUT = 10.0  # standard deviations
TYPE = torch.float64


class Pathwise(Learner):
    """Networks per company (or one shared), trained on whole episodes of many worlds.

    `hidden`: units of the hidden layers. `shared`: one network for all companies, which is told whose it is.
    `iterations` steps of Adam on `worlds` fresh worlds of `periods` periods (the scenario's own by default; the first
    `warm_up` of them earn nothing). What a network says is a constant plus its answer to what is seen: constants are
    learnt at `constant_rate`, answers at `learning_rate`; both fall as a cosine to nothing. Gradients of a company
    longer than `clip` are shortened.

    `jitter`: levels are shifted in every world by a normal number with this standard deviation (periods of mean
    throughput), which falls as the square of the rates. Without luck, value is a jagged function of levels whose slope
    at a point says little; this smooths it (Duchi, Bartlett & Wainwright 2012). Luck smooths too, and shifts on top of
    it can lead into another valley: so by default it is 0.5 where all worlds are alike, and else 0.

    Where answers feed back on themselves so strongly that gradients explode, training goes back to where they did
    not, and on at half the learning rate. `open_twin`: whether twins are open.
    """

    def __init__(
        self,
        hidden: Sequence[int] = (32,),
        shared: bool = False,
        iterations: int = 200,
        worlds: int = 64,
        periods: int | None = None,
        warm_up: int = 0,
        learning_rate: float = 0.002,
        constant_rate: float = 0.1,
        clip: float = 1.0,
        jitter: float | None = None,
        open_twin: bool = True,
        checkpoint_every: int = 20,
    ) -> None:
        for name, least in (("iterations", 1), ("worlds", 1), ("warm_up", 0), ("checkpoint_every", 1)):
            got = locals()[name]
            if isinstance(got, bool) or not isinstance(got, int) or got < least:
                raise PolicyError(f"pathwise: {name}: got {got!r}; allowed: a whole number from {least} on")
        if jitter is not None and not 0 <= jitter < math.inf:
            raise PolicyError(f"pathwise: jitter: got {jitter!r}; allowed: a number from 0 on, or null")
        for name in ("learning_rate", "constant_rate", "clip"):
            if not 0 < locals()[name] < math.inf:
                raise PolicyError(f"pathwise: {name}: got {locals()[name]!r}; allowed: a number above 0")
        if any(isinstance(h, bool) or not isinstance(h, int) or h < 1 for h in hidden):
            raise PolicyError(f"pathwise: hidden: got {list(hidden)!r}; allowed: whole numbers from 1 on, e.g. [32]")
        if periods is not None and periods <= warm_up:
            raise PolicyError(f"pathwise: periods: got {periods}; more than the {warm_up} of warm_up are needed")
        self.hidden, self.shared = tuple(hidden), shared
        self.iterations, self.worlds, self.periods, self.warm_up = iterations, worlds, periods, warm_up
        self.learning_rate, self.constant_rate, self.clip = learning_rate, constant_rate, clip
        self.jitter, self.open_twin, self.checkpoint_every = jitter, open_twin, checkpoint_every
        self.weights: dict[str, Tensor] = {}

    # --- acting -----------------------------------------------------------------------------------------------

    def reset(self, setting: Setting) -> None:
        super().reset(setting)
        if not self.weights:
            raise PolicyError("pathwise has not been trained; train it (scripts/train.py), or load a trained one")
        self._head = Head(self, setting)

    def act(self, observations: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            seen = torch.as_tensor(observations, dtype=TYPE)
            return self._head(self.weights, seen).numpy()

    def arrays(self) -> dict[str, np.ndarray]:
        return {name: values.detach().numpy() for name, values in self.weights.items()}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.weights = {name: torch.as_tensor(values, dtype=TYPE) for name, values in arrays.items()}

    # --- training ---------------------------------------------------------------------------------------------

    def train(self, task: Task, seed: int, log: Log) -> None:
        env = task.env()
        setting = Setting.of(env, seed)
        periods = self.periods or env.horizon
        if periods <= self.warm_up:
            raise PolicyError(f"pathwise: warm_up {self.warm_up} leaves none of the {periods} periods; shorten it")
        game = Game(env, periods, self.warm_up)
        head = Head(self, setting)
        jitter = self.jitter if self.jitter is not None else JITTER * game.all_alike
        done, kept = log.start(self, task, seed)
        generator = torch.Generator().manual_seed(_seed_of(seed, "weights"))
        if done:
            self.restore({name.removeprefix("weight/"): v for name, v in kept.items() if name.startswith("weight/")})
        else:
            self.weights = head.fresh(env, game, generator)
        learnt = {name: values.requires_grad_() for name, values in self.weights.items() if name not in FIXED}
        groups = [{"params": [value], "lr": 0.0, "name": name} for name, value in learnt.items()]
        optimiser = torch.optim.Adam(groups, betas=MEMORY)
        safe = Safe.of(learnt)
        if done:
            _restore_moments(optimiser, learnt, kept)
            safe = Safe.restored(learnt, kept)
        alike = self.shared and not game.common
        for k in range(done, self.iterations):
            falling = 0.5 * (1.0 + math.cos(math.pi * k / self.iterations))
            for group in optimiser.param_groups:
                constant = group["name"] == "constant"
                group["lr"] = falling * (self.constant_rate if constant else self.learning_rate * safe.rate)
            # Where each company is paid for its own, a shared network is one network per company that are all alike.
            used = {name: v.expand(head.companies, *v.shape[1:]) if alike else v for name, v in self.weights.items()}
            rewards = game.play(head, used, _seed_of(seed, f"iteration {k}"), self.worlds, jitter * falling**2)
            gradients = game.gradients(rewards, [used[name] for name in learnt])
            gradients = [g.sum(0, keepdim=True) if alike else g for g in gradients]
            length = self._apply(learnt, gradients)
            earned = float(rewards.detach().sum())
            if safe.exploded(length, earned):
                if safe.returns == MOST_RETURNS:
                    raise TrainingError(
                        f"pathwise diverged in iteration {k} for the {MOST_RETURNS + 1}th time: reward {earned:.3g},"
                        f" gradient {length:.3g}; lower learning_rate ({self.learning_rate:g}), constant_rate"
                        f" ({self.constant_rate:g}) or clip ({self.clip:g}), or shorten periods"
                    )
                safe.go_back(learnt)
                optimiser.state.clear()
            else:
                optimiser.step()
                safe.keep(k, length, learnt)
            log.record(k + 1, self.iterations, reward=earned, gradient=length, returns=safe.returns)
            if (k + 1) % self.checkpoint_every == 0 or k + 1 == self.iterations:
                log.checkpoint(k + 1, self._checkpoint(optimiser, learnt) | safe.arrays())
        self.weights = {name: values.detach() for name, values in self.weights.items()}

    def _apply(self, learnt: Mapping[str, Tensor], gradients: Sequence[Tensor]) -> float:
        """Put the gradients (of reward, so with their sign turned) in place, each company's shortened to `clip`.

        Returns the greatest length before.
        """
        square = sum(g.flatten(1).square().sum(1) for g in gradients)
        assert isinstance(square, Tensor)
        length = square.sqrt()
        scale = torch.clamp(self.clip / torch.clamp(length, min=1e-12), max=1.0)
        for weight, gradient in zip(learnt.values(), gradients, strict=True):
            weight.grad = -gradient * scale.reshape(-1, *[1] * (gradient.ndim - 1))
        return float(length.max())

    def _checkpoint(self, optimiser: torch.optim.Adam, learnt: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
        arrays = {f"weight/{name}": values for name, values in self.arrays().items()}
        for name, weight in learnt.items():
            for moment, value in optimiser.state[weight].items():
                arrays[f"adam/{name}/{moment}"] = value.detach().numpy()
        return arrays


class Safe:
    """Where to go back to when gradients explode, and at which share of the learning rate to go on."""

    def __init__(self, weights: dict[str, Tensor], rate: float, returns: int, usual: float) -> None:
        self.weights, self.rate, self.returns, self.usual = weights, rate, returns, usual

    @staticmethod
    def of(learnt: Mapping[str, Tensor]) -> Safe:
        return Safe({name: value.detach().clone() for name, value in learnt.items()}, 1.0, 0, math.inf)

    @staticmethod
    def restored(learnt: Mapping[str, Tensor], kept: Mapping[str, np.ndarray]) -> Safe:
        rate, returns, usual = kept["safe"]
        weights = {name: torch.as_tensor(kept[f"safe/{name}"]) for name in learnt}
        return Safe(weights, float(rate), int(returns), float(usual))

    def arrays(self) -> dict[str, np.ndarray]:
        weights = {f"safe/{name}": value.numpy() for name, value in self.weights.items()}
        return weights | {"safe": np.array([self.rate, self.returns, self.usual])}

    def exploded(self, length: float, earned: float) -> bool:
        """Whether a gradient is out of all proportion to what was usual, or no number at all."""
        return not (math.isfinite(length) and math.isfinite(earned)) or length > EXPLOSION * self.usual

    def go_back(self, learnt: Mapping[str, Tensor]) -> None:
        self.rate, self.returns = 0.5 * self.rate, self.returns + 1
        with torch.no_grad():
            for name, value in learnt.items():
                value.copy_(self.weights[name])

    def keep(self, k: int, length: float, learnt: Mapping[str, Tensor]) -> None:
        self.usual = length if math.isinf(self.usual) else max(0.9 * self.usual + 0.1 * length, 1e-6)
        if k % KEEP_EVERY == 0:
            self.weights = {name: value.detach().clone() for name, value in learnt.items()}


FIXED = ("mean", "spread")  # of observations: set before the first iteration
MEMORY = (0.9, 0.95)  # Adam's: lengths fall by orders of magnitude on the way, so it must forget in tens of iterations
JITTER = 0.5  # periods of mean throughput
EXPLOSION = 100.0  # times the usual length of a gradient
MOST_RETURNS = 10
KEEP_EVERY = 10  # iterations between two places to go back to


class Head:
    """From what a company sees to its actions: normalise, network, and order-up-to and effort by construction."""

    def __init__(self, policy: Pathwise, setting: Setting) -> None:
        self.policy = policy
        self.companies, features = len(setting.companies), len(setting.feature_names)
        self.quantity = setting.replenishment == "quantity"
        position = "echelon_position" if "echelon_position" in setting.feature_names else "inventory_position"
        self.position = setting.column(position)
        self.efforts = len(setting.action_names) - 1 - ("openness" in setting.action_names)
        self.opens = "openness" in setting.action_names
        # A planner sees of everybody what each sees; a shared network is told whose it is.
        planner = setting.regime.control == "planner" and setting.regime.twin != "network"
        self.everybody = planner
        self.inputs = features * (1 + (self.companies if planner else 0)) + (self.companies if policy.shared else 0)
        self.code = torch.eye(self.companies, dtype=TYPE)
        largest = torch.as_tensor(setting.facts.largest_order, dtype=TYPE)
        self.per_share = torch.as_tensor(setting.facts.throughput, dtype=TYPE) / largest  # shares per period of flow

    @property
    def networks(self) -> int:
        return 1 if self.policy.shared else self.companies

    def fresh(self, env: BatchEnv, game: Game, generator: torch.Generator) -> dict[str, Tensor]:
        """Weights before training: levels that keep the stocks of the start, equal efforts, no answers.

        Mean and spread of what is seen come from an episode under these levels.
        """
        outputs = 1 + self.efforts
        sizes = [self.inputs, *self.policy.hidden, outputs]
        weights: dict[str, Tensor] = {}
        for layer, (a, b) in enumerate(itertools.pairwise(sizes)):
            last = layer == len(sizes) - 2
            drawn = torch.randn(self.networks, a, b, generator=generator, dtype=TYPE) / math.sqrt(a)
            weights[f"weight_{layer}"] = 0.0 * drawn if last else drawn
            weights[f"bias_{layer}"] = torch.zeros(self.networks, 1, b, dtype=TYPE)
        seen, _ = env.reset(seed=0)
        start = torch.as_tensor(seen[0, :, self.position], dtype=TYPE) + 1.0
        level = start if self.quantity else 0.5 / self.per_share
        constant = torch.zeros(self.companies, outputs, dtype=TYPE)
        constant[:, 0] = level
        weights["constant"] = constant.mean(0, keepdim=True) if self.policy.shared else constant
        weights["mean"] = torch.zeros(self.networks, 1, self.inputs, dtype=TYPE)
        weights["spread"] = torch.ones(self.networks, 1, self.inputs, dtype=TYPE)
        looked: list[Tensor] = []
        with torch.no_grad():
            game.play(self, weights, 0, min(self.policy.worlds, 32), looked=looked)
            inputs = torch.cat([self._inputs(one) for one in looked], dim=1)  # (companies, periods · worlds, inputs)
            if self.policy.shared:
                inputs = inputs.reshape(1, -1, self.inputs)
            weights["mean"] = inputs.mean(1, keepdim=True)
            weights["spread"] = torch.clamp(inputs.std(1, keepdim=True), min=LEAST_SPREAD)
        return weights

    def __call__(self, weights: Mapping[str, Tensor], observations: Tensor, shift: Tensor | float = 0.0) -> Tensor:
        """Actions (worlds, companies, elements) for observations (worlds, companies, features).

        Levels are shifted by `shift` (worlds, companies) periods of mean throughput.
        """
        hidden = (self._inputs(observations) - weights["mean"]) / weights["spread"]
        hidden = torch.clamp(hidden, -LARGEST_INPUT, LARGEST_INPUT)
        layers = 1 + len(self.policy.hidden)
        for layer in range(layers):
            hidden = hidden @ weights[f"weight_{layer}"] + weights[f"bias_{layer}"]
            hidden = torch.tanh(hidden) if layer < layers - 1 else hidden
        said = weights["constant"] + hidden.permute(1, 0, 2)  # (worlds, companies, outputs)
        level = said[..., 0] + shift  # periods of mean throughput
        amount = level - observations[..., self.position] if self.quantity else level
        parts = [torch.clamp(amount * self.per_share, 0.0, 1.0)[..., None]]
        if self.efforts:
            rest = torch.zeros_like(said[..., :1])
            parts.append(torch.softmax(torch.cat((said[..., 1:], rest), dim=-1), dim=-1)[..., :-1])
        if self.opens:
            parts.append(torch.full_like(parts[0], float(self.policy.open_twin)))
        return 2.0 * torch.cat(parts, dim=-1) - 1.0

    def _inputs(self, observations: Tensor) -> Tensor:
        """What each company's network is given: (companies, worlds, inputs)."""
        worlds, parts = observations.shape[0], [observations]
        if self.everybody:
            flat = observations.reshape(worlds, 1, -1)
            parts.append(flat.expand(worlds, self.companies, flat.shape[-1]))
        if self.policy.shared:
            parts.append(self.code.expand(worlds, self.companies, self.companies))
        return torch.cat(parts, dim=-1).permute(1, 0, 2)


class Game:
    """Whole episodes in PyTorch: what each company earns, and the gradients of it."""

    def __init__(self, env: BatchEnv, periods: int, warm_up: int) -> None:
        self.drawn_from = env.network
        self.network: Network = env.network.to("torch")
        self.twin, self.actions = Twin(self.network, env.regime), Actions(self.network, env.regime)
        self.objective = Objective(self.network, env.regime)
        self.regime, self.periods, self.warm_up = env.regime, periods, warm_up
        # One gradient serves where what each earns is the same, or where one earns it all.
        self.common = env.regime.control == "planner" or (
            env.regime.objective == "network" and env.regime.shared_weight == 1.0
        )

    @property
    def all_alike(self) -> bool:
        """Whether luck makes no difference between worlds."""
        tapes = [tape for tape in draw(self.drawn_from, 0, 2, self.periods) if tape is not None]
        return all(bool((tape[..., 0] == tape[..., 1]).all()) for tape in tapes)

    def play(
        self,
        head: Head,
        weights: Mapping[str, Tensor],
        seed: int,
        worlds: int,
        jitter: float = 0.0,
        looked: list[Tensor] | None = None,
    ) -> Tensor:
        """Mean reward per period of each company (companies,), over `worlds` worlds; what was seen goes to `looked`."""
        drawn = draw(self.drawn_from, seed, worlds, self.periods)
        luck = Luck(*(None if tape is None else torch.as_tensor(tape) for tape in drawn))
        shift = jitter * torch.as_tensor(stream(seed, 0, "jitter").standard_normal((worlds, self.network.companies)))
        observer = Observer(self.twin, [seed + world for world in range(worlds)])
        state, flows, books = initial_state(self.network, luck.demand[0]), None, None
        total: Any = 0.0
        for t in range(self.periods):
            observations = observer.look(Seen(state, flows, books, t))
            if looked is not None:
                looked.append(observations)
            decisions = self.actions.decisions(head(weights, observations, shift), t)
            alive = state.alive
            state, flows, books = step(self.network, state, decisions, luck.period(t))
            if t >= self.warm_up:
                earned = self.objective.rewards(self.network, books)
                total = total + (earned if self.regime.control == "planner" else earned * alive.T)
        return total.mean(0) / (self.periods - self.warm_up)

    def gradients(self, rewards: Tensor, learnt: Sequence[Tensor]) -> list[Tensor]:
        """Of each company's reward with respect to its own weights, each (networks, …)."""
        if self.common or len(rewards) == 1:
            return list(torch.autograd.grad(rewards.mean(), learnt))
        each = torch.eye(len(rewards), dtype=rewards.dtype)
        blocks = torch.autograd.grad(rewards, learnt, grad_outputs=each, is_grads_batched=True)
        return [torch.diagonal(block, dim1=0, dim2=1).movedim(-1, 0) for block in blocks]


def _seed_of(seed: int, what: str) -> int:
    return int(stream(seed, 0, f"pathwise/{what}").integers(2**31))


def _restore_moments(optimiser: torch.optim.Adam, learnt: Mapping[str, Tensor], kept: Mapping[str, np.ndarray]) -> None:
    for name, weight in learnt.items():
        prefix = f"adam/{name}/"
        optimiser.state[weight] = {
            key.removeprefix(prefix): torch.as_tensor(value) for key, value in kept.items() if key.startswith(prefix)
        }
