"""The bullwhip effect: variance of the orders that a stage places, over the variance of end demand.

Chen, Drezner, Ryan & Simchi-Levi (2000): a serial chain with ample stock, each stage ordering up to L · forecast.
Orders are then a linear filter of demand. So a single unit of demand too much, seen in the orders that the simulated
chain places, gives the filter's coefficients, and with them the exact ratio for any demand.

Decentralised, a stage forecasts the orders that it receives, and fills its own position; with demand shared, every
stage forecasts end demand with the lead times of all stages from it down, and fills its echelon position.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np

from ..arrays import segment_sum
from ..build import build
from ..demand import Constant
from ..description import Company, Market, MarketLink, Scenario, SupplyLink, TradeLink
from ..dynamics import Decisions, State
from ..luck import from_demand, stream
from ..network import Network
from ..simulation import no_effort, simulate
from .reading import Entry
from .results import Result, Unplayable, played
from .sampling import SEED

MEAN = 100.0  # of demand, units per period
SPARE = 5000.0  # units that every position is above L · forecast: enough never to keep anybody waiting
ANSWER = 0.3  # of the mean: the largest swing of orders that an impulse may cause, so that none is cut at 0
EXACT = 1e-6  # relative
SAMPLED = 0.01  # relative; the model's section 7.5
SAMPLES = 1000, 500  # worlds, periods
FADED = 1e-15  # of an impulse, what is left of it in an exponential forecast when it is let go
MOST_SAMPLED = 4  # cells measured with random demand
TABLES = ("iid_table", "ar1_table", "exp_smoothing_table")


@dataclass(frozen=True)
class Cell:
    """One setting: lead times by stage, downstream first, and the forecast."""

    lead_time: tuple[float, ...]
    window: int = 0  # periods of a moving average, or
    smoothing: float = 0.0  # of an exponential one

    @property
    def stages(self) -> int:
        return len(self.lead_time)

    @property
    def memory(self) -> int:
        """Periods over which one period's demand moves a forecast."""
        if self.window or self.smoothing == 1:
            return self.window or 1
        return math.ceil(math.log(FADED) / math.log1p(-self.smoothing))

    @property
    def settled(self) -> int:
        """Periods after which the last stage has forgotten the start, or an impulse."""
        return self.stages * (self.memory + 2) + 2

    @property
    def swing(self) -> float:
        """The most by which one unit of demand can move an order, in the worst case of signs."""
        weight = 1 / self.window if self.window else self.smoothing
        return math.prod(1 + 2 * lead * weight for lead in self.lead_time) + 2 * sum(self.lead_time) * weight


def chain(stages: int, shared: bool) -> Network:
    """A chain with ample stock, stage 1 downstream; an order is seen by its supplier in the next period."""
    names = [f"stage {i + 1}" for i in range(stages)]
    return build(
        Scenario.model_validate(
            {
                "name": "chain",
                "replenishment": "echelon_order_up_to" if shared else "order_up_to",
                "companies": [Company(name=n, initial_on_hand=SPARE) for n in names],
                "supply_links": [SupplyLink(buyer=names[-1], lead_time=1)],
                "trade_links": [
                    TradeLink(seller=seller, buyer=buyer, transit_time=1, order_lead_time=1)
                    for buyer, seller in pairwise(names)
                ],
                "market_links": [MarketLink(seller=names[0], market="customers")],
                "markets": [Market(name="customers", demand=Constant(mean=MEAN))],
            }
        )
    )


class Forecaster:
    """Order-up-to levels L · forecast, over what is ample, for one cell in all worlds; remembers what it saw.

    A stage sees the orders that wait for it at the start of a period: with ample stock, those that have just come.
    """

    def __init__(self, cell: Cell, shared: bool) -> None:
        self.cell, self.shared = cell, shared
        lead = np.cumsum(cell.lead_time) if shared else np.array(cell.lead_time)
        self.lead_time = lead[:, None]
        # What is above the mean is all that moves an order.
        self.seen: list[np.ndarray] = []
        self.forecast: np.ndarray | float = 0.0

    def __call__(self, network: Network, state: State, t: int) -> Decisions:
        orders = segment_sum(state.backlog, network.sale.by_seller)
        news = (np.broadcast_to(orders[:1], orders.shape) if self.shared else orders) - MEAN
        if self.cell.window:
            self.seen = [*self.seen, news][-self.cell.window :]
            self.forecast = sum(self.seen) / self.cell.window
        else:
            self.forecast = self.forecast + self.cell.smoothing * (news - self.forecast)
        # Every stage further up has the ample stock of those below in its echelon.
        ample = SPARE * np.arange(1, self.cell.stages + 1)[:, None] if self.shared else SPARE
        return no_effort(network, ample + self.lead_time * (MEAN + self.forecast))


