"""A platform that learns its fee: PPO of Stable-Baselines3 against companies that answer period by period.

Companies follow the policy of the experiment, and each opens or closes its twin as it gains by it at the fee that was
asked last, the others being as they are: by the table of every set (`openings`), which is what each knows of the rest
of the game. They do not foresee the next fee. A platform may so begin low and rise when all have opened, and, where a
fee holds for but one period, lure companies with a low one and charge them a high one before they have closed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kaizen_env import BatchEnv, Scenario

from ..files import replace
from ..opening import gains_of
from ..policy import Policy, Setting
from ..rollout import Guard
from .config import EVALUATION, Experiment
from .folder import file_name
from .openings import PlatformLearner, Table, payoffs
from .statistics import Resampled, mean

CONSTANT = 25  # constant fees that a learner is compared with, from nothing to the highest

Progress = Callable[[str, int, int], None]  # what, done, of all


class Answering:
    """All companies in an environment with a platform: a function of observations to actions, episode after episode."""

    def __init__(self, env: BatchEnv, make: Callable[[], Policy], gain: np.ndarray, times: np.ndarray) -> None:
        """`gain` and `times` (sets, companies): payoff without a fee, and open time as the payoff feels it."""
        self.env, self.make, self.gain, self.times = env, make, gains_of(gain), gains_of(times)
        self.openness = env.action_names.index("openness")

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        env = self.env
        if env.t == 0:
            self.guard = Guard(self.make(), Setting.of(env, 0))
        actions = np.array(self.guard.act(observations, env.t))
        now = env.state.open_twin.T > 0
        gain = self.gain(now) - env.fee[:, None] * self.times(now)
        actions[..., self.openness] = np.where(gain == 0, 2.0 * now - 1.0, np.sign(gain))
        return actions


def learnt(
    experiment: Experiment, learner: PlatformLearner, scenario: Scenario, of: Table, folder: Path, progress: Progress
) -> dict[str, Any]:
    """What every training seed's platform earns per period, and what the best constant fee does in the same luck.

    Kept in `learners/LABEL.json`; trainings that are there are not done again.
    """
    (regime,), (choice,) = experiment.regimes.values(), experiment.policies.values()
    (window,) = experiment.windows.values()
    regime = window.waiting(regime).model_copy(update={"platform": learner.highest})
    scenario = window.simulated(scenario)
    luck = experiment.evaluation.seeds()
    weights = np.full(of.value.shape[1], 1.0 / of.value.shape[1])
    gain = payoffs(of, learner.alignment, 0.0, learner.exposure * scenario.period_days, weights)
    times = (1.0 - learner.alignment) * of.open @ weights

    def world(worlds: int, auto_reset: bool) -> tuple[BatchEnv, Answering]:
        env = BatchEnv(scenario, regime, worlds, auto_reset=auto_reset)
        return env, Answering(env, lambda: choice.make(env), gain, times)

    env, others = world(len(luck), False)

    def earned(fee: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of what counts: revenue (worlds,) and, period by period, the mean fee per day and the share of open twins."""
        seen, _ = env.reset(seeds=luck)
        revenue, fees, shares = np.zeros(env.worlds), [], []
        asked = np.zeros(env.worlds)
        for t in range(env.horizon):
            if t % learner.hold == 0:
                asked = fee(env.platform_observation())
            seen, _, _, _, infos = env.step(others(seen), asked)
            if window.counts(t):
                revenue += infos["platform_revenue"] / window.periods
                fees.append(float(env.fee.mean()) / scenario.period_days)
                shares.append(float(infos["open_twins"].mean()))
        return revenue, np.array(fees), np.array(shares)

    grid = np.linspace(-1.0, 1.0, CONSTANT)
    constant = [earned(lambda seen, f=f: np.full(len(seen), f))[0] for f in grid]
    best = int(np.argmax([revenue.mean() for revenue in constant]))
    runs = []
    for seed in experiment.seeds:
        file = folder / "learners" / f"{file_name(f'{learner.label}, seed {seed}')}.json"
        kept = _kept(file)
        if kept is None:
            fee = _trained(world(learner.worlds, True), learner, seed, progress)
            revenue, fees, shares = earned(fee)
            kept = {"revenue": revenue.tolist(), "fees": fees.tolist(), "open": shares.tolist()}
            file.parent.mkdir(exist_ok=True)
            replace(file, json.dumps(kept).encode())
        runs.append(kept)
    values = Resampled({"learnt": np.array([run["revenue"] for run in runs]), "best": constant[best][None]}, mean)
    return {
        **learner.model_dump(),
        "label": learner.label,
        "seeds": list(experiment.seeds),
        "revenue": values.interval("learnt")._asdict(),
        "constant_fee": float(0.5 * (grid[best] + 1.0) * learner.highest),
        "constant_revenue": values.interval("best")._asdict(),
        "less": values.interval({"learnt": 1.0, "best": -1.0})._asdict(),
        "fees": _quarters([run["fees"] for run in runs]),
        "open": _quarters([run["open"] for run in runs]),
    }


def _kept(file: Path) -> dict[str, list[float]] | None:
    """What an earlier start has learnt; None where there is nothing, or nothing whole."""
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        return kept if set(kept) == {"revenue", "fees", "open"} else None
    except (OSError, ValueError, TypeError):
        return None


def _quarters(courses: Sequence[Sequence[float]]) -> list[float]:
    """Means over seeds and each quarter of what counts."""
    return [float(part.mean()) for part in np.array_split(np.mean(courses, axis=0), 4)]


def _trained(
    world: tuple[BatchEnv, Answering], learner: PlatformLearner, seed: int, progress: Progress
) -> Callable[[np.ndarray], np.ndarray]:
    """The fee that a platform learns to ask for, as a function of what it sees: an action per world."""
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback

    from kaizen_env.envs.sb3 import PlatformVecEnv

    env, others = world
    each = -(-env.horizon // learner.hold)  # fees of an episode
    steps = each * env.worlds

    class Told(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def _on_rollout_end(self) -> None:
            progress(f"seed {seed}", self.num_timesteps // steps, learner.updates)

    torch.set_num_threads(1)
    venv = PlatformVecEnv(env, others, learner.hold)
    venv.seed(seed)  # luck of training has small seeds; that of evaluation begins at EVALUATION
    assert seed < EVALUATION
    model = PPO(
        "MlpPolicy",
        venv,
        seed=seed,
        n_steps=each,
        batch_size=max(2, steps // 4),
        n_epochs=10,
        gamma=0.99,
        learning_rate=1e-3,
        device="cpu",
    )
    model.learn(learner.updates * steps, callback=Told())
    return lambda seen: model.predict(seen, deterministic=True)[0][:, 0]
