"""Problems whose optimum or equilibrium is known, on which learners show what they can be trusted with.

Each measures a trained policy by one number, on luck that it was not trained on, against what is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kaizen_env import Scenario, build, load_scenario
from kaizen_env.dynamics import end_customer_value
from kaizen_env.scenarios.team import COST_OF_EFFORT, VALUE_OF_EFFORT
from kaizen_env.verification.clark_scarf import best_local_cost
from kaizen_env.verification.inventory_game import Game, exact_costs

from .clark_scarf import serial_levels
from .policy import Policy
from .rollout import run
from .training import Task

FRESH = 10**6  # evaluation worlds begin here, far from any training's
SETTLED = 50  # periods after which the start is forgotten


@dataclass(frozen=True)
class Found:
    """What a policy reached."""

    value: float
    error: float  # standard error, 0 where there is no luck


@dataclass(frozen=True)
class Problem:
    """A scenario and a regime in which something is known; `measure` says what a policy makes of it."""

    name: str
    scenario: Scenario
    regime: str
    what: str  # is measured, with its unit
    known: float
    source: str

    @property
    def task(self) -> Task:
        return Task.of(self.scenario, self.regime)

    def measure(self, policy: Policy) -> Found:
        raise NotImplementedError


class SerialProblem(Problem):
    """Cost per period of a serial system, after the start is forgotten."""

    worlds, periods = 1000, 200

    def measure(self, policy: Policy) -> Found:
        costs = _costs(policy, self.scenario, self.regime, self.worlds, self.periods)
        return Found(float(costs.mean()), float(costs.std(ddof=1) / np.sqrt(len(costs))))


class EffortProblem(Problem):
    """Mean effort in the team's game."""

    def measure(self, policy: Policy) -> Found:
        decided = run(policy, self.scenario, self.regime, [FRESH], record=("decisions",)).trajectory
        assert decided is not None
        assert decided.decisions is not None
        return Found(float(decided.decisions.effort[:, 0].mean()), 0.0)


@dataclass(frozen=True)
class LevelProblem(Problem):
    """Mean order-up-to level of one company, over an episode."""

    company: int

    def measure(self, policy: Policy) -> Found:
        seeds = range(FRESH, FRESH + 20)
        decided = run(policy, self.scenario, self.regime, seeds, record=("decisions",)).trajectory
        assert decided is not None
        assert decided.decisions is not None
        levels = decided.decisions.order[:, self.company].mean(axis=0)
        return Found(float(levels.mean()), float(levels.std(ddof=1) / np.sqrt(len(levels))))


class GameProblem(Problem):
    """Total cost of the beer game, which has no luck."""

    def measure(self, policy: Policy) -> Found:
        episode = run(policy, self.scenario, self.regime, [FRESH])
        return Found(-float(episode.end_customer_value[0]) * self.scenario.periods, 0.0)


def _costs(policy: Policy, scenario: Scenario, regime: str, worlds: int, periods: int) -> np.ndarray:
    """Cost per period (worlds,) on fresh luck: minus end-customer value, where prices and values are 0."""
    longer = scenario.changed(periods=SETTLED + periods)
    seeds = range(FRESH, FRESH + worlds)
    trajectory = run(policy, longer, regime, seeds, record=("books",)).trajectory
    assert trajectory is not None
    assert trajectory.books is not None
    return -end_customer_value(trajectory.network, trajectory.books)[SETTLED:].mean(axis=0)


# --- the problems ------------------------------------------------------------------------------------------------


def serial(
    name: str,
    holding: Sequence[float],
    lead_time: Sequence[int],
    shortage: float,
    demand: dict[str, object],
    replenishment: str = "quantity",
) -> Scenario:
    """A serial system, stage 1 (downstream) first, with local holding rates; goods under way at the seller's rate.

    It starts with one period's demand on hand at every stage and full pipelines, which gives no level away.
    """
    stages = [f"stage_{i + 1}" for i in range(len(holding))]
    mean = demand["mean"]
    return Scenario.model_validate(
        {
            "name": name,
            "periods": 60,
            "replenishment": replenishment,
            "transit_holding": "seller",
            "companies": [
                {"name": stage, "holding_cost": h, "initial_on_hand": mean}
                for stage, h in zip(stages, holding, strict=True)
            ],
            "supply_links": [{"buyer": stages[-1], "lead_time": lead_time[-1]}],
            "trade_links": [
                {"seller": seller, "buyer": buyer, "transit_time": time}
                for buyer, seller, time in zip(stages, stages[1:], lead_time, strict=False)
            ],
            "market_links": [
                {"seller": stages[0], "market": "customers", "penalty": shortage, "waiting_cost": shortage}
            ],
            "markets": [{"name": "customers", "demand": demand}],
        }
    )


