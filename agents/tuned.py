"""`tuned`: any rule with its parameters tuned by CMA-ES on simulated worlds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kaizen_env import BatchEnv

from .loading import find, make_policy
from .policy import PolicyError, Setting
from .search import Search
from .training import Learner, Log, Task, TrainingError
from .tuning import Parameter, parameters_of, players


class Tuned(Learner):
    """A rule whose numbers are tuned by CMA-ES (Hansen & Ostermeier 2001; the library `cma`).

    `rule` is the name or place of a policy, made with `rule_options` and with what is tuned: `parameters`, a mapping
    from the name of an option to its bounds, or what the rule's class declares as `tunable`; see
    `agents.tuning.Parameter`. A parameter of every company is searched for company by company and given to the rule
    as a list.

    What is maximised is what the regime pays, mean over periods and worlds. Where all are paid for the same (the
    network's objective, or a planner) all parameters are tuned together, for the sum of rewards. Where they are not,
    a joint search would let one company give way for another, which no company does that is paid for its own profit:
    so companies (owners, under the group's objective) take turns, each tuning its own numbers for its own reward
    against the others as they stand, for `rounds` rounds. That ends near an equilibrium where there is one, and an
    isolated regime stays isolated.

    Every candidate meets the same `worlds` worlds, whose luck follows from the seed alone and never changes, so that
    differences between candidates are theirs. Each search lasts `generations` generations of `population` candidates
    (by default cma's 4 + 3 ln n) and begins where the last one ended, with `spread` of the range between the bounds
    as its standard deviation, half of that in each further round. What it ends with is the centre of the last
    generation, or what it began with if that was better.
    """

    def __init__(
        self,
        rule: str,
        rule_options: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
        generations: int = 40,
        rounds: int = 3,
        population: int | None = None,
        worlds: int = 32,
        spread: float = 0.2,
    ) -> None:
        for name, number, least in (("generations", generations, 1), ("rounds", rounds, 1), ("worlds", worlds, 1)):
            if isinstance(number, bool) or not isinstance(number, int) or number < least:
                raise PolicyError(f"{name}: got {number!r}; allowed: a whole number from {least} on")
        if population is not None and (isinstance(population, bool) or not population >= 2):
            raise PolicyError(f"population: got {population!r}; allowed: a whole number from 2 on, or null")
        if not 0 < spread <= 1:
            raise PolicyError(f"spread: got {spread!r}; allowed: above 0, at most 1 (the whole range)")
        self.rule, self.rule_options = rule, dict(rule_options or {})
        self.parameters: list[Parameter] = parameters_of(find(rule), parameters, rule)
        self.generations, self.rounds, self.population = generations, rounds, population
        self.worlds, self.spread = worlds, spread
        self.found: np.ndarray | None = None  # (companies, parameters) shares of the ranges
        self.memory = getattr(find(rule), "memory", "none")

    # --- acting -----------------------------------------------------------------------------------------------

    def reset(self, setting: Setting) -> None:
        super().reset(setting)
        if self.found is None:
            raise PolicyError(f"tuned: '{self.rule}' has not been tuned yet; train it, or load what was trained")
        if self.found.shape[0] != len(setting.companies):
            raise PolicyError(
                f"tuned: '{self.rule}' was tuned for {self.found.shape[0]} companies, here are"
                f" {len(setting.companies)}; tune it for this scenario"
            )
        self._stand(setting, self.found)

    def _stand(self, setting: Setting, shares: np.ndarray) -> None:
        """Make the rule with these parameters; where companies differ in one that is no list, once per company."""
        values = [p.values(setting, shares[:, k]) for k, p in enumerate(self.parameters)]
        common = [p.per_company or (v == v[0]).all() for p, v in zip(self.parameters, values, strict=True)]
        copies = 1 if all(common) else len(shares)
        self.rules = []
        for i in range(copies):
            options = dict(self.rule_options)
            for parameter, value in zip(self.parameters, values, strict=True):
                options = parameter.placed(options, value, i)
            self.rules.append(make_policy(self.rule, **options))
            self.rules[-1].reset(setting)

    def act(self, observations: np.ndarray) -> np.ndarray:
        if len(self.rules) == 1:
            return self.rules[0].act(observations)
        return np.stack([np.asarray(rule.act(observations))[:, i] for i, rule in enumerate(self.rules)], axis=1)

    def arrays(self) -> dict[str, np.ndarray]:
        return {} if self.found is None else {"found": self.found}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        wanted = len(self.parameters)
        if set(arrays) != {"found"} or arrays["found"].ndim != 2 or arrays["found"].shape[1] != wanted:
            raise PolicyError(f"tuned: what was saved is not {wanted} parameters of '{self.rule}'; train it again")
        self.found = np.asarray(arrays["found"], dtype=np.float64)

    # --- training ---------------------------------------------------------------------------------------------

    def train(self, task: Task, seed: int, log: Log) -> None:
        """Tune; a step is a generation. Raises TrainingError where the regime's worlds pay no finite reward."""
        env = task.env(self.worlds)
        setting = Setting.of(env, seed)
        sides = players(env, self.parameters)
        rounds = self.rounds if len(sides) > 1 else 1
        total = rounds * len(sides) * self.generations
        done, kept = log.start(self, task, seed)
        shares = kept.get("shares", np.stack([p.start(setting) for p in self.parameters], axis=1))
        history = kept.get("values", np.empty((0, 0)))  # (generations of this search so far, candidates)
        search: Search | None = None
        for step in range(done, total):
            turn, generation = divmod(step, self.generations)
            side = sides[turn % len(sides)]
            if search is None or generation == 0:
                spread = self.spread * 0.5 ** (turn // len(sides))
                search = Search(side.read(shares), spread, self.population, (seed, turn), history[:generation])
                history = history[:generation]
            candidates = search.ask()
            values = np.array([self._worth(env, setting, side.written(shares, x), side.members) for x in candidates])
            search.tell(values)
            history = values[None] if generation == 0 else np.concatenate((history, values[None]))
            if generation == self.generations - 1:
                shares = self._better(env, setting, side, shares, search.centre)
            log.record(step + 1, total, best=values.max(), mean=values.mean(), spread=search.spread, player=side.number)
            log.checkpoint(step + 1, {"shares": shares, "values": history})
        self.found = shares

    def _better(self, env: BatchEnv, setting: Setting, side: Any, shares: np.ndarray, centre: np.ndarray) -> np.ndarray:
        """The parameters with the centre of a search for a player's own, unless they were better before."""
        moved = side.written(shares, centre)
        before, after = (self._worth(env, setting, s, side.members) for s in (shares, moved))
        return moved if after >= before else shares

    def _worth(self, env: BatchEnv, setting: Setting, shares: np.ndarray, members: np.ndarray) -> float:
        """Mean reward per period of these companies together, in the worlds of the training."""
        self._stand(setting, shares)
        observations, _ = env.reset(seeds=[1_000_003 * (setting.seed + 1) + b for b in range(self.worlds)])
        total = 0.0
        for _ in range(env.horizon):
            observations, rewards, _, _, _ = env.step(self.act(observations))
            total += float(rewards[:, members].sum(axis=1).mean())
        if not np.isfinite(total):
            raise TrainingError(f"tuned: '{self.rule}' earned {total} with {shares.tolist()}; narrow the bounds")
        return total / env.horizon
