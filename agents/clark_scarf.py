"""Optimal echelon order-up-to levels of serial systems, exactly: Clark & Scarf (1960), Federgruen & Zipkin (1984).

Stage 1 is downstream, at the market. Companies order after the period's demand is revealed, and holding and shortage
are counted at its end, so a stage that orders now must cover the demand of as many later periods as its goods take:
with echelon holding rates e_j = h_j − h_{j+1}, L_j periods on the way to stage j, and a shortage cost p,

    C_j(y) = e_j · (y − L_j μ) + E[ V_{j−1}(y − D) ],   D the demand of the L_j periods,
    V_0(x) = (p + h_1) · max(−x, 0),   V_j(x) = C_j(min(x, S_j)),   S_j = argmin C_j:

what a stage above is charged for leaving the one below short (Snyder & Shen 2019, section 6.2.3). Below 0 every V_j is
a straight line, so on a grid from 0 up the recursion needs no bound below, and values above the levels are never used:
nothing is cut off. It runs on slopes, which keep their digits where costs grow large.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import signal

from kaizen_env import Network
from kaizen_env.arrays import as_numpy, gather

from . import demand_laws
from .demand_laws import Law
from .policy import PolicyError

LARGEST_GRID = 1 << 21  # points
FLAT = 1e-12  # share of the largest slope that counts as level ground
FAR = 8.0  # standard deviations that a level which must not bind lies above what it may meet


@dataclass(frozen=True)
class SerialSystem:
    """A serial system; tuples begin with stage 1, downstream. Money and time per period, units of end product."""

    holding: tuple[float, ...]  # per unit on hand at each stage: local rates
    lead_time: tuple[int, ...]  # periods from the shipment to a stage until its goods are on hand there
    shortage: float  # per unit that end customers wait for
    demand: Law
    order_lead_time: tuple[int, ...] = ()  # periods until the stage above, or the supplier, sees an order; none = 0
    pipeline: tuple[float, ...] = ()  # holding of a unit on all its way to a stage; none = at the rate of the one above

    def __post_init__(self) -> None:
        stages = len(self.holding)
        for name in ("lead_time", "order_lead_time", "pipeline"):
            given = getattr(self, name)
            if len(given) != stages and (given or name == "lead_time"):
                raise ValueError(f"{name} has {len(given)} entries; one for each of {stages} stages is needed")
        for name in ("lead_time", "order_lead_time"):
            if any(periods != int(periods) or periods < 0 for periods in getattr(self, name)):
                raise ValueError(f"{name} is {getattr(self, name)}; whole periods from 0 on are needed")
        numbers = (*self.holding, *self.pipeline, self.shortage)
        if stages == 0 or not np.isfinite(numbers).all() or min(numbers) < 0:
            raise ValueError("at least one stage is needed, and costs from 0 on")
        if self.shortage == 0:
            raise ValueError("nothing is charged for end customers who wait, so that it is best never to make anything")

    @property
    def stages(self) -> int:
        return len(self.holding)


@dataclass(frozen=True)
class Optimum:
    """Optimal echelon order-up-to levels, stage 1 first, and the least expected cost of a period in the long run.

    A level may exceed that of a stage above, which then binds in its place.
    """

    levels: tuple[float, ...]
    cost: float


def optimum(system: SerialSystem) -> Optimum:
    """Optimal levels and cost of a serial system.

    With demand on whole steps the smallest optimal levels, exactly; with continuous demand on a grid of 1/400 of its
    standard deviation, good to about 1e-5 deviations. An order that its supplier sees late decides on goods that leave
    later: periods of order lead time move from the lead time of the stage above to that of the stage itself.
    Raises ValueError where no finite level is best, or the grid would be too large.
    """
    law, stages = system.demand, system.stages
    holding, lead = np.array(system.holding), np.array(system.lead_time, dtype=int)
    late = np.array(system.order_lead_time or (0,) * stages, dtype=int)
    ahead = late.copy()  # periods by which an order decides before the goods leave, that matter
    for j in range(stages - 2, -1, -1):
        # An order placed before the one above it need not bind: whoever orders later knows more.
        ahead[j] = min(late[j], lead[j + 1] + ahead[j + 1])
        if ahead[j] < late[j] and holding[j + 1] < np.append(holding, 0.0)[j + 2]:
            raise ValueError(
                f"stage {j + 1} orders {late[j]} periods ahead, before the stage above it must, and holding is cheaper"
                " there than yet one above: no recursion is known"
            )
    windows = lead + ahead - np.append(0, ahead[:-1])  # periods from one stage's decision to the next one's
    echelon = holding - np.append(holding[1:], 0.0)
    found = _recursion(law, echelon, windows, lead + ahead, system.shortage + holding[0])
    if found is None:
        raise ValueError(
            f"the levels lie beyond a grid of {LARGEST_GRID} points; is holding nearly free at a stage, or demand"
            " almost certain?"
        )
    levels, cost = found
    for j in range(stages - 2, -1, -1):  # levels that must not bind lie above those that do
        if np.isinf(levels[j]):
            levels[j] = levels[j + 1]
        if late[j] > ahead[j]:
            gap = float(late[j] - ahead[j])
            reach = law.mean * gap + FAR * law.deviation * np.sqrt(gap)
            levels[j] = max(levels[j], levels[j + 1]) + (np.ceil(reach / law.step) * law.step if law.whole else reach)
    above = np.append(holding[1:], 0.0) * lead
    pipeline = np.array(system.pipeline) if system.pipeline else above
    return Optimum(tuple(float(level) for level in levels), float(cost + law.mean * (pipeline - above).sum()))


def _recursion(
    law: Law, echelon: np.ndarray, windows: np.ndarray, total: np.ndarray, dearest: float
) -> tuple[np.ndarray, float] | None:
    """Levels (infinite where a stage should pass on all it gets) and cost; None where the grid does not suffice.

    Everything is over the least demand of the windows, so that only what is uncertain takes grid points.
    """
    periods = int(windows.sum())
    spread = periods * (law.mean - law.least) + FAR * law.deviation * np.sqrt(periods)
    points = 64 + int(spread / law.step)
    while points <= LARGEST_GRID:
        found = _on_grid(law, echelon, windows, total, dearest, points)
        if found is not None:
            return found
        points *= 2
    return None


def _on_grid(
    law: Law, echelon: np.ndarray, windows: np.ndarray, total: np.ndarray, dearest: float, points: int
) -> tuple[np.ndarray, float] | None:
    step, certain = law.step, law.least * np.cumsum(windows)
    masses = law.masses(points)
    levels, least = np.empty(len(echelon)), np.inf
    at_zero, below, bent = 0.0, -dearest, np.full(points, dearest)  # V(0); slope below 0; slope less that, per step
    limit = 0.0  # slope of V far up
    for j, rate in enumerate(echelon):
        at_zero += rate * (certain[j] - total[j] * law.mean) - below * windows[j] * (law.mean - law.least)
        slopes = rate + below + signal.convolve(bent, _power(masses, int(windows[j])))[:points]
        below, limit = below + rate, limit + rate
        if limit <= FLAT * dearest:
            if j == len(echelon) - 1:
                raise ValueError("holding costs nothing, so that more stock is always better: no finite level is best")
            levels[j], bent = np.inf, slopes - below
            continue
        rises = np.flatnonzero(slopes >= -FLAT * dearest)
        if len(rises) == 0:
            return None
        first = int(rises[0])
        place = float(first)
        if first and not law.whole:
            # Slopes belong to the middles of steps; between two of them the cost is a parabola.
            place = first - 0.5 + slopes[first - 1] / (slopes[first - 1] - slopes[first])
        levels[j] = certain[j] + step * place
        slopes[first:] = 0.0
        least, bent, limit = at_zero + step * slopes[:first].sum(), slopes - below, 0.0
    return levels, float(least)


def _power(masses: np.ndarray, periods: int) -> np.ndarray:
    """Probabilities of the demand of so many periods, on the first points of the grid."""
    points = len(masses)
    total = np.zeros(points)
    total[0] = 1.0
    for _ in range(periods):
        total = signal.convolve(total, masses)[:points] if total[0] < 1.0 else masses
    return total


# --- networks ----------------------------------------------------------------------------------------------------


def serial_levels(network: Network) -> tuple[np.ndarray, float]:
    """Optimal echelon order-up-to levels (companies,), in units of each product, and the least cost of a period.

    The cost is that of the end customers' value: holding of stocks and of goods under way, whoever bears it, and
    waiting; where a market has no waiting cost, its penalty stands for it. Costs per unit (prices, freight, conversion,
    hurdles) do not depend on the levels and are left out. Raises PolicyError with the reason for a network that is no
    serial system that the recursion covers.
    """
    order, system, units = serial_system(network)
    try:
        best = optimum(system)
    except ValueError as error:
        raise PolicyError(f"no exact levels for '{network.scenario.name}': {error}") from None
    levels = np.empty(network.companies)
    levels[order] = units * np.array(best.levels)
    return levels, best.cost


def serial_system(network: Network) -> tuple[np.ndarray, SerialSystem, np.ndarray]:
    """Companies from the market upwards, the system that they are, and units of each product in one end product.

    Raises PolicyError with the reason for a network that the recursion does not cover.
    """
    order = _chain(network)
    _refuse_the_rest(network)
    company, purchase, trade, sale = network.company, network.purchase, network.trade, network.sale
    link = np.empty(network.companies, dtype=int)
    link[as_numpy(purchase.buyer)] = np.arange(network.purchases)
    link = link[order]  # the purchase link of each stage
    bom = as_numpy(purchase.bom)[link, 0]
    units = np.append(1.0, np.cumprod(bom[:-1]))
    transit = _whole(as_numpy(purchase.lead_time)[link, 0], network, order, "lead time")
    process = _whole(as_numpy(company.process_time)[order, 0], network, order, "process time")
    wait = (np.arange(len(trade.mail))[:, None] * as_numpy(trade.mail)[..., 0]).sum(axis=0)
    late = np.zeros(network.purchases)
    late[gather(np.arange(network.purchases), purchase.trade)] = wait
    under_way = as_numpy(purchase.transit_holding_cost)[link, 0] * transit * bom * units
    in_process = as_numpy(company.work_in_process_holding_cost)[order, 0] * process * units
    market = network.market
    waiting = float(market.waiting_cost[0, 0]) or float(gather(sale.penalty, sale.market)[0, 0])
    scenario = network.scenario
    law = demand_laws.of_market(scenario.markets[0], scenario.period_days)
    try:
        system = SerialSystem(
            holding=tuple((as_numpy(company.holding_cost)[order, 0] * units).tolist()),
            lead_time=tuple((transit + process).tolist()),
            order_lead_time=tuple(int(periods) for periods in late[link]),
            pipeline=tuple((under_way + in_process).tolist()),
            shortage=waiting,
            demand=law,
        )
    except ValueError as error:
        raise PolicyError(f"'{scenario.name}' has no exact levels: {error}") from None
    return order, system, units


def _chain(network: Network) -> np.ndarray:
    """Companies from the market upwards. Raises PolicyError for what is no chain."""
    names = network.names
    bought = np.bincount(as_numpy(network.purchase.buyer), minlength=network.companies)
    sold = np.bincount(as_numpy(network.sale.seller), minlength=network.companies)
    for count, what in ((bought, "suppliers"), (sold, "customers")):
        if count.max() > 1:
            raise _not_serial(network, f"'{names[int(count.argmax())]}' has {count.max()} {what}")
    if network.market_links != 1 or len(network.scenario.markets) != 1:
        raise _not_serial(network, f"there are {network.market_links} market links")
    seller = {
        int(b): int(s) for b, s in zip(as_numpy(network.trade.buyer), as_numpy(network.trade.seller), strict=True)
    }
    chain = [int(as_numpy(network.market.seller)[0])]
    while chain[-1] in seller:
        chain.append(seller[chain[-1]])
    return np.array(chain)


def _refuse_the_rest(network: Network) -> None:
    """Raises PolicyError for what a chain may have that the recursion does not cover."""
    company, names = network.company, network.names
    for values, what in (
        (np.isfinite(as_numpy(company.capacity)), "a limited capacity"),
        (as_numpy(company.defect_rate) > 0, "defects"),
        (as_numpy(company.spoilage) > 0, "spoilage"),
        (np.isfinite(as_numpy(company.credit_limit)), "a credit limit"),
    ):
        if values.any():
            raise _not_serial(network, f"'{names[int(np.argmax(values[:, 0]))]}' has {what}")
    sale = network.sale
    if (as_numpy(sale.kept) == 0).any():
        raise _not_serial(network, "unfilled orders are lost")
    if network.trades and (gather(as_numpy(sale.waiting_cost), network.trade.sale) > 0).any():
        raise _not_serial(network, "companies bear a waiting cost of their own")
    if network.disruptions:
        raise _not_serial(network, "there are disruptions")
    if network.listening:
        raise _not_serial(network, "demand answers to what customers experience")
    for wastes in (network.waste, network.link_waste):
        for channel in ("yield", "capacity", "process_time", "transit_time"):
            if channel in wastes.slope and (as_numpy(wastes.slope[channel]) != 0).any():
                raise _not_serial(network, f"waste moves what flows ({channel})")


def _whole(periods: np.ndarray, network: Network, order: np.ndarray, what: str) -> np.ndarray:
    """Whole periods as whole numbers. Raises PolicyError."""
    off = np.abs(periods - np.rint(periods)) > 1e-9
    if off.any():
        at = int(np.argmax(off))
        raise _not_serial(network, f"the {what} of '{network.names[order[at]]}' is {periods[at]:g} periods, not whole")
    return np.rint(periods).astype(int)


def _not_serial(network: Network, reason: str) -> PolicyError:
    return PolicyError(
        f"'{network.scenario.name}' is no serial system with known optimal levels: {reason}; give levels, or leave them"
        " to a rule for general networks"
    )