def example_6_1(replenishment: str = "quantity") -> Scenario:
    """Snyder & Shen (2019), example 6.1."""
    demand = {"process": "normal", "mean": 5, "sd": 1}
    return serial("example_6_1", (7, 4, 2), (1, 1, 2), 37.12, demand, replenishment)


def shang_song_9(replenishment: str = "quantity") -> Scenario:
    """Shang & Song (2003), table 1, row 9, with a period of a quarter of a unit of time."""
    demand = {"process": "poisson", "mean": 4}
    return serial("shang_song_9", (5.5, 5.25, 2.75, 0.25), (1, 1, 1, 1), 9.0, demand, replenishment)


LARGEST_LEVEL = 25  # units; no equilibrium of the inventory game lies beyond
GAME = Game(5, 1, 1, 2.0, 1.0, 15.0)  # Cachon & Zipkin (1999): demand, lead times, holding of both, penalty


def inventory_game(share: float) -> Scenario:
    """The inventory game with the retailer's share of the penalty; customers bear what the penalty makes good.

    Both start with two periods' demand, so that `order`, which goes up to twice what keeps the stocks of the start,
    reaches every equilibrium.
    """
    scenario = GAME.scenario(share)
    link = scenario.market_links[0]
    return scenario.changed(
        companies=[c.model_copy(update={"initial_on_hand": 2 * GAME.demand}) for c in scenario.companies],
        market_links=[link.model_copy(update={"waiting_cost": link.penalty})],
        periods=60,
    )


def equilibrium(share: float) -> tuple[int, int]:
    """Levels (retailer, supplier) from which neither firm gains by moving alone, by enumeration of exact costs.

    Raises ValueError unless there is just one such pair.
    """
    pairs = [(r, s) for r in range(LARGEST_LEVEL) for s in range(LARGEST_LEVEL)]
    cost = np.array([exact_costs(GAME, pair, share) for pair in pairs]).reshape(LARGEST_LEVEL, LARGEST_LEVEL, 2)
    best = (cost[..., 0] == cost[..., 0].min(axis=0)) & (cost[..., 1] == cost[..., 1].min(axis=1, keepdims=True))
    found = np.argwhere(best)
    if len(found) != 1:
        raise ValueError(f"{len(found)} equilibria at the retailer's share {share:g}; choose a share with one")
    return int(found[0, 0]), int(found[0, 1])


def cooperation() -> tuple[int, int]:
    """Levels (retailer, supplier) that cost both together least."""
    pairs = [(r, s) for r in range(LARGEST_LEVEL) for s in range(LARGEST_LEVEL)]
    total = [sum(exact_costs(GAME, pair, 0.5)) for pair in pairs]
    return pairs[int(np.argmin(total))]


def problems(replenishment: str = "quantity") -> list[Problem]:
    """All of them; serial systems take orders in the `replenishment` given."""
    found: list[Problem] = []
    for scenario, source in (
        (example_6_1(replenishment), "Snyder & Shen (2019), example 6.1"),
        (shang_song_9(replenishment), "Shang & Song (2003), table 1, row 9"),
    ):
        _, least = serial_levels(build(scenario))
        found.append(SerialProblem(scenario.name, scenario, "kaizen2", "cost per period", least, source))
    local = example_6_1("quantity" if replenishment == "quantity" else "order_up_to")
    found.append(
        SerialProblem(
            "example_6_1, own twins",
            local,
            "aligned",
            "cost per period",
            best_local_cost()[0],
            "best local levels, by search",
        )
    )
    for n in (2, 4, 8):
        team = load_scenario({"team": {"companies": n}})
        for regime, effort in (
            ("isolated", VALUE_OF_EFFORT / (n * COST_OF_EFFORT)),
            ("aligned", VALUE_OF_EFFORT / COST_OF_EFFORT),
        ):
            found.append(EffortProblem(f"team of {n}", team, regime, "effort", effort, "Holmstrom (1982)"))
    for share in (0.3, 0.5, 0.9):
        for company, level in zip((0, 1), equilibrium(share), strict=True):
            name = f"inventory game, share {share:g}"
            source = "Cachon & Zipkin (1999), equilibrium"
            what = f"level of the {('retailer', 'supplier')[company]}"
            found.append(LevelProblem(name, inventory_game(share), "isolated", what, level, source, company))
    for company, level in zip((0, 1), cooperation(), strict=True):
        what = f"level of the {('retailer', 'supplier')[company]}"
        source = "Cachon & Zipkin (1999), optimum"
        found.append(LevelProblem("inventory game", inventory_game(0.5), "aligned", what, level, source, company))
    game = load_scenario("beer_game").changed(forced_periods=4)
    found.append(GameProblem("beer game", game, "kaizen2", "total cost", 158.0, "linear programme with foresight"))
    return found
