"""Run a policy through an episode of an environment, check what it does, and keep what came of it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kaizen_env import BatchEnv, Regime, Scenario
from kaizen_env.dynamics import State, end_customer_value, unrealised_profit
from kaizen_env.simulation import RECORDS, Trajectory, stacked

from .policy import Policy, PolicyError, Setting
from .window import Window

SLOW = 1.0  # seconds of one call of `act`, above which a warning says so


class SlowPolicyWarning(UserWarning):
    """A policy takes long to act; it goes on."""


@dataclass(frozen=True)
class Episode:
    """What came of one episode in every world; money is per period, mean over the periods that count."""

    policy: str
    seeds: tuple[int, ...]  # one per world
    end_customer_value: np.ndarray  # (worlds,)
    profit: np.ndarray  # (companies, worlds) as the scenario accounts for it
    cash_profit: np.ndarray  # (companies, worlds) receipts less payments
    unrealised_profit: np.ndarray  # (worlds,) in companies' books for goods still in stock, and not in the value
    customer_surplus: np.ndarray  # (worlds,)
    platform_revenue: np.ndarray  # (worlds,)
    reward: np.ndarray  # (companies, worlds) mean per period, as the regime pays
    seconds: float  # of acting, per period
    trajectory: Trajectory | None  # states, flows, books, decisions as recorded


def run(
    policy: Policy,
    scenario: str | Mapping[str, Any] | Scenario,
    regime: str | Mapping[str, Any] | Regime,
    seeds: Sequence[int],
    *,
    seed: int = 0,
    record: Iterable[str] = (),
    **overrides: Any,
) -> Episode:
    """One episode of `policy` in one world per element of `seeds`, which fix the luck; `seed` is the policy's own.

    All periods count. `record` and `overrides` are those of `simulate` and of `BatchEnv`. Raises PolicyError for a
    policy that raises, or whose actions are no array of finite numbers of the right shape, with its name, the company
    and the period.
    """
    return run_in(BatchEnv(scenario, regime, len(seeds), auto_reset=False, **overrides), policy, seeds, seed, record)


def run_in(
    env: BatchEnv,
    policy: Policy,
    seeds: Sequence[int],
    seed: int = 0,
    record: Iterable[str] = (),
    watch: Callable[[State, BatchEnv], None] | None = None,
    window: Window | None = None,
) -> Episode:
    """As `run`, in an environment that is there already and was made with auto_reset=False.

    `window` says which periods count; by default all. Raises ValueError for one of another length than the episode.
    `watch` is called after every period with the state that the period began with, and the environment: for long
    episodes of large networks, whose records would not fit into memory.
    """
    kept = tuple(record)
    if unknown := set(kept) - set(RECORDS):
        raise ValueError(f"record has {sorted(unknown)}; allowed: {', '.join(RECORDS)}")
    if env.auto_reset:
        raise ValueError("an episode is run in BatchEnv(…, auto_reset=False)")
    window = Window(env.horizon) if window is None else window
    if window.length != env.horizon:
        raise ValueError(f"a window of {window.length} periods for an episode of {env.horizon}")
    observations, _ = env.reset(seeds=list(seeds))
    guard = Guard(policy, Setting.of(env, seed))
    totals: dict[str, Any] = {}
    records: dict[str, list[Any]] = {name: [] for name in kept}
    for t in range(env.horizon):
        actions = guard.act(observations, t)
        before = env.state
        observations, rewards, _, _, _ = env.step(actions)
        assert env.books is not None
        if window.counts(t):
            now = {
                "value": end_customer_value(env.network, env.books),
                "profit": env.books.profit,
                "cash": env.books.cash_profit,
                "unrealised": unrealised_profit(env.network, env.books),
                "surplus": env.books.customers[0],
                "fees": env.books.fee.sum(axis=0),
                "reward": rewards.T,
            }
            totals = {name: totals.get(name, 0.0) + money for name, money in now.items()}
        if watch is not None:
            watch(before, env)
        now = {"states": before, "flows": env.flows, "books": env.books, "decisions": env.decided}
        for name in kept:
            records[name].append(now[name])
    mean = {name: total / window.periods for name, total in totals.items()}
    trajectory = None
    if kept:
        assert env.luck is not None
        parts = {name: stacked(env.network, records.get(name)) for name in RECORDS}
        trajectory = Trajectory(env.network, env.luck, env.state, **parts)
    return Episode(
        policy=policy.name,
        seeds=tuple(int(s) for s in seeds),
        end_customer_value=mean["value"],
        profit=mean["profit"],
        cash_profit=mean["cash"],
        unrealised_profit=mean["unrealised"],
        customer_surplus=mean["surplus"],
        platform_revenue=mean["fees"],
        reward=mean["reward"],
        seconds=guard.seconds / env.horizon,
        trajectory=trajectory,
    )


class Guard:
    """A policy that has been reset, with its actions checked: what is wrong is said with policy, company, period."""

    def __init__(self, policy: Policy, setting: Setting) -> None:
        self.policy, self.setting = policy, setting
        self.seconds = 0.0  # of acting
        self._warned = False
        try:
            policy.reset(setting)
        except PolicyError:
            raise
        except Exception as error:
            raise PolicyError(f"policy '{policy.name}': reset raised {_said(error)}") from error

    def act(self, observations: np.ndarray, period: int) -> np.ndarray:
        """Actions (worlds, companies, elements) float64. Raises PolicyError for what are none."""
        name, begun = self.policy.name, time.perf_counter()
        try:
            given = self.policy.act(observations)
        except PolicyError:
            raise
        except Exception as error:
            raise PolicyError(f"policy '{name}', period {period}: act raised {_said(error)}") from error
        took = time.perf_counter() - begun
        self.seconds += took
        if took > SLOW and not self._warned:
            self._warned = True
            message = f"policy '{name}', period {period}: act took {took:.1f} s for {len(observations)} worlds"
            warnings.warn(message, SlowPolicyWarning, stacklevel=2)
        return self._checked(given, period)

    def _checked(self, given: Any, period: int) -> np.ndarray:
        setting, where = self.setting, f"policy '{self.policy.name}', period {period}"
        try:
            actions = np.asarray(given)
        except ValueError:
            raise PolicyError(f"{where}: the actions are ragged; one array of equal rows is needed") from None
        except Exception as error:  # a tensor that has a gradient, for one
            raise PolicyError(f"{where}: the actions cannot be read as a NumPy array: {_said(error)}") from error
        shape = (setting.worlds, len(setting.companies), len(setting.action_names))
        if actions.dtype.kind not in "fiu":
            raise PolicyError(
                f"{where}: actions of type {actions.dtype}; an array of numbers in [-1, 1] is needed, e.g. float32"
            )
        if actions.shape != shape:
            raise PolicyError(
                f"{where}: actions of shape {actions.shape}; allowed: {shape}, worlds × companies × elements"
                f" ({', '.join(setting.action_names)})"
            )
        if not np.isfinite(actions).all():
            world, company, element = np.argwhere(~np.isfinite(actions))[0]
            raise PolicyError(
                f"{where}, company '{setting.companies[company]}': '{setting.action_names[element]}' in world {world}"
                f" is {actions[world, company, element]}; a number in [-1, 1] is needed"
            )
        return actions.astype(np.float64)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
