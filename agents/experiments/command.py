"""The command line that the scripts share: options, progress, endings.

Exit status: 0 all done; 1 something failed, and is listed, while the rest is done; 2 the command, the config or the
folder cannot be used, and nothing was begun; 130 stopped by Ctrl-C, and `--resume` goes on.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from kaizen_env import DescriptionError
from kaizen_env.errors import ContractWarning

from ..policy import PolicyError
from .budget import Budget, estimates
from .config import BenchmarkConfig, Config, Experiment, as_yaml
from .folder import RunError, RunFolder, file_name
from .jobs import run_all
from .loading import load_experiment
from .unit import Outcome, Unit, is_learner, units

WIDTH = 100  # where the output is no terminal
UNUSABLE = (DescriptionError, PolicyError, RunError)


def parser(name: str, about: str) -> argparse.ArgumentParser:
    """The options that every script has; `about` is the script's docstring."""
    head, _, more = about.partition("\n")
    made = argparse.ArgumentParser(
        prog=name, description=head, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("config", metavar="CONFIG", type=Path, help="a YAML file, e.g. one of configs/")
    made.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="change the config, e.g. evaluation.worlds=20"
    )
    made.add_argument("--output", metavar="FOLDER", type=Path, help="the run folder (default: runs/<name>)")
    made.add_argument("--resume", action="store_true", help="go on with the run in the folder")
    made.add_argument("--dry-run", action="store_true", help="print the complete config and the time that it may take")
    made.add_argument("--jobs", metavar="N", type=_jobs, default=1, help="processes (default 1); same results")
    return made


