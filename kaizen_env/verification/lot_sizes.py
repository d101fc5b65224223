"""Lot sizes for a demand that is known: the economic order quantity, and Wagner & Whitin (1958).

Costs of ordering are no part of the model; they are charged here, on the orders that the flows show.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from ..build import build
from ..demand import Constant
from ..description import Company, Market, MarketLink, Scenario, SupplyLink
from ..dynamics import Decisions, State
from ..luck import from_demand
from ..network import Network
from ..simulation import no_effort, simulate
from .reading import Entry
from .results import Result, skip

CYCLE = 10  # periods from order to order at the economic order quantity
TRIED = np.arange(6, 17)  # periods from order to order, tried beside it
MOST_PERIODS = 12  # of which every plan is tried: 2¹¹ worlds
ROUNDING = 1e-9  # relative


def economic_order_quantity(instance: Entry, name: str, source: str, close: float) -> list[Result]:
    """Rows for an EOQ instance, simulated in periods of a tenth of the optimal cycle.

    Demand flows evenly, so a period's mean stock is its closing stock and half its demand.
    """
    parameters = instance["parameters"]
    fixed, holding = parameters["K"].number(0), parameters["h"].number(0)
    rate, quantity = parameters["demand_rate"].number(0), instance["Q_star"].number(0)
    expected = instance["cost_star"].number(0)
    if min(rate, quantity, holding) == 0:
        raise parameters.refused("demand_rate, h and Q_star must be above 0")
    days = quantity / (CYCLE * rate)  # the file's unit of time is a day here
    network = one_company(holding, 0.0, days, rate)
    per_period = rate * days
    lots = per_period * TRIED  # one world per lot size

    def decide(network: Network, state: State, t: int) -> Decisions:
        return no_effort(network, np.where(state.on_hand < per_period / 2, lots, 0.0))

    periods = int(TRIED.max()) * 12
    run = simulate(
        network,
        decide,
        from_demand(network, np.full((periods + 1, 1, len(TRIED)), per_period)),
        record=("flows", "books"),
    )
    assert run.flows is not None
    assert run.books is not None
    charged = run.books.stock_holding[:, 0] + holding * days * per_period / 2 + fixed * (run.flows.ordered[:, 0] > 0)
    # Whole cycles only, of which each lot size has its own number.
    costs = [charged[: periods // n * n, world].mean() / days for world, n in enumerate(TRIED)]
    best = costs[int(np.flatnonzero(TRIED == CYCLE)[0])]
    exact = math.sqrt(2 * fixed * rate / holding)
    return [
        Result(f"{name}: economic order quantity", f"{source}; √(2KD/h)", exact, quantity, close * exact),
        Result(f"{name}: simulated cost", source, expected, float(best), close * expected),
        Result(
            f"{name}: no lot size tried is cheaper", source, expected, float(min(costs)), close * expected, "at_least"
        ),
    ]


def wagner_whitin(instance: Entry, name: str, source: str, close: float) -> list[Result]:
    """Rows for a Wagner-Whitin instance: the plan given, and every other plan that orders only when stock is out."""
    parameters = instance["parameters"]
    demand = parameters["demand"].numbers(0)
    periods = len(demand)
    if "num_periods" in parameters and parameters["num_periods"].whole(1) != periods:
        raise parameters["num_periods"].refused(f"demand has {periods} periods")
    holding, fixed = parameters["holding_cost"].number(0), parameters["fixed_cost"].number(0)
    price = parameters.get("purchase_cost", 0.0)
    quantities = instance["order_quantities"].numbers(0)
    if len(quantities) == periods + 1 and quantities[0] == 0:
        quantities = quantities[1:]  # counted from period 1
    if len(quantities) != periods:
        raise instance["order_quantities"].refused(f"one quantity for each of {periods} periods is needed")
    expected = instance["cost_star"].number(0)
    cost, short = _planned(np.array(quantities)[:, None], demand, holding, fixed, price)
    least = _least_cost(demand, holding, fixed, price)
    rows = [
        Result(f"{name}: simulated cost of the plan", source, expected, float(cost[0]), close * max(expected, 1.0)),
        Result(f"{name}: largest backlog under the plan", source, 0.0, float(short[0]), ROUNDING),
        Result(f"{name}: least cost by dynamic programming", source, expected, least, close * max(expected, 1.0)),
    ]
    if periods > MOST_PERIODS:
        reason = f"{periods} periods have too many plans; all are tried up to {MOST_PERIODS}"
        return [*rows, skip(f"{name}: cheapest of all plans", source, reason)]
    cheapest = float(_planned(_all_plans(demand), demand, holding, fixed, price)[0].min())
    title = f"{name}: cheapest of all {2 ** (periods - 1)} plans"
    return [*rows, Result(title, source, expected, cheapest, close * max(expected, 1.0))]


def one_company(holding: float, price: float, days: float = 1.0, rate: float = 1.0) -> Network:
    """A company whose supplier delivers within the period, and that starts with nothing."""
    return build(
        Scenario(
            name="lot sizes",
            period_days=days,
            replenishment="quantity",
            initial_pipelines="empty",
            companies=[Company(name="company", holding_cost=holding)],
            supply_links=[SupplyLink(buyer="company", lead_time=0.0, price=price)],
            market_links=[MarketLink(seller="company", market="customers")],
            markets=[Market(name="customers", demand=Constant(mean=rate))],
        )
    )


def _planned(
    orders: np.ndarray, demand: list[float], holding: float, fixed: float, price: float
) -> tuple[np.ndarray, np.ndarray]:
    """Total cost, and largest backlog, of plans (periods, worlds): two of (worlds,)."""
    network = one_company(holding, price)

    def decide(network: Network, state: State, t: int) -> Decisions:
        return no_effort(network, orders[t][None])

    tape = np.repeat(np.array([*demand, 0.0])[:, None, None], orders.shape[1], axis=2)
    run = simulate(network, decide, from_demand(network, tape), record=("states", "flows"))
    assert run.states is not None
    assert run.flows is not None
    unfilled = run.states.backlog[:, 0] - run.flows.shipped[:, 0]
    return fixed * (run.flows.ordered[:, 0] > 0).sum(axis=0) - run.final.cash[0], unfilled.max(axis=0)


def _all_plans(demand: list[float]) -> np.ndarray:
    """Every plan that orders, in periods of its choice, what suffices until it orders again: (periods, plans)."""
    plans = []
    for chosen in product((True, False), repeat=len(demand) - 1):
        plan = [0.0] * len(demand)
        last = 0
        for t, units in enumerate(demand):
            last = t if t > 0 and chosen[t - 1] else last
            plan[last] += units
        plans.append(plan)
    return np.array(plans).T


def _least_cost(demand: list[float], holding: float, fixed: float, price: float) -> float:
    """Wagner & Whitin (1958): the cheapest last order, over the cheapest way to get there."""
    cheapest = [0.0]
    for end in range(1, len(demand) + 1):
        ways = []
        for first in range(end):
            units = demand[first:end]
            held = sum(holding * wait * unit for wait, unit in enumerate(units))
            ways.append(cheapest[first] + fixed * (sum(units) > 0) + held + price * sum(units))
        cheapest.append(min(ways))
    return cheapest[-1]