def orders_placed(cell: Cell, shared: bool, demand: np.ndarray) -> np.ndarray:
    """Orders that every stage places against `demand` (periods, worlds), once the start is forgotten.

    Returns (periods, stages, worlds). Raises `Unplayable` where an order is cut at 0, so that orders are no linear
    filter of demand.
    """
    network = chain(cell.stages, shared)
    tape = np.concatenate([demand, demand[-1:]])[:, None, :]
    run = simulate(network, Forecaster(cell, shared), from_demand(network, tape), record=("flows",))
    assert run.flows is not None
    orders = run.flows.ordered[cell.settled :]
    if not (orders > 0).all():
        raise Unplayable("an order is cut at 0; the chain is linear only while all orders are positive")
    return orders


@cache
def filter_of(cell: Cell, shared: bool) -> np.ndarray:
    """Coefficients by which the orders of every stage answer a unit of demand: (periods, stages).

    Two worlds that differ in one period's demand; the difference of their orders is the answer.
    """
    impulse = min(1.0, ANSWER * MEAN / cell.swing)
    demand = np.full((2 * cell.settled, 2), MEAN)
    demand[cell.settled, 1] += impulse
    orders = orders_placed(cell, shared, demand)
    return (orders[..., 1] - orders[..., 0]) / impulse


def variance_ratio(coefficients: np.ndarray, correlation: float = 0.0) -> float:
    """Variance of a filter's output over that of its input, an AR(1) process (i.i.d. at 0): Σ Σ c_i c_j ρ^|i−j|."""
    if correlation == 0:
        return float(coefficients @ coefficients)
    lags = np.abs(np.subtract.outer(np.arange(len(coefficients)), np.arange(len(coefficients))))
    return float(coefficients @ correlation**lags @ coefficients)


def measured_ratio(cell: Cell, shared: bool, name: str) -> float:
    """The same for the last stage, from orders placed under demand N(100, 1).

    Where a ratio is so large that an order would be cut at 0, demand varies less; the ratio does not depend on it.
    """
    worlds, periods = SAMPLES
    sd = min(1.0, MEAN / (10 * math.sqrt(variance_ratio(filter_of(cell, shared)[:, -1]))))
    demand = stream(SEED, 0, name).normal(MEAN, sd, (cell.settled + periods, worlds))
    orders = orders_placed(cell, shared, demand)
    return float(orders[:, -1].var() / demand[cell.settled :].var())


def check(data: dict) -> list[Result]:
    """Rows for every cell of the tables of a file; a cell that the model cannot play is skipped with the reason.

    Raises ValueError that names the place of what is broken.
    """
    file = Entry(data)
    tables = [name for name in TABLES if name in file]
    if not tables:
        raise file.refused(f"at least one of the tables {', '.join(TABLES)} is needed")
    source = file.label("source", "the file").split("(formulas")[0].split(";")[0].strip()
    rows = [
        row
        for name in tables
        for entry in file[name]
        for row in played([entry], lambda one, table=name: _cell_rows(table, one[0], source), _title, source)
    ]
    return rows + (_sampled_rows(file["iid_table"], source) if "iid_table" in file else [])


def _title(entry: Entry) -> str:
    return read_cell(entry)[1]


def _cell_rows(table: str, entry: Entry, source: str) -> list[Result]:
    cell, title = read_cell(entry)
    expected = entry["decentral_exact_z0" if table == "iid_table" else "exact_z0"].number(0)
    if table != "iid_table":
        correlation = entry["rho"].number(-1) if table == "ar1_table" else 0.0
        ratio = variance_ratio(filter_of(cell, shared=False)[:, -1], correlation)
        return [_equal(f"{title}: orders / demand", source, expected, ratio)]
    ratio = variance_ratio(filter_of(cell, shared=False)[:, -1])
    rows = [_equal(f"{title}: own forecasts", source, expected, ratio)]
    if "central_exact_sum" in entry:
        shared = variance_ratio(filter_of(cell, shared=True)[:, -1])
        rows.append(_equal(f"{title}: demand shared", source, entry["central_exact_sum"].number(0), shared))
    if "decentral_lower_bound_product" in entry:
        bound = entry["decentral_lower_bound_product"].number(0)
        name = f"{title}: own forecasts, published lower bound"
        rows.append(Result(name, source, bound, ratio, EXACT * bound, bound="at_least"))
    return rows


