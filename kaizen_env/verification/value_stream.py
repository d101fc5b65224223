"""The value stream of a can of cola: days of throughput and hours of work, out of the running scenario `cola`."""

from __future__ import annotations

from typing import Any

from ..build import build
from ..dynamics import initial_state
from ..luck import draw
from ..metrics import lean_metrics
from ..replenishment import steady_levels
from ..scenarios import load_scenario
from ..simulation import no_effort, simulate
from .reading import Entry
from .results import Result

SOURCE = "Womack & Jones, Lean Thinking (1996), value stream of a can of cola"
DAYS, HOURS, SCRAP = 319.0, 3.0, 0.24
PERIODS = 400  # longer than a can is under way


def builtin() -> list[Result]:
    """Rows for the totals of the source."""
    return rows(DAYS, HOURS, SCRAP)


def check(data: dict[str, Any]) -> list[Result]:
    """Rows for the totals in a file; the scenario is the built-in one.

    Raises ValueError that names the place of what is broken.
    """
    totals = Entry(data)["totals"]
    days, hours = totals["throughput_days"].number(0), totals["processing_hours"].number(0)
    if days == 0:
        raise totals["throughput_days"].refused("a number above 0 is needed")
    return rows(days, hours, totals["cumulative_scrap_share"].number(0))


def rows(days: float, hours: float, scrap: float) -> list[Result]:
    """What the running model gives; the source gives whole days, whole hours, whole per cent."""
    network = build(load_scenario("cola"))
    luck = draw(network, seed=1, worlds=1, periods=PERIODS)
    levels = steady_levels(network, initial_state(network, luck.demand[0]))
    metrics = lean_metrics(simulate(network, lambda n, state, t: no_effort(n, levels), luck))
    throughput, adding = float(metrics.throughput_days[0]), 24.0 * float(metrics.value_adding_days[0])
    good = 1.0
    for company in network.scenario.companies:
        good *= 1.0 - company.defect_rate
    efficiency = float(metrics.flow_efficiency[0])
    return [
        Result("cola: throughput time, days", SOURCE, days, throughput, 0.5),
        Result("cola: value-adding time, hours", SOURCE, hours, adding, 0.5),
        Result("cola: flow efficiency", SOURCE, hours / 24.0 / days, efficiency, 0.5 / 24.0 / days),
        Result("cola: share scrapped on the way", SOURCE, scrap, 1.0 - good, 0.005),
    ]
