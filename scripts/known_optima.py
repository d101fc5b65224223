"""What learners reach where the best is known: optimal costs, equilibrium efforts and levels.

    python scripts/known_optima.py                                   pathwise on everything, one seed
    python scripts/known_optima.py --learner ppo --problem example_6_1 --seeds 3

Trains anew for every problem and seed, on one thread, and measures on luck that no training has seen. `apart` is
reached / known − 1. Exit status 1 where a policy does better than the known optimum by more than three standard
errors: that would be a fault of the model.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from agents.known_optima import Found, GameProblem, Problem, SerialProblem, problems
from agents.loading import make_policy
from agents.policy import PolicyError
from agents.training import Learner, Log

# One set of options per learner, and what a kind of problem asks for. pathwise: the start of a serial system or an
# inventory game counts for nothing (warm_up), and games without luck need few worlds. ppo: what a company's own effort
# pays in the team is lost in what the exploration of all others does to its reward, so there it takes many worlds; and
# no advantage may lean on the critic (gae_lambda), which sees a waste move by a thousandth and guesses its slope.
OPTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "pathwise": {
        "": {},
        "example_6_1": {"warm_up": 15},
        "shang_song_9": {"warm_up": 15},
        "inventory game": {"warm_up": 15},
        "team": {"worlds": 2, "iterations": 300},
    },
    "ppo": {
        "": {},
        "team": {"worlds": 128, "episodes": 300, "learning_rate": 5e-4, "gae_lambda": 1.0, "discount": 0.97},
    },
}


def options(learner: str, problem: Problem) -> dict[str, Any]:
    """The options of a learner for a problem."""
    chosen: dict[str, Any] = {}
    for begins, given in OPTIONS.get(learner, {}).items():
        if problem.name.startswith(begins):
            chosen |= given
    return chosen


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--learner", default="pathwise", help="pathwise (default), ppo, or the name or place of another"
    )
    parser.add_argument("--problem", default="", help="only problems whose name begins so")
    parser.add_argument("--seeds", type=int, default=1, help="training seeds of each (default 1)")
    parser.add_argument("--replenishment", default="quantity", help="of serial systems (default quantity)")
    given = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 120)
    _one_thread()
    found = [p for p in problems(given.replenishment) if p.name.startswith(given.problem)]
    if not found:
        names = ", ".join(dict.fromkeys(p.name for p in problems(given.replenishment)))
        print(f"known_optima: no problem begins with '{given.problem}'; there are: {names}", file=sys.stderr)
        return 2
    table = Table(title=f"{given.learner}: reached and known")
    for column in ("problem", "regime", "measured", "known", "reached", "apart", "seed", "CPU s"):
        table.add_column(column, justify="left" if column in ("problem", "regime", "measured") else "right")
    too_good = 0
    columns = (TextColumn("{task.description:44}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        trained: dict[tuple[Any, ...], tuple[Learner, float]] = {}
        for problem in found:
            for seed in range(given.seeds):
                chosen = options(given.learner, problem)
                key = (problem.name, problem.regime, seed)  # a game is measured at both companies
                task = progress.add_task(f"{problem.name}, {problem.regime}, seed {seed}", total=None)
                if key not in trained:
                    trained[key] = train(given.learner, chosen, problem, seed, progress, task)
                policy, seconds = trained[key]
                result = problem.measure(policy)
                progress.remove_task(task)
                too_good += beaten(problem, result)
                table.add_row(
                    problem.name,
                    problem.regime,
                    problem.what,
                    f"{problem.known:.4g}",
                    f"{result.value:.4g}" + (f" ± {result.error:.2g}" if result.error else ""),
                    f"{result.value / problem.known - 1:+.2%}",
                    str(seed),
                    f"{seconds:.0f}",
                )
    console.print(table)
    for begins, chosen in OPTIONS.get(given.learner, {}).items():
        if chosen and begins.startswith(given.problem):
            console.print(f"options for {begins or 'all'}: {chosen}")
    if too_good:
        console.print(f"{too_good} policies do better than the known optimum by more than three standard errors")
    return 1 if too_good else 0


def train(
    name: str, chosen: Mapping[str, Any], problem: Problem, seed: int, progress: Progress, task: Any
) -> tuple[Learner, float]:
    """A learner trained on a problem, and the seconds of one core that it took."""
    learner = make_policy(name, **chosen)
    if not isinstance(learner, Learner):
        raise PolicyError(f"'{name}' is a rule: it does not learn; give a learner, e.g. pathwise")

    def show(done: int, total: int, _: Mapping[str, float]) -> None:
        progress.update(task, completed=done, total=total)

    begun = time.process_time()
    learner.train(problem.task, seed, Log(progress=show))
    return learner, time.process_time() - begun


def beaten(problem: Problem, result: Found) -> bool:
    """Whether a cost lies below the least possible by more than three standard errors."""
    least = isinstance(problem, (SerialProblem, GameProblem)) and problem.regime == "kaizen2"
    return least and result.value < problem.known - 3.0 * result.error - 1e-6 * problem.known


def _one_thread() -> None:
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except PolicyError as error:
        print(f"known_optima: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\nknown_optima: stopped; nothing is kept", file=sys.stderr)
        sys.exit(130)
