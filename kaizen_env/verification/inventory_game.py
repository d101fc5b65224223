"""The inventory game of Cachon & Zipkin (1999): two firms, local base-stock levels, a shared backorder cost.

Costs are the firms' own books with prices at zero: the contract `penalty_share` splits the end customers' penalty,
and goods under way to the retailer are held at the supplier's expense. Replications are worlds, and so are levels:
every level meets the same demand, so that a deviation is compared with the equilibrium pair by pair.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..build import build
from ..description import (
    Company,
    Contracts,
    Market,
    MarketLink,
    PenaltyShare,
    Scenario,
    SupplyLink,
    TradeLink,
)
from ..dynamics import initial_state, step
from ..luck import draw, from_demand
from ..simulation import no_effort
from .reading import Entry
from .results import Result, Unplayable, played

CACHON_ZIPKIN = "Cachon & Zipkin (1999)"
SEED = 1
STANDARD_ERRORS = 3.0
PRECISION = 0.003  # largest standard error allowed of a total cost, relative
COST_SIZE = (400, 1000)  # replications, periods of each, where total costs are measured
DEVIATION_SIZE = (80, 125)  # the same where levels are compared
LARGEST_LEVEL = 25  # deviations are tried up to here at least
ROUNDING = 1e-9  # money per period; two levels that never differ in stock differ by this at most


@dataclass(frozen=True)
class Equilibrium:
    """Levels (retailer's, supplier's) that are an equilibrium at the retailer's share of the penalty."""

    share: float
    levels: tuple[float, float]
    total: float  # cost of both per period
    ratio: float  # of it to the least possible

    @property
    def name(self) -> str:
        return f"equilibrium ({self.levels[0]:g}, {self.levels[1]:g}) at retailer's share {self.share:g}"


@dataclass(frozen=True)
class Game:
    """One instance; the retailer bears a share of the penalty, the supplier the rest."""

    demand: float  # Poisson, units per period
    retailer_lead_time: float  # periods
    supplier_lead_time: float
    retailer_holding: float  # local
    supplier_holding: float
    penalty: float

    @staticmethod
    def of(parameters: Entry) -> Game:
        """The game of an instance. Raises ValueError that names the place of what is broken."""
        names = ("lam", "L1", "L2", "h1_local", "h2_local", "p")
        demand, retailer_lead, supplier_lead, *costs = (parameters[name].number(0) for name in names)
        return Game(demand, retailer_lead, supplier_lead, *costs)

    @property
    def name(self) -> str:
        leads = f"{self.retailer_lead_time:g}, {self.supplier_lead_time:g}"
        return f"inventory game, demand {self.demand:g}, lead times {leads}, penalty {self.penalty:g}"

    def scenario(self, share: float) -> Scenario:
        shares = {"retailer": share, "supplier": 1.0 - share}
        market = {"name": "market", "demand": {"process": "poisson", "mean": self.demand}}
        return Scenario(
            name="inventory game",
            ordering="cascade",
            replenishment="order_up_to",
            transit_holding="seller",
            initial_pipelines="empty",
            companies=[
                Company(name="retailer", holding_cost=self.retailer_holding),
                Company(name="supplier", holding_cost=self.supplier_holding),
            ],
            supply_links=[SupplyLink(buyer="supplier", lead_time=self.supplier_lead_time)],
            trade_links=[TradeLink(seller="supplier", buyer="retailer", transit_time=self.retailer_lead_time)],
            market_links=[MarketLink(seller="retailer", market="market", penalty=self.penalty)],
            markets=[Market.model_validate(market)],
            contracts=Contracts(
                penalty_share=[PenaltyShare(seller="retailer", market="market", shares=shares)],
            ),
        )

    def costs(self, pairs: Sequence[tuple[float, float]], share: float, size: tuple[int, int], seed: int) -> np.ndarray:
        """Cost per period of (retailer, supplier) at each of `pairs` of levels: (2, pairs, replications).

        The first periods, until orders and stock no longer remember the empty start, are left out.
        """
        replications, periods = size
        network = build(self.scenario(share))
        start = math.ceil(self.retailer_lead_time + self.supplier_lead_time) + 2
        tape = draw(network, seed, replications, start + periods).demand
        luck = from_demand(network, np.tile(tape, (1, 1, len(pairs))))
        decisions = no_effort(network, np.repeat(np.array(pairs, dtype=np.float64).T, replications, axis=1))
        state = initial_state(network, luck.demand[0])
        cost = np.zeros_like(state.cash)
        for t in range(luck.periods):  # `simulate` would keep every period of every world
            state, _, books = step(network, state, decisions, luck.period(t))
            if t >= start:
                cost = cost - books.profit
        return (cost / periods).reshape(2, len(pairs), replications)


