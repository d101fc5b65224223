"""`pathwise`: small networks trained by gradients through the simulation, not by trial and error.

The period is differentiable, so the gradient of a whole episode's reward with respect to the weights is computed
exactly, on many worlds at once (hindsight differentiable policy optimisation: Alvo, Russo & Kanoria 2023). Each company
has its own network (or all share one), which sees what the regime's twin shows and nothing else.

A company follows the gradient of *its* reward with respect to *its* weights. What a reward owes to what each network
said in each period comes from one batched vector–Jacobian product, of which only (reward i, network i) is used; what
was said owes to the weights what one pass over all periods at once gives. The responses of others in later periods are
part of a gradient, their learning is not. Where all are paid the same it is one plain gradient.

Orders are order-up-to by construction: a level from the network, over the position that the twin shows. Efforts are a
softmax over the wastes and rest, so that they are shares of one team. Opening a twin has no gradient (it is a step),
and is set by the option `open_twin`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from kaizen_env import BatchEnv
from kaizen_env.luck import stream

from .pathwise_game import TYPE, Game, Head, Networks
from .policy import PolicyError, Setting
from .training import Learner, Log, Task, TrainingError


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
        self._networks = Networks(self._head, self.weights)

    def act(self, observations: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            seen = self._head.split(torch.as_tensor(observations, dtype=TYPE))
            return self._head.actions(self._networks.say(seen), seen).numpy()

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
        if env.actions.efforts and periods <= env.actions.delay:
            raise PolicyError(
                f"pathwise: periods: got {periods}; in the first {env.actions.delay} of an episode nobody"
                " improves, so that no effort would be learnt; give more, or leave it out"
            )
        game = Game(env, periods, self.warm_up)
        head = Head(self, setting)
        jitter = self.jitter if self.jitter is not None else JITTER * game.all_alike
        one = self.alone(setting)
        done, kept = log.start(self, task, seed)
        generator = torch.Generator().manual_seed(_seed_of(seed, "weights"))
        if done:
            self.restore({name.removeprefix("weight/"): v for name, v in kept.items() if name.startswith("weight/")})
        else:
            self.weights = self.first(head, env, game, generator)
        learnt = {name: values.requires_grad_() for name, values in self.weights.items() if name not in FIXED}
        groups = [{"params": [value], "lr": 0.0, "name": name} for name, value in learnt.items()]
        optimiser = torch.optim.Adam(groups, betas=MEMORY)
        safe = Safe.of(learnt)
        if done:
            _restore_moments(optimiser, learnt, kept)
            safe = Safe.restored(learnt, kept)
        for k in range(done, self.iterations):
            falling = 0.5 * (1.0 + math.cos(math.pi * k / self.iterations))
            for group in optimiser.param_groups:
                constant = group["name"] == "constant"
                group["lr"] = falling * (self.constant_rate if constant else self.learning_rate * safe.rate)
            played = game.play(
                head, self.weights, _seed_of(seed, f"iteration {k}"), self.worlds, jitter * falling**2, learning=True
            )
            length = self._apply(learnt, game.gradients(head, self.weights, learnt, played, one))
            earned = float((played.rewards if one is None else played.rewards[one]).detach().sum())
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

    def first(self, head: Head, env: BatchEnv, game: Game, generator: torch.Generator) -> dict[str, Tensor]:
        """Weights that training begins with."""
        return head.fresh(env, game, generator)

    def alone(self, setting: Setting) -> int | None:
        """The row of the one company that learns; None where all do."""
        return None

    def opened(self, companies: Sequence[str]) -> Tensor:
        """Whose twin is open: (companies,), 1 or 0."""
        return torch.full((len(companies),), float(self.open_twin), dtype=TYPE)

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


FIXED = ("mean", "spread", "common_mean", "common_spread")  # of observations: set before the first iteration
MEMORY = (0.9, 0.95)  # Adam's: lengths fall by orders of magnitude on the way, so it must forget in tens of iterations
JITTER = 0.5  # periods of mean throughput
EXPLOSION = 100.0  # times the usual length of a gradient
MOST_RETURNS = 10
KEEP_EVERY = 10  # iterations between two places to go back to


def _seed_of(seed: int, what: str) -> int:
    return int(stream(seed, 0, f"pathwise/{what}").integers(2**31))


def _restore_moments(optimiser: torch.optim.Adam, learnt: Mapping[str, Tensor], kept: Mapping[str, np.ndarray]) -> None:
    for name, weight in learnt.items():
        prefix = f"adam/{name}/"
        optimiser.state[weight] = {
            key.removeprefix(prefix): torch.as_tensor(value) for key, value in kept.items() if key.startswith(prefix)
        }
