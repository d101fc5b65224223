"""A trace of the beer game, week by week and stage by stage (retailer first), replayed.

On the board a stage orders after it has shipped; in the model it decides before. The orders are the trace's own, so
that the flows and the money are put to the test, and not the rule by which anybody orders.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..build import build
from ..demand import Constant
from ..description import Company, Market, MarketLink, Scenario, SupplyLink, TradeLink
from ..dynamics import Decisions, State
from ..luck import from_demand
from ..network import Network
from ..simulation import Policy, Trajectory, no_effort, simulate
from .reading import Entry
from .results import Result
from .trace_replay import backlog_at_close, by_company, on_order_at_close, recorded

TOLERANCE = 1e-9
SOURCE = "Sterman (1989)"
PARAMETERS = ("inv0", "pipeline0", "holding", "backlog", "shipping_delay", "order_delay", "factory_production_delay")
QUANTITIES = ("incoming", "received", "shipped", "inv", "backlog", "supply_line", "order", "week_cost")


@dataclass(frozen=True)
class Board:
    """The beer game as the board has it; delays in weeks."""

    stages: int = 4
    stock: float = 12.0
    pipeline: float = 4.0  # units in every week of the pipelines
    holding: float = 0.5
    backlog: float = 1.0
    shipping_delay: int = 2
    order_delay: int = 2
    production_delay: int = 3

    def network(self) -> Network:
        names = [f"stage {i + 1}" for i in range(self.stages)]
        return build(
            Scenario(
                name="beer game",
                replenishment="quantity",
                companies=[Company(name=n, holding_cost=self.holding, initial_on_hand=self.stock) for n in names],
                supply_links=[
                    SupplyLink(buyer=names[-1], lead_time=self.production_delay, initial_in_transit=self.pipeline)
                ],
                trade_links=[
                    TradeLink(
                        seller=seller,
                        buyer=buyer,
                        transit_time=self.shipping_delay,
                        order_lead_time=self.order_delay,
                        penalty=self.backlog,
                        transit_holding_cost=0.0,
                        initial_in_transit=self.pipeline,
                        initial_orders=self.pipeline,
                    )
                    for buyer, seller in pairwise(names)
                ],
                market_links=[MarketLink(seller=names[0], market="customers of the retailer", penalty=self.backlog)],
                markets=[Market(name="customers of the retailer", demand=Constant(mean=self.pipeline))],
            )
        )

    def play(self, policy: Policy, demand: list[float]) -> Trajectory:
        """One game against a demand per week."""
        network = self.network()
        return simulate(network, policy, from_demand(network, np.array([*demand, 0.0])[:, None, None]))


def quantities(run: Trajectory) -> dict[str, np.ndarray]:
    """What a beer game trace tells of every week, each (weeks, stages)."""
    states, flows, books = recorded(run)
    backlog = backlog_at_close(run)
    order = flows.ordered[..., 0]
    shipped = flows.shipped[..., 0]
    incoming = backlog + shipped
    incoming[1:] -= backlog[:-1]
    return {
        "incoming": incoming,
        "received": flows.received[..., 0],
        "shipped": shipped,
        "inv": np.concatenate([states.on_hand[1:], run.final.on_hand[None]])[..., 0],
        "backlog": backlog,
        # A stage writes down its supply line before it places the order of the week.
        "supply_line": on_order_at_close(run) - order,
        "order": order,
        "week_cost": books.stock_holding[..., 0] + by_company(books.penalty[..., 0], run.network.sale.by_seller),
    }


def check(file: Entry) -> list[Result]:
    """Rows for a trace of the beer game: the largest difference of each quantity, and the costs by stage.

    Raises ValueError that names the place of what cannot be used.
    """
    weeks = list(file["trace"])
    if not weeks:
        raise file["trace"].refused("at least one week is needed")
    board = _read_board(file["parameters"], stages=len(weeks[0]["order"].numbers(0)))
    order = np.array([_stages(week["order"], board.stages) for week in weeks])

    def decide(network: Network, state: State, t: int) -> Decisions:
        return no_effort(network, order[t][:, None])

    demand = [week["demand"].number(0) if "demand" in week else week["incoming"].numbers(0)[0] for week in weeks]
    got = quantities(board.play(decide, demand))
    rows = []
    for name in QUANTITIES:
        if not any(name in week for week in weeks):
            continue
        theirs = np.array([_stages(week[name], board.stages) for week in weeks])
        gap = np.abs(got[name] - theirs)
        t, stage = np.unravel_index(gap.argmax(), gap.shape)
        place = f" (worst: week {t + 1}, stage {stage + 1}: {got[name][t, stage]:g} instead of {theirs[t, stage]:g})"
        off = float(gap.max())
        rows.append(Result(f"beer game: {name}{place if off > TOLERANCE else ''}", _source(file), 0, off, TOLERANCE))
    costs = got["week_cost"].sum(axis=0)
    if "cost_by_stage" in file:
        given = _stages(file["cost_by_stage"], board.stages)
        rows += [
            Result(f"beer game: cost of stage {i + 1}", _source(file), given[i], float(cost), TOLERANCE)
            for i, cost in enumerate(costs)
        ]
    if "total" in file:
        total = file["total"].number()
        rows.append(Result("beer game: total cost", _source(file), total, float(costs.sum()), TOLERANCE))
    return rows


def _read_board(parameters: Entry, stages: int) -> Board:
    inv0, pipeline0, holding, backlog, shipping, order, production = (parameters[name] for name in PARAMETERS)
    return Board(
        stages=stages,
        stock=inv0.number(0),
        pipeline=pipeline0.number(0),
        holding=holding.number(0),
        backlog=backlog.number(0),
        shipping_delay=shipping.whole(1),
        order_delay=order.whole(0),
        production_delay=production.whole(0),
    )


def _stages(entry: Entry, stages: int) -> list[float]:
    numbers = entry.numbers()
    if len(numbers) != stages:
        raise entry.refused(f"one number for each of {stages} stages is needed")
    return numbers


def _source(file: Entry) -> str:
    return file.label("source", SOURCE).split(";")[0]
