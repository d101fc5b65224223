"""How fast the model runs: company-periods per second of CPU time, and how that grows with the network.

    python scripts/speed.py              all cases, about two minutes
    python scripts/speed.py --seconds 1  a quicker look
    python scripts/speed.py --training   how fast PPO trains, against SuperSuit: see speed_training.py

Every case runs whole periods with kaizen and all other features on, and no observations: every channel of waste,
learning, culture, open twins, losses, penalties and order lead times, and in the chain also goodwill, bankruptcy,
gain sharing and the holding of work in process. PyTorch uses one thread; NumPy needs no more than one for this.
A case is repeated, and the median and the best repetition are shown; ratios are of medians of this same run.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from kaizen_env import Network, Scenario, build, draw, load_scenario
from kaizen_env.dynamics import Decisions, initial_state, step
from kaizen_env.replenishment import steady_levels

CHAIN = {"companies": 8, "layers": 8, "links": 1, "seed": 4}
WORLDS = (1, 16, 256, 4096)
SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
REPETITIONS = 5
TARGETS = "targets: numpy, 8 companies: 256 worlds ≥ 3 M/s, 1 world < 250 µs a period; slope ≤ 1.1"


def everything(scenario: Scenario) -> Scenario:
    """The scenario with the features that the generator of random networks leaves off."""
    more = {"credit_limit": 1e12, "work_in_process_holding_cost": 0.01}
    shares = {company.name: 1.0 / len(scenario.companies) for company in scenario.companies}
    return scenario.changed(
        companies=[company.model_copy(update=more) for company in scenario.companies],
        markets=[market.model_copy(update={"goodwill": 0.5}) for market in scenario.markets],
        contracts={"gain_share": [{"share": 0.5, "reference": 1.0, "shares": shares}]},
    )


def decisions(network: Network, worlds: int) -> Decisions:
    """Order-up-to at steady stocks, and the whole team at work on every waste."""
    state = initial_state(network, network.zeros(len(network.scenario.markets), worlds))
    efforts = len(network.effort_names)
    effort = network.zeros(efforts, network.companies, worlds) + 1.0 / efforts
    return Decisions(steady_levels(network, state), effort, network.zeros(network.companies, worlds) + 1.0)


def seconds_per_period(network: Network, worlds: int, budget: float) -> list[float]:
    """CPU seconds of one period, in each repetition; each lasts about `budget` / REPETITIONS seconds."""
    luck = draw(network, 1, worlds, 8)
    decided, start = decisions(network, worlds), initial_state(network, luck.demand[0])

    def run(periods: int) -> float:
        state, begun = start, time.process_time()
        for t in range(periods):
            state, _, _ = step(network, state, decided, luck.period(t % 8))
        return (time.process_time() - begun) / periods

    run(3)  # warm up
    periods = max(2, int(budget / REPETITIONS / max(run(2), 1e-6)))
    return [run(periods) for _ in range(REPETITIONS)]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=4.0, help="CPU seconds for each case (default 4)")
    parser.add_argument("--training", action="store_true", help="measure training with PPO instead")
    given = parser.parse_args(arguments)
    if given.training:
        import speed_training

        return speed_training.report()
    budget = given.seconds
    console = Console(width=None if sys.stdout.isatty() else 110)
    backends = ["numpy", "torch"]
    try:
        import torch

        torch.set_num_threads(1)
    except ImportError:
        backends = ["numpy"]
        console.print("torch is not installed: NumPy only (pip install 'kaizen-env[training]')")
    cases = [("chain", CHAIN, worlds) for worlds in WORLDS]
    cases += [("random", {"companies": size, "seed": 1}, 1) for size in SIZES]
    table = Table(title="Simulation speed, all features on, one thread, CPU time")
    for column in ("network", "library", "worlds", "µs a period (best)", "company-periods/s (best)"):
        table.add_column(column, justify="left" if column in ("network", "library") else "right")
    medians: dict[tuple[str, str, int, int], float] = {}
    columns = (TextColumn("{task.description:32}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=len(cases) * len(backends))
        for kind, options, worlds in cases:
            progress.update(task, description=f"building {kind} {options['companies']:,}")
            scenario = load_scenario({"random": options})
            network = build(everything(scenario) if kind == "chain" else scenario)
            for backend in backends:
                progress.update(task, description=f"{kind} {network.companies:,} × {worlds} {backend}")
                times = seconds_per_period(network.to(backend), worlds, budget)
                middle, best = statistics.median(times), min(times)
                medians[kind, backend, network.companies, worlds] = middle
                done = network.companies * worlds
                table.add_row(
                    f"{kind}, {network.companies:,} companies",
                    backend,
                    f"{worlds:,}",
                    f"{middle * 1e6:,.0f} ({best * 1e6:,.0f})",
                    f"{done / middle / 1e6:.2f} M ({done / best / 1e6:.2f} M)",
                )
                progress.advance(task)
    console.print(table)
    for backend in backends:
        times = [medians["random", backend, size, 1] for size in SIZES]
        slope = np.polyfit(np.log(SIZES), np.log(times), 1)[0]
        console.print(f"{backend}: slope of log time against log size, {SIZES[0]:,} to {SIZES[-1]:,}: {slope:.3f}")
    for worlds in WORLDS if len(backends) > 1 else ():
        ratio = medians["chain", "torch", 8, worlds] / medians["chain", "numpy", 8, worlds]
        console.print(f"torch takes {ratio:.1f} × the time of numpy for {worlds:,} worlds of the chain")
    console.print(TARGETS)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nspeed: stopped; nothing was left half done", file=sys.stderr)
        sys.exit(130)
