"""The beer game (Sterman 1989): four stages, orders two weeks in the mail, goods two weeks on the way.

On the board a stage orders at the end of a week, after it has received and shipped; in the model it decides at the
start, from the stock and the orders it will close the week with. Both see the same position, so the costs agree
to the last unit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from ..arrays import Array, gather, segment_sum
from ..build import build
from ..description import Company, Market, MarketLink, Scenario, SupplyLink, TradeLink
from ..dynamics import Decisions, State, end_customer_value
from ..luck import draw
from ..network import Network
from ..replenishment import echelon_position, inventory_position, pipeline
from ..simulation import Policy, Trajectory, no_effort, simulate
from .reading import Entry
from .results import Result, Unplayable, played

STAGES = ("retailer", "wholesaler", "distributor", "factory")
SOURCE = "Sterman (1989)"
STEP, STEP_WEEK = 8.0, 4  # end customers want as much as the pipeline holds, and 8 a week after week 4
LAG = (4.0, 4.0, 4.0, 3.0)  # weeks from order to receipt
ECHELON_LAG = (4.0, 6.0, 8.0, 9.0)  # weeks of end demand that a stage and everything below it must cover
BENCHMARK_LEVELS = (28.0, 28.0, 28.0, 20.0)  # S' of the benchmark; the file gives it in words only
PUBLISHED = (46.0, 50.0, 54.0, 54.0)  # cost by stage of the benchmark, Sterman (1989)
CLAIRVOYANT = 158.0  # least cost with full foresight (linear programme), orders of weeks 1-4 forced
VIEWS = ("local_incoming_orders", "shared_customer_demand_local_position", "shared_twin_echelon_position")
FORCED = 4.0  # what every stage orders in these weeks
TOLERANCE = 1e-9  # relative; the game is deterministic


@dataclass(frozen=True)
class Board:
    """The numbers on the board, by default those of the game as it is played; the file has the delays of orders
    (two weeks, three at the factory) in words only.
    """

    weeks: int = 36
    stock: float = 12.0
    pipeline: float = 4.0  # units on every square between two stages
    holding: float = 0.5
    backlog: float = 1.0
    shipping: int = 2  # weeks

    @staticmethod
    def of(parameters: Entry) -> Board:
        """The board of a file. Raises ValueError that names the place of what is broken."""
        return Board(
            weeks=parameters["weeks"].whole(1),
            stock=parameters["initial_inventory"].number(0),
            pipeline=parameters["pipeline_initial"].number(0),
            holding=parameters["holding"].number(0),
            backlog=parameters["backlog"].number(0),
            shipping=parameters["shipping_delay_weeks"].whole(),
        )

    def scenario(self, replenishment: str, smoothing: float) -> Scenario:
        """The game, retailer first. A late stage pays what waiting costs its customer; goods under way cost nothing."""
        return Scenario.model_validate(
            {
                "name": "beer game",
                "periods": self.weeks,
                "replenishment": replenishment,
                "forecast_smoothing": smoothing,
                "companies": [Company(name=s, holding_cost=self.holding, initial_on_hand=self.stock) for s in STAGES],
                "supply_links": [SupplyLink(buyer=STAGES[-1], lead_time=3, initial_in_transit=self.pipeline)],
                "trade_links": [
                    TradeLink(
                        seller=seller,
                        buyer=buyer,
                        transit_time=self.shipping,
                        order_lead_time=2,
                        penalty=self.backlog,
                        waiting_cost=self.backlog,
                        transit_holding_cost=0,
                        initial_in_transit=self.pipeline,
                        initial_orders=self.pipeline,
                    )
                    for buyer, seller in pairwise(STAGES)
                ],
                "market_links": [
                    MarketLink(seller=STAGES[0], market="drinkers", penalty=self.backlog, waiting_cost=self.backlog)
                ],
                "markets": [
                    Market.model_validate(
                        {
                            "name": "drinkers",
                            "demand": {"process": "step", "before": self.pipeline, "after": STEP, "at": STEP_WEEK},
                        }
                    )
                ],
            }
        )

    def play(self, policy: Policy, replenishment: str = "quantity", smoothing: float = 0.0) -> Play:
        """One game."""
        network = build(self.scenario(replenishment, smoothing))
        return Play(simulate(network, policy, draw(network, seed=0)))


@dataclass(frozen=True)
class Play:
    """What a game came to."""

    trajectory: Trajectory

    @property
    def cost(self) -> np.ndarray:
        """Holding and backlog cost of each stage over the game, (stages,)."""
        books, sale = self.trajectory.books, self.trajectory.network.sale
        assert books is not None
        return (books.stock_holding.sum(axis=0) + segment_sum(books.penalty.sum(axis=0), sale.by_seller))[:, 0]

    @property
    def value(self) -> float:
        """End-customer value: waiting costs what the penalty pays, so it is minus the cost of all stages."""
        assert self.trajectory.books is not None
        return float(end_customer_value(self.trajectory.network, self.trajectory.books).sum())

    @property
    def orders(self) -> np.ndarray:
        """(weeks, stages)"""
        assert self.trajectory.flows is not None
        return self.trajectory.flows.ordered[:, :, 0]


def forced(order: Callable[[Network, State], Array], now: Callable[[Network, State], Array]) -> Policy:
    """`order`, but 4 units in weeks 1 to 4: `now` is the position that an order-up-to level is over."""

    def decide(network: Network, state: State, t: int) -> Decisions:
        level = order(network, state)
        return no_effort(network, now(network, state) + FORCED if t < STEP_WEEK else level)

    return decide


def nothing(network: Network, state: State) -> Array:
    """The position that a quantity is over."""
    return network.zeros(network.companies, state.on_hand.shape[-1])


def by_stage(network: Network, sales: Array) -> Array:
    """Values of sales links at their sellers; every stage has one customer."""
    return segment_sum(sales, network.sale.by_seller)


def sterman_rule(target: Sequence[float], stock: float, line: float) -> Callable[[Network, State], Array]:
    """Sterman (1989): max(0, L + α(S' − S − β·SL)), S and SL as they stand when this week has received and shipped.

    L is the model's own forecast of incoming orders, so the smoothing θ is the scenario's.
    """
    wanted = np.reshape(target, (-1, 1))

    def order(network: Network, state: State) -> Array:
        received = state.in_transit[0]  # each stage has one purchase link, in the order of the stages
        on_board = state.on_hand + received - by_stage(network, state.backlog)
        supply_line = pipeline(network, state) - received
        expected = by_stage(network, state.forecast)
        return np.maximum(expected + stock * (wanted - on_board - line * supply_line), 0.0)

    return order


def moving_average(weeks: int, lag: Sequence[float], shared: bool, before: float) -> Callable[[Network, State], Array]:
    """lag · mean of the last `weeks` weeks' orders: each stage's own incoming ones, or (shared) the end customers'.

    For a scenario whose forecast is last week's orders (smoothing 1). `before` is what was ordered before week 1.
    """
    seen: list[Array] = []

    def level(network: Network, state: State) -> Array:
        incoming = by_stage(network, state.forecast)
        seen.append(gather(state.forecast, network.sale.market) + 0.0 * incoming if shared else incoming)
        missing = max(weeks - len(seen), 0)
        return np.reshape(lag, (-1, 1)) * (sum(seen[-weeks:]) + missing * before) / weeks

    return level


def check(data: dict[str, Any]) -> list[Result]:
    """Every policy that `beer_game.json` has, and that none beats the clairvoyant bound.

    A policy that the model cannot play is skipped with the reason. Raises ValueError that names the place of what is
    broken.
    """
    file = Entry(data)
    board, given, source = Board.of(file["parameters"]), file["results"], file.label("source", SOURCE)
    benchmark = sterman_rule(BENCHMARK_LEVELS, 1.0, 1.0)
    rows: list[Result] = []
    costs: dict[str, float] = {}  # of the policies played so far

    def compare(name: str, play: Callable[[], Play], *cases: tuple[str, str, dict[str, Any]]) -> None:
        """Rows for a policy: what each of `cases` (name, source, numbers) says of its game."""

        def played_rows(plays: Sequence[Callable[[], Play]]) -> list[Result]:
            game = plays[0]()
            costs[name] = float(game.cost.sum())
            return [row for title, where, case in cases for row in _rows(title, where, game, case)]

        rows.extend(played([play], played_rows, lambda _: f"beer game: {name}", source))

    if "sterman_benchmark" in given:
        case = given["sterman_benchmark"]
        published = {
            "cost_by_stage": _by_stage(case["published_by_stage"]),
            "total": case["published_total"].number(0),
        }
        compare(
            "benchmark",
            lambda: board.play(forced(benchmark, nothing)),
            ("benchmark", source, _numbers(case)),
            ("benchmark as published", SOURCE, published),
        )
    if "sterman_average_human_parameters" in given:
        case = given["sterman_average_human_parameters"]
        target, stock, line, theta = (case[key].number(0) for key in ("S_prime", "alpha_S", "beta", "theta"))
        human = sterman_rule([target] * len(STAGES), stock, line)
        name = "average human rule"
        compare(name, lambda: board.play(forced(human, nothing), smoothing=theta), (name, source, _numbers(case)))
    if "pass_through_order_equals_incoming" in given:
        last_order = forced(lambda network, state: by_stage(network, state.forecast), nothing)
        numbers = _numbers(given["pass_through_order_equals_incoming"])
        compare("pass-through", lambda: board.play(last_order, smoothing=1.0), ("pass-through", source, numbers))
    if "order_up_to_local_vs_shared" in given and "results" in given["order_up_to_local_vs_shared"]:
        for average, cases in given["order_up_to_local_vs_shared"]["results"].fields().items():
            for view, case in cases.fields().items():
                name = f"{average} {view.replace('_', ' ')}"
                told = {"cost_by_stage": _by_stage(case["by_stage"]), "peak_orders": _by_stage(case["peak"])}
                numbers = told | {"total": case["total"].number(0)}
                compare(name, partial(_order_up_to, board, average, view), (name, source, numbers))
    if costs and "clairvoyant_lp_forced4" in given:
        best = min(costs, key=lambda name: costs[name])
        bound = given["clairvoyant_lp_forced4"]["total"].number(0)
        rows.append(_row(f"no forced policy beats foresight (best: {best})", source, bound, costs[best], "at_least"))
    if "benchmark_not_forced" in given:
        name = "benchmark, not forced"
        numbers = _numbers(given["benchmark_not_forced"])
        free = partial(board.play, lambda network, state, t: no_effort(network, benchmark(network, state)))
        compare(name, free, (name, source, numbers))
        if name in costs and "clairvoyant_lp_forced0" in given:
            bound = given["clairvoyant_lp_forced0"]["total"].number(0)
            rows.append(_row(f"{name}: foresight", source, bound, costs[name], "at_least"))
    return rows


def _by_stage(entry: Entry) -> list[float]:
    numbers = entry.numbers()
    if len(numbers) != len(STAGES):
        raise entry.refused(f"one number for each of {len(STAGES)} stages is needed")
    return numbers


def _numbers(case: Entry) -> dict[str, Any]:
    """What a case of a file says of a game, by the keys of `_rows`."""
    lists = {key: _by_stage(case[key]) for key in ("cost_by_stage", "peak_orders", "order_var") if key in case}
    return lists | {"total": case["total"].number(0)}


def builtin() -> list[Result]:
    """The benchmark as published, and the bound that foresight sets, met by the shared echelon."""
    board = Board()
    played = board.play(forced(sterman_rule(BENCHMARK_LEVELS, 1.0, 1.0), nothing))
    case = {"cost_by_stage": PUBLISHED, "total": sum(PUBLISHED)}
    rows = _rows("published benchmark", SOURCE, played, case)
    shared = _order_up_to(board, "MA1", "shared_twin_echelon_position")
    foresight = "linear programme with full foresight"
    rows.append(_row("published bound, met by the echelon on end demand", foresight, CLAIRVOYANT, shared.cost.sum()))
    return rows


def _order_up_to(board: Board, average: str, view: str) -> Play:
    """Order-up-to with a moving average, by the names that the file gives average and view. Raises `Unplayable`."""
    weeks = average.removeprefix("MA")
    if not weeks.isdecimal() or int(weeks) < 1:
        raise Unplayable(f"the check has moving averages of whole weeks (MA1, MA2, …), and no '{average}'")
    if view not in VIEWS:
        raise Unplayable(f"the check has no view '{view}'; it has {', '.join(VIEWS)}")
    echelon, shared = view == "shared_twin_echelon_position", view != "local_incoming_orders"
    level = moving_average(int(weeks), ECHELON_LAG if echelon else LAG, shared, board.pipeline)
    position = echelon_position if echelon else inventory_position
    replenishment = "echelon_order_up_to" if echelon else "order_up_to"
    return board.play(forced(level, position), replenishment, smoothing=1.0)


def _rows(name: str, source: str, played: Play, case: Mapping[str, Any]) -> list[Result]:
    """What `case` says of a game: costs and, where it tells them, orders."""
    stages = {
        "cost_by_stage": ("cost", played.cost),
        "peak_orders": ("peak order", played.orders.max(axis=0)),
        # The file's variance is that of a sample, over the weeks in which orders were free.
        "order_var": ("variance of orders", played.orders[STEP_WEEK:].var(axis=0, ddof=1)),
    }
    rows = [
        _row(f"{name}, {what} of {stage}", source, want, got)
        for key, (what, values) in stages.items()
        if key in case
        for stage, want, got in zip(STAGES, case[key], values, strict=True)
    ]
    return [
        *rows,
        _row(f"{name}, total cost", source, case["total"], played.cost.sum()),
        _row(f"{name}, minus end-customer value", source, case["total"], -played.value),
    ]


def _row(name: str, source: str, expected: float, got: float, bound: str = "equal") -> Result:
    return Result(f"beer game: {name}", source, expected, float(got), TOLERANCE * abs(expected), bound)
