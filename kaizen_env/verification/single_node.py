"""One company: newsvendor, base stock and (s, S) levels; lot sizes for known demand are in `lot_sizes`.

In the literature a period runs order, receipt, demand, cost. In the model a company orders after the period's demand,
and what it gets meets the next one: a lead time of L there is a supply lead time of L + 1 here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np

from ..build import build
from ..demand import Constant
from ..description import Company, Market, MarketLink, Scenario, SupplyLink, TradeLink
from ..dynamics import Decisions, State
from ..luck import from_demand, stream
from ..network import Network
from ..replenishment import inventory_position
from ..simulation import no_effort, simulate
from .demands import Demand, Discrete, Normal, read_demand
from .lot_sizes import economic_order_quantity, wagner_whitin
from .reading import Entry
from .results import Result, Unplayable, played, skip
from .sampling import SEED, cost_per_period, estimate

WORLDS, PERIODS = 1000, 400
SETTLED = 100  # periods after which the start is forgotten, beyond the lead time and some cycles of orders
CUT = 1e-3  # of periods with negative demand, above which cutting it at 0 is no longer the demand of the source
EXACT = 1e-6  # relative; of numbers that are computed and not sampled
ROUNDED = 1e-5  # relative; of numbers published with five digits


def check(data: dict) -> list[Result]:
    """Rows for every instance of a file; one that the model cannot play is skipped with the reason.

    Raises ValueError that names the place of what is broken.
    """
    return [
        row
        for instance in Entry(data)["instances"]
        for row in played([instance], lambda one: check_instance(one[0]), _name, _source(instance))
    ]


def _name(instance: Entry) -> str:
    return instance.label("name", instance.path)


def _source(instance: Entry) -> str:
    return instance.label("source", "the file").split(";")[0]


def check_instance(instance: Entry, close: float = EXACT) -> list[Result]:
    """Rows for one instance, of the kind that its parameters show; `close` is the relative tolerance of the exact."""
    parameters = instance["parameters"]
    given = set(parameters.fields())
    for _, needed, rows in KINDS:
        if given >= needed:
            return rows(instance, _name(instance), _source(instance), close)
    allowed = "; ".join(f"{kind}: {', '.join(sorted(needed))}" for kind, needed, _ in KINDS)
    raise parameters.refused(f"the parameters of one kind of instance are needed ({allowed}; with the demand)")


def base_stock(instance: Entry, name: str, source: str, close: float) -> list[Result]:
    """Newsvendor and base stock: the level is a critical quantile, and costs what the loss says, and the simulation."""
    parameters = instance["parameters"]
    holding, penalty = parameters["h"].number(0), parameters["p"].number(0)
    if holding + penalty == 0:
        raise parameters.refused("h or p must be above 0")
    demand, lead_time = read_demand(parameters), _lead_time(parameters)
    level, expected = instance["S_star"].number(), instance["cost_star"].number(0)
    covered = demand.total(lead_time + 1)
    best = covered.quantile(penalty / (holding + penalty))
    over, under = covered.over_and_under(level)
    network = company(lead_time + 1, holding, penalty, "order_up_to", level)
    levels = no_effort(network, np.full((1, WORLDS), level))

    def sample(rng: np.random.Generator) -> np.ndarray:
        return cost_per_period(network, lambda *_: levels, _tape(demand, rng, lead_time), SETTLED + lead_time)

    return [
        Result(f"{name}: level is the critical quantile", source, best, level, close * max(abs(best), 1.0)),
        Result(f"{name}: exact cost", source, expected, holding * over + penalty * under, close * expected),
        _simulated(name, source, expected, demand, sample),
    ]


def by_profit(instance: Entry, name: str, source: str, close: float) -> list[Result]:
    """Newsvendor by profit: what is left over is salvaged, what is short is lost, at `stockout_cost` where it is given.

    A unit left over is worth its salvage value, so only what it costs beyond that is at risk: it is bought at cost −
    salvage, sold at revenue − salvage, and spoils. The critical ratio is (r − c + g) / (r − s + g), with g the stockout
    cost (loss of goodwill) per lost unit, over and above the margin (Snyder & Shen 2019, section 4.3).
    """
    parameters = instance["parameters"]
    revenue, cost = parameters["revenue"].number(), parameters["purchase_cost"].number()
    salvage, stockout = parameters["salvage"].number(), parameters.get("stockout_cost", 0.0, 0)
    if not revenue > cost > salvage:
        raise parameters.refused("revenue above purchase_cost above salvage is needed")
    demand = read_demand(parameters)
    level, expected = instance["S_star"].number(0), instance["expected_profit"].number()
    best = demand.quantile((revenue - cost + stockout) / (revenue - salvage + stockout))
    short = demand.over_and_under(level)[1]
    exact = (revenue - salvage) * (demand.mean - short) - (cost - salvage) * level - stockout * short
    prices = {"price": revenue - salvage, "cost": cost - salvage}
    network = company(1, 0.0, 0.0, "quantity", 0.0, **prices, perishable=True, lost_sale_cost=stockout)
    orders = no_effort(network, np.full((1, WORLDS), level))

    def sample(rng: np.random.Generator) -> np.ndarray:
        return -cost_per_period(network, lambda *_: orders, _tape(demand, rng, 0), SETTLED)

    return [
        Result(f"{name}: level is the critical quantile", source, best, level, close * max(abs(best), 1.0)),
        Result(f"{name}: exact profit", source, expected, exact, close * abs(expected)),
        _simulated(name, source, expected, demand, sample, "profit"),
    ]


def reorder_levels(instance: Entry, name: str, source: str, close: float) -> list[Result]:
    """(s, S): at s or less, order up to S, at K an order. Simulated, and by the renewal formula.

    Costs of ordering are no part of the model; K is charged on the orders that the flows show.
    """
    parameters = instance["parameters"]
    holding, penalty, fixed = (parameters[key].number(0) for key in ("h", "p", "K"))
    demand, lead_time = read_demand(parameters), _lead_time(parameters)
    low, high = instance["s"].number(), instance["S"].number()
    if high <= low:
        raise instance["S"].refused(f"a number above s = {low:g} is needed")
    expected = instance["cost_star"].number(0)
    network = company(lead_time + 1, holding, penalty, "quantity", max(high, 0.0))
    warm_up = SETTLED + lead_time + 20 * math.ceil((high - low) / demand.mean)

    def decide(network: Network, state: State, t: int) -> Decisions:
        position = inventory_position(network, state)
        return no_effort(network, np.where(position <= low, high - position, 0.0))

    def sample(rng: np.random.Generator) -> np.ndarray:
        return _cost_with_orders(network, decide, _tape(demand, rng, warm_up - SETTLED), warm_up, fixed)

    simulated = _simulated(name, source, expected, demand, sample)
    if not isinstance(demand, Discrete) or any(x != round(x) for x in (low, high, *demand.values)):
        reason = "the renewal formula here is for whole units only"
        return [skip(f"{name}: exact cost", source, reason), simulated]
    table = renewal_costs(demand, lead_time, holding, penalty, fixed, int(low), int(high))
    return [
        Result(f"{name}: exact cost", source, expected, table[int(low), int(high)], close * expected),
        Result(
            f"{name}: none of {len(table)} (s, S) around is cheaper",
            source,
            expected,
            min(table.values()),
            close * expected,
            "at_least",
        ),
        simulated,
    ]


def renewal_costs(
    demand: Discrete, lead_time: int, holding: float, penalty: float, fixed: float, low: int, high: int
) -> dict[tuple[int, int], float]:
    """Exact cost per period of (s, S) for every s and S within twice the distance of the given ones, and 10 more.

    Zheng & Federgruen (1991), eq. 1: (K + Σ m(j)·G(S − j)) / Σ m(j) over j < S − s, with m the renewal density of
    demand and G the expected cost of a position, over the lead time and a period.
    """
    reach = high - low + 10
    probability = np.zeros(4 * reach + 1)
    inside = demand.values <= 4 * reach
    probability[demand.values[inside].astype(int)] = demand.probabilities[inside]
    density = np.zeros(4 * reach)
    for j in range(len(density)):
        density[j] = ((j == 0) + density[:j] @ probability[j:0:-1]) / (1.0 - probability[0])
    covered = demand.total(lead_time + 1)
    positions = range(low - reach, high + reach + 1)
    cost = {y: holding * over + penalty * under for y in positions for over, under in [covered.over_and_under(y)]}
    table = {}
    for upper in range(high - reach, high + reach + 1):
        steps = upper - max(low - reach, upper - len(density))
        weight = density[: max(steps, 0)]
        spent = fixed + np.cumsum(weight * [cost[upper - j] for j in range(len(weight))])
        for j, value in enumerate(spent / np.cumsum(weight)):
            table[upper - j - 1, upper] = float(value)
    return table


def company(
    lead_time: int,
    holding: float,
    penalty: float,
    replenishment: str,
    stock: float,
    *,
    price: float = 0.0,
    cost: float = 0.0,
    perishable: bool = False,
    lost_sale_cost: float = 0.0,
) -> Network:
    """A company between an external supplier and a market; `perishable`: stock spoils at once, unfilled demand is lost.

    `lost_sale_cost` is per unit of it.
    """
    return build(
        Scenario.model_validate(
            {
                "name": "one company",
                "replenishment": replenishment,
                "initial_pipelines": "empty",
                "companies": [
                    Company(
                        name="company",
                        holding_cost=holding,
                        initial_on_hand=max(stock, 0.0),
                        spoilage=float(perishable),
                    )
                ],
                "supply_links": [SupplyLink(buyer="company", lead_time=lead_time, price=cost)],
                "market_links": [
                    MarketLink(
                        seller="company",
                        market="customers",
                        price=price,
                        penalty=penalty,
                        unfilled="lost" if perishable else "backlog",
                        lost_sale_cost=lost_sale_cost,
                    )
                ],
                "markets": [Market(name="customers", demand=Constant(mean=1.0))],
            }
        )
    )


def _lead_time(parameters: Entry) -> int:
    """Whole periods from order to receipt, counted as in the literature."""
    for name in ("lead_time_order_before_demand", "lead_time"):
        if name in parameters:
            periods = parameters[name].number(0)
            if periods != round(periods):
                raise Unplayable(f"{parameters[name].path}: {periods:g}; the check plays whole periods")
            return int(periods)
    return 0


def _tape(demand: Demand, rng: np.random.Generator, extra: int) -> np.ndarray:
    return demand.draw(rng, (SETTLED + extra + PERIODS + 1, 1, WORLDS))


def _simulated(
    name: str,
    source: str,
    expected: float,
    demand: Demand,
    sample: Callable[[np.random.Generator], np.ndarray],
    what: str = "cost",
) -> Result:
    if demand.below_zero() > CUT:
        reason = f"demand is negative in {demand.below_zero():.1%} of periods in the source; the model cuts it at 0"
        return skip(f"{name}: simulated {what}", source, reason)
    got = estimate(sample, expected, name)
    return Result(f"{name}: simulated {what}", source, expected, got.mean, 3 * got.error)


def _cost_with_orders(
    network: Network, decide: Callable[..., Decisions], tape: np.ndarray, warm_up: int, fixed: float
) -> np.ndarray:
    """Cost per period and world, with `fixed` per order placed: (worlds,)."""
    before = simulate(network, decide, from_demand(network, tape[: warm_up + 1]), record=()).final
    run = simulate(network, decide, from_demand(network, tape[warm_up:]), record=("flows",), start=before)
    assert run.flows is not None
    return (fixed * (run.flows.ordered[:, 0] > 0).sum(axis=0) - (run.final.cash - before.cash)[0]) / run.periods


KINDS: list[tuple[str, set[str], Callable[[Entry, str, str, float], list[Result]]]] = [
    ("newsvendor by profit", {"revenue", "purchase_cost", "salvage"}, by_profit),
    ("Wagner-Whitin", {"holding_cost", "fixed_cost", "demand"}, wagner_whitin),
    ("economic order quantity", {"K", "h", "demand_rate"}, economic_order_quantity),
    ("(s, S)", {"K", "h", "p"}, reorder_levels),
    ("newsvendor or base stock", {"h", "p"}, base_stock),
]
"""Kinds of instance: name, the parameters that show it (the most special first), and its rows."""


def builtin() -> list[Result]:
    """Closed forms and published numbers, and what a shared twin is worth where it can be worth nothing."""
    rows = [row for instance in _published() for row in check_instance(Entry(instance), ROUNDED)]
    return [*rows, *zero_value_of_information()]


def _published() -> list[dict[str, Any]]:
    ratio, unit = 0.7 / 0.88, NormalDist()
    z = unit.inv_cdf(ratio)
    goodwill = unit.inv_cdf((129 - 65 + 15) / (129 - 22 + 15))
    return [
        {
            "name": f"newsvendor N(50, 8), lead time {lead_time}",
            "source": "closed form: μ + zσ, (h + p)·φ(z)·σ",
            "parameters": {"h": 0.18, "p": 0.7, "mu": 50, "sd": 8, "lead_time_order_before_demand": lead_time},
            "S_star": 50 * (lead_time + 1) + z * 8 * math.sqrt(lead_time + 1),
            "cost_star": 0.88 * unit.pdf(z) * 8 * math.sqrt(lead_time + 1),
        }
        for lead_time in (0, 4)
    ] + [
        {
            "name": "newsvendor with lost sales, N(900, 60)",
            "source": "Snyder & Shen (2019), problem 4.1; closed form (r − c)μ − (r − s + g)·φ(z)·σ",
            "parameters": {
                "revenue": 129,
                "purchase_cost": 65,
                "salvage": 22,
                "stockout_cost": 15,
                "mu": 900,
                "sd": 60,
            },
            "S_star": 900 + goodwill * 60,
            "expected_profit": (129 - 65) * 900 - (129 - 22 + 15) * unit.pdf(goodwill) * 60,
        },
        {
            # The holding cost of 1 per unit left over is taken off the salvage value of 1.5.
            "name": "newsvendor with lost sales, N(50, 10)",
            "source": "stockpyl, tests: Snyder & Shen (2019), problem 4.3(b), with holding cost 1 and stockout cost 5",
            "parameters": {
                "revenue": 7,
                "purchase_cost": 2.5,
                "salvage": 0.5,
                "stockout_cost": 5,
                "mu": 50,
                "sd": 10,
            },
            "S_star": 59.388143168769034,
            "expected_profit": 195.4729310431908,
        },
        {
            "name": "(s, S), Poisson(25)",
            "source": "Zheng & Federgruen (1991), h = 1, p = 9, K = 64",
            "parameters": {"h": 1, "p": 9, "K": 64, "poisson_mean": 25},
            "s": 19,
            "S": 56,
            "cost_star": 54.262,
        },
        {
            "name": "economic order quantity",
            "source": "closed form: √(2KD/h), √(2KDh)",
            "parameters": {"K": 8, "h": 0.225, "demand_rate": 1300},
            "Q_star": math.sqrt(2 * 8 * 1300 / 0.225),
            "cost_star": math.sqrt(2 * 8 * 1300 * 0.225),
        },
        {
            "name": "Wagner-Whitin, 4 periods",
            "source": "Snyder & Shen (2019), example 3.9",
            "parameters": {"holding_cost": 2, "fixed_cost": 500, "demand": [90, 120, 80, 70]},
            "order_quantities": [210, 0, 150, 0],
            "cost_star": 1380,
        },
    ]


def zero_value_of_information() -> list[Result]:
    """Negative controls: one company alone, and a chain whose end demand never changes, gain nothing from a twin."""
    tape = Normal(50.0, 8.0).draw(stream(SEED, 0, "control"), (101, 1, 100))
    costs = []
    for replenishment in ("order_up_to", "echelon_order_up_to"):
        network = company(5, 0.18, 0.7, replenishment, 264.8)
        levels = no_effort(network, np.full((1, 100), 264.8))
        costs.append(cost_per_period(network, lambda *_, levels=levels: levels, tape, 10))
    alone = float(np.abs(costs[0] - costs[1]).max())
    own, shared = (_steady_chain(kind) for kind in ("order_up_to", "echelon_order_up_to"))
    name = "negative control: what a shared twin saves"
    return [
        Result(f"{name} one company, in any world", "model, section 7.3", 0.0, alone, EXACT * 0.88),
        Result(f"{name} a chain with constant demand", "model, section 7.3", 0.0, own - shared, EXACT),
    ]


def _steady_chain(replenishment: str) -> float:
    """Least cost per period of a chain of three under a demand of 5 in every period, over all whole levels."""
    names = ["shop", "depot", "plant"]
    network = build(
        Scenario.model_validate(
            {
                "name": "steady chain",
                "replenishment": replenishment,
                "transit_holding": "seller",
                "initial_pipelines": "empty",
                "companies": [Company(name=n, holding_cost=h) for n, h in zip(names, (7, 4, 2), strict=True)],
                "supply_links": [SupplyLink(buyer="plant", lead_time=2)],
                "trade_links": [TradeLink(seller="depot", buyer="shop"), TradeLink(seller="plant", buyer="depot")],
                "market_links": [MarketLink(seller="shop", market="customers", penalty=37)],
                "markets": [Market(name="customers", demand=Constant(mean=5))],
            }
        )
    )
    steps = np.array(np.meshgrid(*[np.arange(0.0, 21.0, 2.5)] * 3)).reshape(3, -1)
    levels = steps if replenishment == "order_up_to" else np.cumsum(steps, axis=0)
    decisions = no_effort(network, levels)
    tape = np.full((81, 1, levels.shape[1]), 5.0)
    return float(cost_per_period(network, lambda *_: decisions, tape, 40).min())
