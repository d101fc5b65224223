"""How long an experiment will take, from the first moments of each unit; nothing is written."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from kaizen_env import BatchEnv

from ..policy import Setting
from ..rollout import Guard
from ..static import Static
from ..training import Learner, Log, Task
from .unit import Unit, error_line, one_thread

PERIODS = 3  # of an evaluation that are timed
ENOUGH = 2.0  # seconds of a training that are timed, if it has said so far how it goes on
PATIENCE = 20.0  # seconds that a training may take to say so


class Budget(NamedTuple):
    """Seconds of one unit, as estimated; `training` is None where it did not say in time how it goes on."""

    training: float | None
    evaluation: float
    error: str | None = None


def estimates(units: Sequence[Unit], told: Callable[[int], Any] = lambda place: None) -> list[Budget]:
    """The budget of every unit. Units that differ by the seed alone take the same time."""
    found: dict[tuple[str, str, str], Budget] = {}
    for place, unit in enumerate(units):
        key = (unit.policy.called, unit.scenario.name, unit.regime_label)
        if key not in found:
            found[key] = budget(unit)
        told(place)
    return [found[unit.policy.called, unit.scenario.name, unit.regime_label] for unit in units]


def budget(unit: Unit) -> Budget:
    """The budget of one unit, or the error that it would end with at once."""
    try:
        env = BatchEnv(unit.scenario, unit.regime, unit.evaluation.worlds, auto_reset=False)
        policy = unit.policy.make(env)
        training: float | None = 0.0
        acting = policy
        one_thread()
        if isinstance(policy, Learner) and unit.policy.saved is None:
            training = _training(policy, unit)
            acting = Static()  # an untrained learner need not act; the network itself takes most of the time
        guard, observations = Guard(acting, Setting.of(env, unit.seed)), env.reset(seeds=unit.evaluation.seeds())[0]
        begun, periods = time.perf_counter(), min(PERIODS, env.horizon)
        for period in range(periods):
            observations = env.step(guard.act(observations, period))[0]
        return Budget(training, (time.perf_counter() - begun) / periods * env.horizon)
    except (Exception, SystemExit) as error:
        return Budget(0.0, 0.0, error_line(unit, error))


class _Enough(BaseException):
    """Ends a training that was only to be timed."""


def _training(learner: Learner, unit: Unit) -> float | None:
    """Seconds of a whole training, from its first rows; None where it gave none in time."""
    told: list[tuple[float, int, int]] = []
    begun = time.perf_counter()

    def progress(step: int, total: int, numbers: Any) -> None:
        told.append((time.perf_counter(), step, total))
        if len(told) > 2 and told[-1][0] - begun > ENOUGH:
            raise _Enough

    with contextlib.suppress(_Enough), _patience():
        learner.train(Task(unit.scenario, unit.regime), unit.seed, Log(progress=progress))
        return time.perf_counter() - begun
    if not told:
        return None
    (first, step, total), (last, later, _) = told[0], told[-1]
    if later == step:
        return (first - begun) / max(step, 1) * total
    return first - begun + (last - first) / (later - step) * (total - step)  # the beginning may be slower than the rest


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    """Raise _Enough after PATIENCE seconds, where the system has such alarms."""
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_: Any) -> None:
        raise _Enough

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