def check(data: dict[str, Any]) -> list[Result]:
    """Every instance of `inventory_game.json`: optimum, equilibria, their ratio to it, and that none pays to leave.

    What the model cannot play is skipped with the reason. Raises ValueError that names the place of what is broken.
    """
    rows: list[Result] = []
    file = Entry(data)
    source = file.label("source", CACHON_ZIPKIN)
    for instance in file["instances"]:
        game = Game.of(instance["parameters"])
        equilibria = [
            Equilibrium(
                case["retailer_share"].number(0), _levels(point), point["total"].number(0), point["ratio"].number(0)
            )
            for case in instance["nash"]
            for point in case["nash_local_base_stock"]
        ]
        best = Equilibrium(0.5, _levels(instance["optimal_local_base_stock"]), instance["C_star"].number(0), 1.0)
        rows.extend(played([game], partial(_instance_rows, best, equilibria, source), lambda one: one.name, source))
    return rows


def _instance_rows(
    best: Equilibrium, equilibria: Sequence[Equilibrium], source: str, games: Sequence[Game]
) -> list[Result]:
    (game,) = games
    if game.retailer_lead_time < 1:
        raise Unplayable("goods travel at least one period between companies")
    if game.demand == 0:
        raise Unplayable("without demand there is nothing to order")
    rows = _twice(partial(_totals, game, best, equilibria, source))
    for point in equilibria:

        def leaving(points: Sequence[Equilibrium]) -> list[Result]:
            return _twice(partial(_deviations, game, points[0], source))

        rows.extend(played([point], leaving, lambda one: f"{game.name}: {one.name}", source))
    return rows


def _levels(entry: Entry) -> tuple[float, float]:
    return entry["s1"].number(), entry["s2"].number()


def builtin() -> list[Result]:
    """Costs of each firm at the published optimum, and at equilibria of the same instance, by exact convolution."""
    game = Game(5, 1, 1, 2.0, 1.0, 15.0)
    cases = ((0.3, (9, 5)), (0.5, (7, 6)), (1.0, (14, 0)))
    return [row for share, pair in cases for row in _twice(partial(_against_convolution, game, share, pair))]


def exact_costs(game: Game, levels: tuple[int, int], share: float) -> tuple[float, float]:
    """Expected cost per period of retailer and supplier, by convolution (Cachon & Zipkin 1999, section 3).

    The supplier's net stock is s2 − D(L2), what it owes delays the retailer: s1 − (D(L2) − s2)⁺ − D(L1), with D(L)
    the demand of L periods.
    """
    from scipy.special import gammaln

    mean, leads = game.demand, (game.supplier_lead_time, game.retailer_lead_time)
    most = mean * sum(leads)
    units = np.arange(round(most + 20.0 * math.sqrt(most) + 40.0))  # far more than ever is asked for
    upstream, downstream = (
        np.exp(units * math.log(mean * lead) - mean * lead - gammaln(units + 1.0)) for lead in leads
    )
    owed = np.bincount(np.maximum(units - levels[1], 0), upstream)
    late = np.convolve(owed, downstream)
    net = levels[0] - np.arange(len(late))
    backorders = float(np.maximum(-net, 0) @ late) * game.penalty
    retailer_stock = float(np.maximum(net, 0) @ late)
    supplier_stock = float(np.maximum(levels[1] - units, 0) @ upstream) + mean * game.retailer_lead_time
    return (
        game.retailer_holding * retailer_stock + share * backorders,
        game.supplier_holding * supplier_stock + (1.0 - share) * backorders,
    )