def _jobs(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got '{text}'; allowed: a whole number from 1 on")
    return int(text)


def carry_out(
    name: str,
    kind: type[Config],
    given: argparse.Namespace,
    report: Callable[[Experiment, RunFolder, list[Outcome], Console], None],
    policies: Sequence[str] = (),
    stages: Callable[[Experiment, Path], Sequence[Sequence[Unit]]] = lambda experiment, path: [units(experiment, path)],
) -> int:
    """Load, run and report an experiment; the exit status. What cannot be used is said on standard error.

    `stages` are its units: those of one stage need nothing of each other, and all that came of the stages before.
    """
    sys.path.append(os.getcwd())  # so that package.module:Class is found where the command is run
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    try:
        with contract_warnings_printed(name):
            experiment = load_experiment(given.config, kind, given.set, policies)
        if kind is not BenchmarkConfig:
            next(iter(experiment.policies.values())).make()  # without it there is nothing to run
        path = given.output or Path("runs") / file_name(experiment.name)
        planned = stages(experiment, path)
        if given.dry_run:
            return _foretell(name, experiment, path, given.jobs, planned)
        folder = RunFolder(path, experiment, given.resume)
    except UNUSABLE as error:
        for line in str(error).split("\n"):
            print(f"{name}: {line}", file=sys.stderr)
        return 2
    try:
        if folder.changed_versions:
            print(f"{name}: begun with other versions than now; see {path / 'versions.json'}", file=sys.stderr)
        outcomes: list[Outcome] = []
        for work in planned:
            with Bars(work) as bars:
                outcomes += run_all(work, given.jobs, bars)
        for label, window in experiment.windows.items():
            console.print(f"{label}: counted are {window}", highlight=False, markup=False)
        report(experiment, folder, outcomes, console)
    except UNUSABLE as error:  # of what a report has yet to run
        for line in str(error).split("\n"):
            print(f"{name}: {line}", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"{name}: {error.filename or path}: cannot be written ({error.strerror}); what is finished stays,"
            " and the same command with --resume goes on",
            file=sys.stderr,
        )
        return 1
    finally:
        folder.close()
    for outcome in outcomes:
        for note in outcome.timing.get("slow", ()):
            print(f"{name}: slow: {note}", file=sys.stderr)
    failed = [outcome for outcome in outcomes if outcome.error]
    for outcome in failed:
        print(f"{name}: {outcome.unit.name}: {outcome.error}", file=sys.stderr)
    if failed:
        tries = "the same command with --resume tries again"
        print(f"{name}: {len(failed)} of {len(outcomes)} failed; the rest stays, and {tries}", file=sys.stderr)
    return int(bool(failed))


@contextlib.contextmanager
def contract_warnings_printed(name: str) -> Iterator[None]:
    """Prints each `ContractWarning` that is raised inside as a line of the command `name` on standard error."""
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always", ContractWarning)
        yield
    for line in dict.fromkeys(str(note.message) for note in noted if issubclass(note.category, ContractWarning)):
        print(f"{name}: warning: {line}", file=sys.stderr)
    for note in noted:
        if not issubclass(note.category, ContractWarning):
            warnings.warn_explicit(note.message, note.category, note.filename, note.lineno)


def _foretell(name: str, experiment: Experiment, path: Path, jobs: int, planned: Sequence[Sequence[Unit]]) -> int:
    """Print the complete config and a time; 1 where something would fail at once."""
    print(as_yaml(experiment.config), end="")
    work, later = planned[0], sum(map(len, planned[1:]))
    with Bars(work) as bars:
        found = estimates(work, lambda place: bars.advance(place, 1.0))
    training, evaluation = (sum(getattr(b, part) or 0.0 for b in found) for part in ("training", "evaluation"))
    print(f"\n# folder: {path}")
    for label, window in experiment.windows.items():
        print(f"# counted of {label}: {window}")
    trained = sum(is_learner(unit.policy) for unit in work)
    print(f"# {len(work)} evaluations of {experiment.evaluation.worlds} worlds, after {trained} trainings")
    unknown = sum(budget.training is None for budget in found)
    whole = f"{_time((training + evaluation) / min(jobs, max(1, len(work))))} with --jobs {jobs}"
    more = f", and {unknown} trainings whose first step takes too long to tell" if unknown else ""
    print(f"# about {whole} (training {_time(training)}, evaluation {_time(evaluation)}){more}")
    if later:
        print(f"# and {later} units that begin with what those have learnt, which are not in this time")
    if experiment.config.get("foresight"):
        print(f"# and foresight in {experiment.evaluation.worlds} worlds, which is not in this time")
    wrong: list[Budget] = [budget for budget in found if budget.error]
    for line in dict.fromkeys(budget.error for budget in wrong):
        print(f"{name}: {line}", file=sys.stderr)
    return int(bool(wrong))


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1.0):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Bars:
    """Progress of the whole and of what is at work, on a terminal; elsewhere a line for each unit that is finished."""

    def __init__(self, work: Sequence[Unit]) -> None:
        console = Console(stderr=True)
        self.work, self.shown = work, console.is_terminal
        self.shares = [0.0] * len(work)
        self.bars: dict[int, TaskID] = {}
        columns: tuple[Any, ...] = (
            TextColumn("{task.description}", table_column=None),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
        )
        self.progress = Progress(*columns, console=console, transient=True, disable=not self.shown)
        self.whole = self.progress.add_task(f"all {len(work)}", total=float(max(len(work), 1)))

    def __enter__(self) -> Bars:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def advance(self, place: int, share: float) -> None:
        self.shares[place] = share
        if place not in self.bars and share < 1.0:
            self.bars[place] = self.progress.add_task(escape(self.work[place].name), total=1.0)
        if place in self.bars:
            self.progress.update(self.bars[place], completed=share)
        self.progress.update(self.whole, completed=sum(self.shares))

    def finish(self, place: int, outcome: Outcome) -> None:
        self.advance(place, 1.0)
        if place in self.bars:
            self.progress.remove_task(self.bars.pop(place))
        if not self.shown:
            said = "failed" if outcome.error else "done"
            print(f"{place + 1} of {len(self.work)}: {self.work[place].name}: {said}", file=sys.stderr, flush=True)
