"""One policy on one network under one regime, trained with one seed and evaluated: the unit of every experiment.

Its folder, whose last file tells that it is finished:

    training.csv, checkpoint.*, tensorboard/    of a learner, as it trains
    policy/                                     the policy as trained; `agents.loading.load_policy` reads it
    evaluation.csv                              one row per world: money per period, mean over what is counted
    lean.csv, ledger.csv                        (compare) where the waste is, by world and by company
    waste.csv, timeline.csv                     (compare) waste, and money, open twins and demand, by period
    timing.json                                 seconds, and what was slow
    summary.json                                the means; the same numbers whenever it is run again
    error.txt                                   in place of the rest, where it failed
    source.txt                                  hash of the file of the policy's class, where it is named by file
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from kaizen_env import BatchEnv, DescriptionError, Regime, Scenario

from ..files import replace
from ..loading import load_policy, save_policy
from ..policy import PolicyError
from ..rollout import Episode, SlowPolicyWarning, run_in
from ..training import Learner, Log, Task
from ..window import Window
from .config import Evaluation, Experiment, PolicyChoice
from .folder import file_name
from .lean import LeanBooks

Progress = Callable[[float], None]  # is told the share that is done


@dataclass(frozen=True)
class Unit:
    """What to run and where. It pickles, so that another process can run it."""

    folder: Path
    scenario: Scenario  # all periods that are simulated
    regime: Regime  # without kaizen in the warm-up
    regime_label: str
    window: Window  # which periods count
    policy: PolicyChoice
    seed: int  # of the training, and of the lots that the policy draws
    evaluation: Evaluation
    tensorboard: bool = False
    lean: bool = False  # whether it is also told where the waste is

    @property
    def name(self) -> str:
        return f"{self.policy.called}, {self.scenario.name}, {self.regime_label}, seed {self.seed}"


@dataclass(frozen=True)
class Outcome:
    """What came of a unit: numbers, or the line that says why there are none."""

    unit: Unit
    summary: dict[str, Any] = field(default_factory=dict)
    values: np.ndarray | None = None  # (worlds,) end-customer value per period
    timing: dict[str, Any] = field(default_factory=dict)
    error: str | None = None


def units(experiment: Experiment, folder: Path) -> list[Unit]:
    """Every unit of an experiment: learners with every seed, all others with the first."""
    found = []
    for name, scenario in experiment.scenarios.items():
        for regime_label, regime in experiment.regimes.items():
            for choice in experiment.policies.values():
                if not choice.takes_part(name, regime_label):
                    continue
                for seed in experiment.seeds if is_learner(choice) else experiment.seeds[:1]:
                    place = folder
                    if experiment.kind != "train":  # more than one thing to run: a folder for each
                        place = folder.joinpath("results", *map(file_name, (name, regime_label, choice.called)))
                    window = experiment.windows[name]
                    found.append(
                        Unit(
                            folder=place / f"seed_{seed}",
                            scenario=window.simulated(experiment.cases.get(regime_label, scenario)),
                            regime=window.waiting(regime),
                            regime_label=regime_label,
                            window=window,
                            policy=choice,
                            seed=seed,
                            evaluation=experiment.evaluation,
                            tensorboard=experiment.tensorboard,
                            lean=experiment.kind == "compare",
                        )
                    )
    return found


def is_learner(choice: PolicyChoice) -> bool:
    """Whether it is trained before it acts. What cannot be made is none: its unit says why."""
    try:
        return choice.saved is None and isinstance(choice.make(), Learner)
    except PolicyError:
        return False


def run(unit: Unit, progress: Progress = lambda share: None) -> Outcome:
    """Do what is not yet done of a unit. Never raises: an error is told in the outcome and kept in `error.txt`."""
    try:
        _same_source(unit)
        if not (unit.folder / "summary.json").exists():
            _run(unit, progress)
            with contextlib.suppress(FileNotFoundError):
                (unit.folder / "error.txt").unlink()
        progress(1.0)
        return _read(unit)
    except (Exception, SystemExit) as error:
        with contextlib.suppress(OSError):
            unit.folder.mkdir(parents=True, exist_ok=True)
            replace(unit.folder / "error.txt", traceback.format_exc().encode())
        return Outcome(unit, error=error_line(unit, error))


def _same_source(unit: Unit) -> None:
    """Raise PolicyError where the file of the policy has changed since something came of it."""
    if unit.policy.file is None or not unit.policy.file.is_file():
        return
    now, kept = hashlib.sha256(unit.policy.file.read_bytes()).hexdigest(), unit.folder / "source.txt"
    came = any((unit.folder / name).exists() for name in ("summary.json", "training.csv"))
    if came and kept.exists() and kept.read_text() != now:
        raise PolicyError(
            f"{unit.policy.file} has changed since {unit.folder} was begun; remove that folder to do it anew"
        )
    unit.folder.mkdir(parents=True, exist_ok=True)
    replace(kept, now.encode())


def error_line(unit: Unit, error: BaseException) -> str:
    """What went wrong, in one line that names the policy."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or unit.folder}: cannot be read or written ({error.strerror})"
    known = isinstance(error, (PolicyError, DescriptionError))
    text = str(error) if known else f"{type(error).__name__}: {error}"
    if not text.startswith("policy '") and f"'{unit.policy.called}'" not in text:
        text = f"policy '{unit.policy.called}': {text}"
    return " ".join(text.split())