def _twice(measure: Callable[[int, int], list[Result]]) -> list[Result]:
    """Rows of `measure` (seed, how many times the replications); where one is off, all again with four times more.

    One right number in 370 is more than three standard errors off by chance, and comes back with other luck.
    """
    first = measure(SEED, 1)
    return first if all(row.passed for row in first) else measure(SEED + 1, 4)


def _totals(
    game: Game, best: Equilibrium, equilibria: Sequence[Equilibrium], source: str, seed: int, more: int
) -> list[Result]:
    """What both firms pay together, which does not depend on the share: one run tells it for all equilibria."""
    pairs = [point.levels for point in (best, *equilibria)]
    total = game.costs(pairs, best.share, (COST_SIZE[0] * more, COST_SIZE[1]), seed).sum(axis=0)
    least = total[0]
    optimum = f"({best.levels[0]:g}, {best.levels[1]:g})"
    rows = [_mean(f"{game.name}: cost at the optimum {optimum}", source, best.total, least)]
    for point, cost in zip(equilibria, total[1:], strict=True):
        name = f"{game.name}: {point.name}"
        rows.append(_mean(f"{name}, total cost", source, point.total, cost))
        rows.append(_ratio(f"{name}, ratio to the optimum", source, point.ratio, cost, least))
    error = float((_error(total) / total.mean(axis=1)).max())
    name = f"{game.name}: largest relative standard error"
    return [*rows, Result(name, "model, section 7.2", PRECISION, error, 0.0, "at_most")]


def _deviations(game: Game, point: Equilibrium, source: str, seed: int, more: int) -> list[Result]:
    """For each firm: what the most tempting other level of its own costs it more than the equilibrium."""
    own = [float(level) for level in range(max(LARGEST_LEVEL, *(math.ceil(s) + 3 for s in point.levels)) + 1)]
    retailer, supplier = point.levels
    pairs = [point.levels, *((level, supplier) for level in own), *((retailer, level) for level in own)]
    costs = game.costs(pairs, point.share, (DEVIATION_SIZE[0] * more, DEVIATION_SIZE[1]), seed)
    moves = costs[:, 1:].reshape(2, 2, len(own), -1)
    rows = []
    for firm, who in enumerate(("retailer", "supplier")):
        others = [i for i, level in enumerate(own) if level != point.levels[firm]]
        loss = moves[firm, firm, others] - costs[firm, 0]
        error = STANDARD_ERRORS * _error(loss)
        worst = int((loss.mean(axis=1) + error).argmin())
        name = f"{game.name}: {point.name}, {who} moving to {own[others[worst]]:g}"
        tolerance = float(error[worst]) + ROUNDING
        rows.append(Result(name, source, 0.0, float(loss[worst].mean()), tolerance, "at_least"))
    return rows


def _against_convolution(game: Game, share: float, pair: tuple[int, int], seed: int, more: int) -> list[Result]:
    cost = game.costs([pair], share, (COST_SIZE[0] * more, COST_SIZE[1]), seed)[:, 0]
    expected = exact_costs(game, pair, share)
    name, source = f"{game.name}: levels {pair}, retailer's share {share:g}", f"{CACHON_ZIPKIN}, by convolution"
    return [
        _mean(f"{name}, cost of retailer", source, expected[0], cost[0]),
        _mean(f"{name}, cost of supplier", source, expected[1], cost[1]),
        _mean(f"{name}, total cost", source, sum(expected), cost.sum(axis=0)),
    ]


def _error(samples: np.ndarray) -> np.ndarray:
    """Standard error of the mean over the last axis, whose entries are independent."""
    return samples.std(axis=-1, ddof=1) / np.sqrt(samples.shape[-1])


def _mean(name: str, source: str, expected: float, samples: np.ndarray) -> Result:
    return Result(name, source, expected, float(samples.mean()), STANDARD_ERRORS * float(_error(samples)))


def _ratio(name: str, source: str, expected: float, cost: np.ndarray, best: np.ndarray) -> Result:
    """A ratio of two means under common luck; its standard error by the delta method."""
    got = float(cost.mean() / best.mean())
    return Result(name, source, expected, got, STANDARD_ERRORS * float(_error(cost - got * best) / best.mean()))
