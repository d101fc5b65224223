"""Serial systems: echelon order-up-to on the network twin costs the optimum of Clark & Scarf (1960), and nothing less.

Stage 1 is downstream. Goods between two stages are charged at the seller's holding cost, those from the external
supplier are free, and the stockout cost is the penalty that the last stage pays to waiting end customers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..build import build
from ..demand import Constant
from ..description import Company, Market, MarketLink, Scenario, SupplyLink, TradeLink
from ..luck import stream
from ..network import Network
from ..simulation import Policy, no_effort
from .demands import Demand, Normal, read_demand
from .reading import Entry
from .results import Result, Unplayable, played, skip
from .sampling import SEED, cost_per_period, estimate

WORLDS, PERIODS = 1000, 400  # of a sample; a standard error of about 0.1 % of the cost
TRIED_WORLDS, TRIED_PERIODS = 200, 300  # of each of many levels tried under common luck
SHIFTS = (-0.10, -0.05, 0.05, 0.10)  # of the optimal levels, stage by stage and all together
SETTLED = 50  # periods after which the start is forgotten, beyond all lead times
CUT = 1e-3  # of periods with negative demand, above which cutting it at 0 is no longer the demand of the source
SHARE = 0.003  # largest standard error, of the cost


@dataclass(frozen=True)
class Serial:
    """A serial system, stage 1 (downstream) first."""

    name: str
    source: str
    holding: tuple[float, ...]  # local, per unit and period
    lead_time: tuple[int, ...]  # periods on the way to the stage
    order_lead_time: tuple[int, ...]  # periods until the supplier sees an order
    penalty: float
    demand: Demand
    echelon: tuple[float, ...]  # order-up-to levels

    @property
    def stages(self) -> int:
        return len(self.holding)

    @property
    def local(self) -> tuple[float, ...]:
        """The local levels that do the same: a stage never holds more than the stages above it let through."""
        passed = np.minimum.accumulate(self.echelon[::-1])[::-1]
        return tuple(float(level) for level in np.diff(passed, prepend=0.0))

    @property
    def warm_up(self) -> int:
        return SETTLED + sum(self.lead_time) + sum(self.order_lead_time)

    def network(self, replenishment: str, ordering: str = "simultaneous") -> Network:
        """The system as a value network that starts settled: the local levels on hand, nothing under way."""
        names = [f"stage {i + 1}" for i in range(self.stages)]
        stock = [max(level, 0.0) for level in self.local]
        first = self.lead_time[-1] + self.order_lead_time[-1]  # outside suppliers ship at once, later
        return build(
            Scenario.model_validate(
                {
                    "name": "serial system",
                    "replenishment": replenishment,
                    "ordering": ordering,
                    "transit_holding": "seller",
                    "initial_pipelines": "empty",
                    "companies": [
                        Company(name=n, holding_cost=h, initial_on_hand=s)
                        for n, h, s in zip(names, self.holding, stock, strict=True)
                    ],
                    "supply_links": [SupplyLink(buyer=names[-1], lead_time=first)],
                    "trade_links": [
                        TradeLink(
                            seller=names[i + 1],
                            buyer=names[i],
                            transit_time=self.lead_time[i],
                            order_lead_time=self.order_lead_time[i],
                        )
                        for i in range(self.stages - 1)
                    ],
                    "market_links": [MarketLink(seller=names[0], market="customers", penalty=self.penalty)],
                    "markets": [Market(name="customers", demand=Constant(mean=self.demand.mean))],
                }
            )
        )

    @cached_property
    def echelon_network(self) -> Network:
        return self.network("echelon_order_up_to")

    def tape(self, rng: np.random.Generator, worlds: int, periods: int) -> np.ndarray:
        """End demand, warm-up included: (periods + 1, 1, worlds)."""
        return self.demand.draw(rng, (self.warm_up + periods + 1, 1, worlds))

    def cost(self, network: Network, levels: np.ndarray, tape: np.ndarray) -> np.ndarray:
        """Cost per period of order-up-to `levels` (stages, settings) under common luck: (settings, worlds)."""
        settings, worlds = levels.shape[1], tape.shape[-1]
        repeated = np.tile(tape, (1, 1, settings))
        costs = cost_per_period(network, constant(network, np.repeat(levels, worlds, axis=1)), repeated, self.warm_up)
        return costs.reshape(settings, worlds)


def constant(network: Network, levels: np.ndarray) -> Policy:
    """The same order-up-to levels (stages, worlds) in every period."""
    decisions = no_effort(network, levels)
    return lambda *_: decisions


def check(data: dict) -> list[Result]:
    """Rows for every instance of a file; one that the model cannot play is skipped with the reason.

    Raises ValueError that names the place of what is broken.
    """
    return [
        row
        for instance in Entry(data)["instances"]
        for row in played([instance], lambda one: _check(one[0]), _name, _source(instance))
    ]


def _name(instance: Entry) -> str:
    return instance.label("name", instance.path)


def _source(instance: Entry) -> str:
    return instance.label("source", "the file").split(";")[0]


def _check(instance: Entry) -> list[Result]:
    system, optimum = read_instance(instance), instance["C_star_exact"].number(0)
    rows = [] if "optimal_local_base_stock" not in instance else [_local_levels(instance, system)]
    cut = system.demand.below_zero()
    if cut > CUT:
        reason = f"demand is negative in {cut:.1%} of periods in the source, and the model cuts it at 0"
        return [*rows, skip(f"{system.name}: cost of echelon order-up-to", system.source, reason)]
    return rows + optimal_cost(system, optimum) + [nothing_beats(system, optimum), cascade_control(system)]


def _local_levels(instance: Entry, system: Serial) -> Result:
    given = instance["optimal_local_base_stock"].numbers()
    if len(given) != system.stages:
        raise instance["optimal_local_base_stock"].refused(f"one level for each of {system.stages} stages is needed")
    plain = np.diff(system.echelon, prepend=0.0)  # the same, where a stage higher up never has the lower level
    apart = float(min(np.abs(np.array(given) - levels).max() for levels in (system.local, plain)))
    return Result(f"{system.name}: local levels follow from the echelon levels", system.source, 0.0, apart, 1e-9)


def optimal_cost(system: Serial, optimum: float) -> list[Result]:
    """Cost of echelon order-up-to at the levels of `system`, against the optimum; and how well it is measured."""
    network, levels = system.echelon_network, np.array(system.echelon)[:, None]

    def sample(rng: np.random.Generator) -> np.ndarray:
        return system.cost(network, levels, system.tape(rng, WORLDS, PERIODS))[0]

    got = estimate(sample, optimum, system.name)
    return [
        Result(f"{system.name}: cost of echelon order-up-to", system.source, optimum, got.mean, 3 * got.error),
        Result(
            f"{system.name}: standard error of that cost is at most 0.3 %",
            "model, section 7.2",
            SHARE * optimum,
            got.error,
            0.0,
            bound="at_most",
        ),
    ]


def nothing_beats(system: Serial, optimum: float) -> Result:
    """The cheapest of many other echelon levels, tried under common luck, against the optimum."""
    best = np.array(system.echelon)
    moved = [best]
    for shift in SHIFTS:
        moved += [best * (1 + shift * (np.arange(system.stages) == stage)) for stage in range(system.stages)]
        moved.append(best * (1 + shift))
    levels = np.array(moved).T

    def cheapest(rng: np.random.Generator) -> np.ndarray:
        costs = system.cost(system.echelon_network, levels, system.tape(rng, TRIED_WORLDS, TRIED_PERIODS))
        return costs[costs.mean(axis=1).argmin()]

    got = estimate(cheapest, optimum, f"{system.name}/others", bound="at_least", fine=SHARE)
    name = f"{system.name}: none of {levels.shape[1]} echelon policies is cheaper than the optimum"
    return Result(name, system.source, optimum, got.mean, 3 * got.error, bound="at_least")


def cascade_control(system: Serial) -> Result:
    """With cascade ordering local and echelon levels cost the same in every world: a shared twin is worth nothing."""
    name = f"{system.name}: cascade ordering, what a shared twin saves in any world"
    if min(system.local) < 0:
        return skip(name, "negative control", "a level below 0 cannot be on hand at the start")
    tape = system.tape(stream(SEED, 0, f"{system.name}/cascade"), 100, 200)
    echelon = system.cost(system.echelon_network, np.array(system.echelon)[:, None], tape)
    local = system.network("order_up_to", "cascade")
    apart = np.abs(echelon - system.cost(local, np.array(system.local)[:, None], tape))
    return Result(name, "negative control", 0.0, float(apart.max()), 1e-9 * max(1.0, float(echelon.mean())))


def read_instance(instance: Entry) -> Serial:
    """A serial system as `clark_scarf_instances.json` gives it.

    Raises ValueError that names the place of what is broken, `Unplayable` for lead times or a demand that no check has.
    """
    parameters = instance["parameters"]
    echelon = instance["optimal_echelon_base_stock"]
    levels = echelon.numbers()
    stages = len(levels)

    def per_stage(entry: Entry, least: float) -> list[float]:
        """One number per stage: a list, a mapping by stage, or one number for all."""
        if isinstance(entry.value, dict):
            order = [str(i.value) for i in parameters["stages_downstream_to_upstream"]]
            return [entry[stage].number(least) for stage in order]
        numbers = entry.numbers(least) if isinstance(entry.value, list) else [entry.number(least)] * stages
        if len(numbers) != stages:
            raise entry.refused(f"one number for each of {stages} stages is needed, as in {echelon.path}")
        return numbers

    def periods(name: str, least: int) -> tuple[int, ...]:
        numbers = per_stage(parameters[name], 0)
        if any(number != round(number) or number < least for number in numbers):
            listed = ", ".join(f"{number:g}" for number in numbers)
            raise Unplayable(f"{parameters[name].path}: {listed}; the check plays whole periods from {least} on")
        return tuple(int(number) for number in numbers)

    if not levels:
        raise echelon.refused("one level per stage is needed")
    if "local_holding_cost" in parameters:
        holding = per_stage(parameters["local_holding_cost"], 0)
    else:  # a stage's own rate is what it and all stages above it add
        holding = list(np.cumsum(per_stage(parameters["echelon_holding_cost"], 0)[::-1])[::-1])
    return Serial(
        name=_name(instance),
        source=_source(instance),
        holding=tuple(float(h) for h in holding),
        lead_time=periods("lead_time", 1),
        order_lead_time=periods("order_lead_time", 0) if "order_lead_time" in parameters else (0,) * stages,
        penalty=parameters["stockout_cost_stage1"].number(0),
        demand=read_demand(parameters["demand"]),
        echelon=tuple(levels),
    )


EXAMPLE = Serial(
    name="example 6.1",
    source="Snyder & Shen (2019), example 6.1",
    holding=(7.0, 4.0, 2.0),
    lead_time=(1, 1, 2),
    order_lead_time=(0, 0, 0),
    penalty=37.12,
    demand=Normal(5.0, 1.0),
    echelon=(6.4909, 12.0176, 22.7055),
)
OPTIMUM = 47.6602  # money per period
# "About 50.9", and a shared twin worth "about 6.5 %", says the model's section 7.2; the search here finds 50.8.
BEST_LOCAL, SAVED = 50.9, 6.5


def builtin() -> list[Result]:
    """Example 6.1: its optimum, and what the best local levels on own twins cost."""
    return [
        *optimal_cost(EXAMPLE, OPTIMUM),
        nothing_beats(EXAMPLE, OPTIMUM),
        cascade_control(EXAMPLE),
        *best_local_levels(),
    ]


def best_local_levels() -> list[Result]:
    """Example 6.1 on own twins: orders take a period per stage to carry demand upstream."""
    local, echelon = best_local_cost()
    saved = 100 * (local / echelon - 1)
    where = "model, section 7.2"
    return [
        Result("example 6.1: cost of the best local levels on own twins", where, BEST_LOCAL, local, 0.2),
        Result("example 6.1: what own twins cost more than a shared one, in %", where, SAVED, saved, 0.3),
    ]


def best_local_cost() -> tuple[float, float]:
    """Cost per period of the best local levels in example 6.1, and of the best echelon levels on the same luck.

    The local levels are searched for under one luck, by a shrinking grid, and measured under another.
    """
    network = EXAMPLE.network("order_up_to")
    # Every stage but the first learns of demand a period late, and holds that much more.
    centre = np.array(EXAMPLE.local) + EXAMPLE.demand.mean * np.array([0, 1, 1])
    tape = EXAMPLE.tape(stream(SEED, 0, "search"), 40, 300)
    for step in (0.6, 0.3, 0.15):
        moves = step * np.array(np.meshgrid(*[[-2, -1, 0, 1, 2]] * 3)).reshape(3, -1)
        costs = EXAMPLE.cost(network, centre[:, None] + moves, tape).mean(axis=1)
        centre = centre + moves[:, costs.argmin()]
    measured = EXAMPLE.tape(stream(SEED, 0, "measure"), 2 * WORLDS, PERIODS)
    local = float(EXAMPLE.cost(network, centre[:, None], measured).mean())
    return local, float(EXAMPLE.cost(EXAMPLE.echelon_network, np.array(EXAMPLE.echelon)[:, None], measured).mean())