def _run(unit: Unit, progress: Progress) -> None:
    unit.folder.mkdir(parents=True, exist_ok=True)
    env = BatchEnv(unit.scenario, unit.regime, unit.evaluation.worlds, auto_reset=False)
    timing: dict[str, Any] = {"training_seconds": 0.0, "seconds_per_period": 0.0, "slow": []}
    with _noting_slowness(timing["slow"]):
        if unit.policy.saved is not None:
            policy = unit.policy.make(env)
        else:
            if not (unit.folder / "policy" / "policy.json").exists():
                timing["training_seconds"] = _train(unit, env, progress)
            # What is evaluated is what was saved, so that whoever loads it finds these numbers again.
            policy = load_policy(unit.folder / "policy", env)
        one_thread()
        books = LeanBooks(env, unit.window) if unit.lean else None
        episode = run_in(env, policy, unit.evaluation.seeds(), unit.seed, watch=books, window=unit.window)
    timing["seconds_per_period"] = episode.seconds
    table = evaluation_table(episode, env.network.names)
    replace(unit.folder / "evaluation.csv", as_csv(table).encode())
    for name, lean in (books.tables(episode.profit) if books is not None else {}).items():
        replace(unit.folder / f"{name}.csv", as_csv(lean).encode())
    replace(unit.folder / "timing.json", json.dumps(timing, indent=1).encode())
    summary = {
        "policy": unit.policy.called,
        "memory": policy.memory,
        "scenario": unit.scenario.name,
        "regime": unit.regime_label,
        "seed": unit.seed,
        "worlds": unit.evaluation.worlds,
        "window": asdict(unit.window),
        "per_period": {name: float(np.mean(column)) for name, column in table.items() if name not in ("world", "luck")},
    }
    replace(unit.folder / "summary.json", json.dumps(summary, indent=1).encode())


def _train(unit: Unit, env: BatchEnv, progress: Progress) -> float:
    """Train where there is something to train, save the policy; the seconds of training, since it was last begun."""
    policy, seconds = unit.policy.make(), 0.0
    if isinstance(policy, Learner):
        begun = time.perf_counter()
        one_thread()
        log = Log(
            unit.folder,
            tensorboard=unit.tensorboard and has_tensorboard(),
            resume=True,  # the folder is this unit's alone: what is there is its own
            progress=lambda step, total, numbers: progress(step / max(total, 1)),
        )
        try:
            policy.train(Task(unit.scenario, unit.regime), unit.seed, log)
        finally:
            log.close()
        seconds = time.perf_counter() - begun
    save_policy(policy, unit.folder / "policy", env, unit.policy.name)
    return seconds


def evaluation_table(episode: Episode, companies: list[str]) -> dict[str, Any]:
    """Columns of `evaluation.csv`, (worlds,) each."""
    return {
        "world": range(len(episode.seeds)),
        "luck": episode.seeds,
        "end_customer_value": episode.end_customer_value,
        "customer_surplus": episode.customer_surplus,
        "network_profit": episode.profit.sum(axis=0),
        "platform_revenue": np.broadcast_to(episode.platform_revenue, len(episode.seeds)),
        "unrealised_profit": np.broadcast_to(episode.unrealised_profit, len(episode.seeds)),
        **{f"profit of {name}": row for name, row in zip(companies, episode.profit, strict=True)},
        **{f"cash profit of {name}": row for name, row in zip(companies, episode.cash_profit, strict=True)},
        **{f"reward of {name}": row for name, row in zip(companies, episode.reward, strict=True)},
    }


def read_evaluation(file: Path) -> dict[str, np.ndarray]:
    """The columns of an `evaluation.csv` or another table of numbers alone. Raises ValueError for what is none."""
    return {name: column.astype(np.float64) for name, column in read_table(file).items()}


def read_table(file: Path) -> dict[str, np.ndarray]:
    """The columns of a CSV file as text. Raises ValueError for what is none."""
    with file.open(newline="", encoding="utf-8") as opened:
        rows = list(csv.reader(opened))
    columns = np.array(rows[1:])
    if columns.ndim != 2 or not len(columns):
        raise ValueError("no rows")
    return dict(zip(rows[0], columns.T, strict=True))


def _read(unit: Unit) -> Outcome:
    """The outcome of a finished unit, from its files."""
    folder = unit.folder
    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        timing = json.loads((folder / "timing.json").read_text(encoding="utf-8"))
        table = read_evaluation(folder / "evaluation.csv")
        asked = unit.policy.called, asdict(unit.window)
        if list(table["luck"]) != unit.evaluation.seeds() or (summary["policy"], summary["window"]) != asked:
            raise ValueError("it is of another evaluation")
        for name in LeanBooks.TABLES if unit.lean else ():
            read_table(folder / f"{name}.csv")
    except (OSError, ValueError, KeyError, TypeError) as error:
        mend = f"remove {folder / 'summary.json'} and --resume to evaluate again"
        raise PolicyError(f"the result in {folder} is broken ({type(error).__name__}: {error}); {mend}") from None
    return Outcome(unit, summary, table["end_customer_value"], timing)


def as_csv(table: Mapping[str, Any]) -> str:
    """Columns of equal length as CSV text, numbers to the last digit."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*(np.asarray(column).tolist() for column in table.values()), strict=True))
    return text.getvalue()


@contextlib.contextmanager
def _noting_slowness(notes: list[str]) -> Iterator[None]:
    """Warnings of slow policies go to `notes`, all others where they would have gone."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SlowPolicyWarning)
        try:
            yield
        finally:
            others = []
            for warning in caught:
                if issubclass(warning.category, SlowPolicyWarning):
                    notes.append(str(warning.message))
                else:
                    others.append(warning)
    for warning in others:
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def one_thread() -> None:
    """Torch, where a policy has brought it, takes one thread: sums in another order would give other numbers."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def has_tensorboard() -> bool:
    return find_spec("torch") is not None and find_spec("tensorboard") is not None