def _equal(name: str, source: str, expected: float, got: float) -> Result:
    return Result(name, source, expected, got, EXACT * expected)


@dataclass(frozen=True)
class Sample:
    """A ratio to be measured with random demand."""

    cell: Cell
    shared: bool
    expected: float
    name: str  # of the row, and of its luck

    def rows(self, source: str) -> list[Result]:
        got = measured_ratio(self.cell, self.shared, self.name)
        return [Result(_sampled(self), source, self.expected, got, SAMPLED * self.expected)]


def _sampled(sample: Sample) -> str:
    return f"{sample.name.replace('/', ': ')}, sampled"


def _sampled_rows(table: Entry, source: str) -> list[Result]:
    """Random demand, for the longest chains."""
    cells = sorted(table, key=lambda entry: -read_cell(entry)[0].stages)[:MOST_SAMPLED]
    samples = [
        Sample(read_cell(entry)[0], shared, entry[key].number(0), f"{_title(entry)}/{how}")
        for entry in cells
        for key, shared, how in (
            ("decentral_exact_z0", False, "own forecasts"),
            ("central_exact_sum", True, "demand shared"),
        )
        if key in entry
    ]
    return [row for sample in samples for row in played([sample], lambda one: one[0].rows(source), _sampled, source)]


def read_cell(entry: Entry) -> tuple[Cell, str]:
    """A cell of a table and its title: `L` (for every stage, or a list by stage), `stages`, and `p` or `alpha`."""
    given = entry["L"]
    if isinstance(given.value, list):
        lead_time = tuple(given.numbers(0))
    else:
        stages = entry["stages"].whole(1) if "stages" in entry else 1
        lead_time = (given.number(0),) * stages
    if not lead_time or ("stages" in entry and entry["stages"].whole(1) != len(lead_time)):
        raise given.refused("one lead time, or one for each of the stages, is needed")
    leads = f"{lead_time[0]:g}" if len(set(lead_time)) == 1 else ", ".join(f"{lead:g}" for lead in lead_time)
    title = f"bullwhip, {len(lead_time)} stage{'s' * (len(lead_time) > 1)}, L={leads}"
    if "rho" in entry:
        rho = entry["rho"].number(-1)
        if abs(rho) >= 1:
            raise entry["rho"].refused("a correlation above -1 and below 1 is needed")
        title += f", ρ={rho:g}"
    if "p" in entry:
        window = entry["p"].whole(1)
        return Cell(lead_time, window=window), f"{title}, p={window}"
    alpha = entry["alpha"].number(0.001)
    if alpha > 1:
        raise entry["alpha"].refused("a number from 0.001 to 1 is needed")
    return Cell(lead_time, smoothing=alpha), f"{title}, α={alpha:g}"


def builtin() -> list[Result]:
    """The formulas of Chen et al. (2000), worked out here, for cells of our own choice."""
    chains: list[tuple[list[float], int]] = [([1], 5), ([2, 2], 10), ([4, 4, 4], 8), ([1, 2, 3, 1], 4)]
    data = {
        "source": "Chen, Drezner, Ryan & Simchi-Levi (2000)",
        "iid_table": [
            {
                "L": leads,
                "p": p,
                "decentral_exact_z0": own_forecasts(leads, p),
                "central_exact_sum": 1 + 2 * sum(leads) / p + 2 * sum(leads) ** 2 / p**2,
                "decentral_lower_bound_product": math.prod(1 + 2 * lead / p + 2 * lead**2 / p**2 for lead in leads),
            }
            for leads, p in chains
        ],
        "ar1_table": [
            {"L": lead, "p": p, "rho": rho, "exact_z0": 1 + (2 * lead / p + 2 * lead**2 / p**2) * (1 - rho**p)}
            for lead, p, rho in ((2, 5, 0.7), (3, 4, -0.6))
        ],
        "exp_smoothing_table": [
            {"L": lead, "alpha": a, "exact_z0": 1 + 2 * lead * a + 2 * lead**2 * a**2 / (2 - a)}
            for lead, a in ((2, 0.15), (3, 0.4))
        ],
    }
    return check(data)


def own_forecasts(leads: list[float], p: int) -> float:
    """Sum of squared coefficients of ∏((1 + L/p) − (L/p)·Bᵖ)."""
    product = np.ones(1)
    for lead in leads:
        product = np.convolve(product, [1 + lead / p, *[0.0] * (p - 1), -lead / p])
    return float(product @ product)
