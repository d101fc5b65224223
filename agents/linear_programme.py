"""An upper bound on the end-customer value of an episode whose luck is known: a linear programme, solved exactly.

With efforts fixed a period is linear but for two places, where the model takes a minimum: a company makes as much as
its inputs and its capacity allow, and ships as much as its stock and its backlog allow. The programme keeps every
balance of stocks, orders and money of the model to the last unit and turns these two minima into limits. So whatever
the simulation does, under any policy, is a feasible point with the same value, and the greatest value of the programme
is never below it. What the programme may do, and companies may not, is this, and nothing else:

- see the whole tape of luck before it orders;
- ship less than stock and backlog allow, and choose what goes to which of a seller's links, whatever `allocation` says;
- make less than inputs and capacity allow. Not so where a company has a single input: without limit of capacity it
  makes all that comes, and in any case no less than what it has and what is under way at the start come to;
- go on where a company would be bankrupt;
- order any amount: what an order-up-to rule can ask for does not bind it, nor `order_max` unless `largest` is given.

Where none of it helps, the bound is reached, as it is in serial systems whose stocks are dearer downstream and in the
beer game. It is a bound by perfect information (Brown, Smith & Sun 2010, Operations Research 58(4), 785-801, with
no penalty).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from kaizen_env import Network
from kaizen_env.arrays import slot_sum, square_sum
from kaizen_env.dynamics import Decisions, State, initial_state
from kaizen_env.dynamics.flow import transit_split
from kaizen_env.dynamics.improvement import effects, held, improve, team
from kaizen_env.luck import Luck

from .window import Window

VARIABLES = ("ordered", "started", "shipped", "left", "unfilled", "inputs")
"""Each (periods, companies or links). `left` is finished stock after Ship and before spoilage, `unfilled` what stays of
the backlog after Ship, before orders that do not wait are lost; the others are called as in `Flows` and `State`."""


class NoBound(ValueError):
    """The linear programme would be no bound for this network: the message says why, and what to do."""


@dataclass(frozen=True)
class Programme:
    """The greatest `gain @ x + constant` with equal @ x = right, below @ x <= limit, least <= x <= most, in one world.

    x holds `VARIABLES` one after the other, each (periods, rows) laid flat; `shapes` says how long they are.
    """

    gain: np.ndarray  # (variables,) money per unit
    constant: float  # money
    equal: sparse.csr_array  # (balances, variables)
    right: np.ndarray
    below: sparse.csr_array  # (limits, variables)
    limit: np.ndarray
    least: np.ndarray
    most: np.ndarray
    shapes: dict[str, tuple[int, int]]

    def parts(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """A point by the names of its variables, (periods, rows) each."""
        ends = np.cumsum([np.prod(shape) for shape in self.shapes.values()])
        pieces = np.split(x, ends[:-1])
        return {name: piece.reshape(shape) for (name, shape), piece in zip(self.shapes.items(), pieces, strict=True)}


@dataclass(frozen=True)
class LinearBound:
    """What the linear programme found."""

    bound: np.ndarray  # (worlds,) no policy has more end-customer value over the episode, money
    orders: np.ndarray  # (periods, companies, worlds) that the programme places; played, they may come to less


def linear_bound(
    network: Network,
    luck: Luck,
    *,
    kaizen: Decisions | None = None,
    forced: np.ndarray | None = None,
    largest: np.ndarray | None = None,
    window: Window | None = None,
    warm_up: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> LinearBound:
    """The bound of every world of `luck`, over all orders, with the efforts and open twins of `kaizen`.

    It bounds the value of the periods that count in `window`, by default of all. Where some do not, the programme has
    their costs for nothing, and the bound is the wider for it. In the first `warm_up` periods wastes, skill and culture
    are held.

    `kaizen` has a leading axis of periods, as records have; its orders are not looked at. Without it nobody makes an
    effort, and wastes slide back as they do: a bound for policies without kaizen, and for all where the network has no
    waste. `forced` (periods, companies) are orders that nobody could choose; by default those of the scenario's
    `forced_periods`. `largest` (companies,) is the largest order of any other period; by default there is none.
    `progress` is called with (worlds done, worlds). Raises NoBound.
    """
    _refuse(network, kaizen, bool(network.scenario.forced_periods) if forced is None else len(forced) > 0)
    given = forced_orders(network, luck.periods) if forced is None else np.asarray(forced, dtype=np.float64)
    parameters = _parameters(network, luck, kaizen, window, warm_up)
    bound = np.empty(luck.worlds)
    orders = np.empty((luck.periods, network.companies, luck.worlds))
    for world in range(luck.worlds):
        programme = _programme(network, luck, world, parameters, given, largest)
        bound[world], x = solve(programme)
        orders[:, :, world] = np.maximum(programme.parts(x)["ordered"], 0.0) + 0.0  # the solver also says −0
        if progress is not None:
            progress(world + 1, luck.worlds)
    return LinearBound(bound, orders)


def programme(
    network: Network, luck: Luck, world: int = 0, kaizen: Decisions | None = None, window: Window | None = None
) -> Programme:
    """The linear programme of one world. Raises NoBound."""
    _refuse(network, kaizen, bool(network.scenario.forced_periods))
    parameters = _parameters(network, luck, kaizen, window)
    return _programme(network, luck, world, parameters, forced_orders(network, luck.periods))


def solve(programme: Programme) -> tuple[float, np.ndarray]:
    """The greatest value, and a point that has it. Raises NoBound where there is none."""
    found = linprog(
        -programme.gain,
        A_eq=programme.equal,
        b_eq=programme.right,
        A_ub=programme.below,
        b_ub=programme.limit,
        bounds=np.stack([programme.least, programme.most], axis=-1),
        method="highs",
    )
    if found.status == 3:
        raise NoBound("value grows without limit: a price of a supply link below 0 pays for every unit ordered")
    if found.status != 0:
        raise NoBound(f"the linear programme was not solved: {found.message}")
    return programme.constant - float(found.fun), found.x


def forced_orders(network: Network, periods: int) -> np.ndarray:
    """What every company must order in the scenario's `forced_periods`: (forced periods, companies), units to make."""
    mean = network.company.throughput / (1.0 - network.company.defect_rate)
    return np.repeat(mean.T, min(network.scenario.forced_periods, periods), axis=0)


def _refuse(network: Network, kaizen: Decisions | None, forced: bool) -> None:
    """Raise NoBound where the programme of this network bounds nothing."""
    if network.backend != "numpy":
        raise NoBound(f"the network is one of {network.backend}; give network.to('numpy', 'float64')")
    if network.listening:
        raise NoBound(
            "end demand answers to experience (goodwill, or choice: logit), which makes value no linear function of"
            " orders; use goodwill: 0 and choice: fixed, or only what gradients reach"
        )
    if network.mortal and (kaizen is not None or forced):
        raise NoBound(
            "a bankrupt company neither improves nor orders, so that efforts and forced orders are not known before;"
            " leave out credit_limit, or kaizen and forced orders"
        )


# --- the parameters of every period ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Parameters:
    """Process parameters by period; the last axis is worlds, or 1 where all worlds have the same."""

    start: State
    defect_rate: np.ndarray  # (periods, companies, worlds)
    conversion: np.ndarray  # (periods, companies, worlds) money per unit started
    capacity: np.ndarray  # (periods, companies, worlds) units
    hurdle: np.ndarray  # (periods, companies, worlds)
    freight: np.ndarray  # (periods, purchases, worlds)
    process: np.ndarray  # (periods, process slots + 1, companies, worlds) shares of a start
    transit: np.ndarray  # (periods, transit slots + 1, purchases, worlds) shares of a shipment
    effort_cost: np.ndarray  # (worlds,) over what is counted, money
    counted: np.ndarray  # (periods, 1) 1 where a period counts, else 0

    def of(self, name: str, world: int) -> np.ndarray:
        values = getattr(self, name)
        return values[..., world if values.shape[-1] > 1 else 0]


def _parameters(
    network: Network, luck: Luck, kaizen: Decisions | None, window: Window | None = None, warm_up: int = 0
) -> _Parameters:
    """Wastes do not depend on orders, so that efforts alone say what the parameters of every period are."""
    company, start = network.company, initial_state(network, luck.demand[0])
    # Without efforts they are the same in every world, and one is enough.
    state = initial_state(network, luck.demand[0][:, :1]) if kaizen is None else start
    idle = network.zeros(len(network.effort_names), network.companies, 1)
    window = Window(luck.periods) if window is None else window
    counted = np.array([[float(window.counts(t))] for t in range(luck.periods)])
    rows: list[tuple[np.ndarray, ...]] = []
    cost = np.zeros(luck.worlds)
    for t in range(luck.periods):
        now = effects(network, state)
        conversion = company.unit_cost + now.motion + now.over_processing
        transit = transit_split(network, now)
        rows.append((now.defect_rate, conversion, now.capacity, now.hurdle, now.freight, now.process_split, transit))
        effort, openness = (idle, idle[0]) if kaizen is None else (kaizen.effort[t], kaizen.openness[t])
        shares, total = team(network, state, effort)
        cost = cost + counted[t] * slot_sum(company.wage * total + 0.5 * company.curvature * square_sum(shares))
        improved = improve(network, state, shares, total, openness)
        state = held(state, improved) if t < warm_up else improved
    series = [np.stack(np.broadcast_arrays(*row)) for row in zip(*rows, strict=True)]
    return _Parameters(start, *series, effort_cost=cost, counted=counted)


# --- the programme ---------------------------------------------------------------------------------------------------


class _Rows:
    """Constraints that are being written: sums of coefficient · variable."""

    def __init__(self, shapes: dict[str, tuple[int, int]]) -> None:
        ends = np.cumsum([periods * rows for periods, rows in shapes.values()]).tolist()
        self.first = dict(zip(shapes, [0, *ends], strict=False))
        self.width = {name: rows for name, (_, rows) in shapes.items()}
        self.variables, self.count = ends[-1], 0
        self.entries: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def block(self, *shape: int) -> np.ndarray:
        """Numbers of new rows, in an array of that shape."""
        rows = self.count + np.arange(int(np.prod(shape))).reshape(shape)
        self.count += rows.size
        return rows

    def add(self, row: Any, name: str, period: Any, column: Any, value: Any) -> None:
        """value · variable `name` of (period, column) in `row`; arguments broadcast."""
        where = self.first[name] + np.asarray(period) * self.width[name] + column
        row, where, value = np.broadcast_arrays(row, where, value)
        self.entries.append((row.ravel(), where.ravel(), np.asarray(value, dtype=np.float64).ravel()))

    def matrix(self) -> sparse.csr_array:
        if not self.entries:
            return sparse.csr_array((self.count, self.variables))
        row, column, value = (np.concatenate(part) for part in zip(*self.entries, strict=True))
        matrix = sparse.coo_array((value, (row, column)), shape=(self.count, self.variables)).tocsr()
        matrix.eliminate_zeros()
        return matrix


class _World:
    """One world whose programme is being written; lives only inside `_programme`."""

    def __init__(self, network: Network, luck: Luck, world: int, given: _Parameters) -> None:
        self.network, self.luck, self.world, self.given = network, luck, world, given
        self.periods, self.start = luck.periods, given.start
        self.widths = dict.fromkeys(VARIABLES, network.companies)
        self.widths |= dict.fromkeys(("shipped", "unfilled"), network.sales) | {"inputs": network.purchases}
        self.shapes = {name: (self.periods, width) for name, width in self.widths.items()}
        # Where links stand among the purchase links and the sales links of all companies; None is everywhere.
        every_purchase, every_sale = np.arange(network.purchases), np.arange(network.sales)
        self.supply = every_purchase if network.purchase.supply is None else network.purchase.supply
        self.bought = every_purchase if network.purchase.trade is None else network.purchase.trade
        self.sold = every_sale if network.trade.sale is None else network.trade.sale
        self.at_market = every_sale if network.sale.market is None else network.sale.market
        # Good units by the periods that they are in process (periods, slots + 1, companies); shipments by the periods
        # that they travel (periods, slots + 1, purchases).
        self.good = given.of("process", world) * (1.0 - given.of("defect_rate", world))[:, None]
        self.transit = given.of("transit", world)
        self.bom, self.stays = network.purchase.bom[:, 0], 1.0 - network.company.spoilage[:, 0]

    def balances(self) -> tuple[_Rows, np.ndarray]:
        """What holds of stocks and backlog in every period: rows, and what they come to."""
        network, rows, periods, b = self.network, _Rows(self.shapes), self.periods, self.world
        buyer, seller, start = network.purchase.buyer, network.sale.seller, self.start
        company, link, sale = (np.arange(k) for k in (network.companies, network.purchases, network.sales))
        t = np.arange(periods)[:, None]
        # left(t) − stays · left(t − 1) − finished(t) + shipped(t) = what comes out of process from the start
        row = rows.block(periods, network.companies)
        rows.add(row, "left", t, company, 1.0)
        rows.add(row[1:], "left", t[:-1], company, -self.stays)
        for k in range(min(self.good.shape[1], periods)):
            rows.add(row[k:], "started", t[: periods - k], company, -self.good[: periods - k, k])
        rows.add(row[:, seller], "shipped", t, sale, 1.0)
        stock = _over(start.work_in_process[..., b], periods)
        stock[0] += start.on_hand[:, b]
        # inputs(t) − inputs(t − 1) + bom · started(t) − received(t) = what arrives of what is under way at the start
        row = rows.block(periods, network.purchases)
        rows.add(row, "inputs", t, link, 1.0)
        rows.add(row[1:], "inputs", t[:-1], link, -1.0)
        rows.add(row, "started", t, buyer, self.bom)
        for k in range(min(self.transit.shape[1], periods)):
            sent, arrives, share = t[: periods - k], row[k:], -self.transit[: periods - k, k]
            supplied = share[:, self.supply] * self.bom[self.supply]
            rows.add(arrives[:, self.supply], "ordered", sent, buyer[self.supply], supplied)
            rows.add(arrives[:, self.bought], "shipped", sent, self.sold, share[:, self.bought])
        owned = _over(start.in_transit[..., b], periods)
        owned[0] += start.inputs[:, b]
        # unfilled(t) − kept · unfilled(t − 1) + shipped(t) − orders that come due in t = demand, and mail of the start
        row = rows.block(periods, network.sales)
        rows.add(row, "unfilled", t, sale, 1.0)
        rows.add(row[1:], "unfilled", t[:-1], sale, -network.sale.kept[:, 0])
        rows.add(row, "shipped", t, sale, 1.0)
        for k, due in enumerate(network.trade.mail[:periods, :, 0]):
            placed = -due * self.bom[self.bought]
            rows.add(row[k:][:, self.sold], "ordered", t[: periods - k], network.trade.buyer, placed)
        asked = np.zeros((periods, network.sales))
        market = network.market
        asked[:, self.at_market] = market.share[:, 0] * self.luck.demand[:periods, market.market, b]
        asked[1:, self.sold] += _over(start.orders_in_mail[..., b], periods - 1)
        asked[0] = start.backlog[:, b]
        return rows, np.concatenate([stock.ravel(), owned.ravel(), asked.ravel()])

    def ranges(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Least and most of every variable, but for orders."""
        least = {name: np.zeros(shape) for name, shape in self.shapes.items()}
        most = {name: np.full(shape, np.inf) for name, shape in self.shapes.items()}
        capacity = np.broadcast_to(self.given.of("capacity", self.world), self.shapes["started"])
        if self.luck.capacity is not None:
            share, unlimited = self.luck.capacity[..., self.world], np.isinf(capacity)
            capacity = np.where(unlimited & (share > 0), np.inf, np.where(unlimited, 0.0, capacity) * share)
        most["started"] = capacity
        if not self.network.mortal:
            buyer = self.network.purchase.buyer
            lone = np.bincount(buyer)[buyer] == 1
            # A lone input is used up at once where nothing else is scarce, and what there is at the start must be made.
            most["inputs"] = np.where(np.isinf(capacity)[:, buyer] & lone, 0.0, np.inf)
            least["started"][:, buyer[lone]] = self._begun(capacity)[:, lone]
        if self.luck.passage is not None:
            when, link = np.nonzero(self.luck.passage[..., self.world] == 0)
            most["shipped"][when, self.sold[link]] = 0.0
        return least, most

    def _begun(self, capacity: np.ndarray) -> np.ndarray:
        """What is made of the inputs held or under way at the start, if no more ever come: (periods, purchases).

        A company with one purchase link starts min(inputs / bom, capacity), which grows with its inputs, as does what
        is left of them: more supply never makes it start less, in any period.
        """
        arrives = _over(self.start.in_transit[..., self.world], self.periods) / self.bom
        held, begun = self.start.inputs[:, self.world] / self.bom, np.zeros(arrives.shape)
        for t, more in enumerate(arrives):
            begun[t] = np.minimum(held + more, capacity[t, self.network.purchase.buyer])
            held = held + more - begun[t]
        return begun

    def passages(self) -> _Rows:
        """A passage lets through a share π of what would be shipped: Σ shipped / π <= stock, shipped / π <= backlog."""
        rows, n = _Rows(self.shapes), self.network.companies
        if self.luck.passage is None:
            return rows
        passage = self.luck.passage[..., self.world]  # (periods, trades)
        when, link = np.nonzero((passage > 0) & (passage < 1))
        held_up = 1.0 / passage[when, link] - 1.0
        row = rows.block(len(when))  # the backlog is shipped + unfilled
        rows.add(row, "shipped", when, self.sold[link], held_up)
        rows.add(row, "unfilled", when, self.sold[link], -1.0)
        place, which = np.unique(when * n + self.network.trade.seller[link], return_inverse=True)
        row = rows.block(len(place))  # the stock is Σ shipped + left
        rows.add(row[which], "shipped", when, self.sold[link], held_up)
        rows.add(row, "left", place // n, place % n, -1.0)
        return rows

    def money(self) -> tuple[dict[str, np.ndarray], float]:
        """End-customer value: per unit of each variable, and what depends on none of them.

        Prices, penalties, fees and shared gains are transfers between members, and cancel.
        """
        network, given, start, b = self.network, self.given, self.start, self.world
        company, purchase, sale = network.company, network.purchase, network.sale
        process_rate, transit_rate = company.work_in_process_holding_cost[:, 0], purchase.transit_holding_cost[:, 0]
        # Share k of what sets out in period t is under way in the k closings from then on, of which some count.
        before = np.concatenate(([0.0], np.cumsum(given.counted)))  # periods that count before each
        slots = np.arange(max(self.good.shape[1], self.transit.shape[1]))
        t = np.arange(self.periods)[:, None]
        closings = before[np.minimum(t + slots, self.periods)] - before[t]
        in_process = np.einsum("tk,tkn->tn", closings[:, : self.good.shape[1]], self.good) * process_rate
        on_way = np.einsum("tk,tkl->tl", closings[:, : self.transit.shape[1]], self.transit) * transit_rate
        counted = given.counted
        per_unit = counted * given.of("freight", b) + on_way  # (periods, purchases)
        # What is bought and made is a cost when it leaves at standard cost, or at once with accounting: cash.
        accrual = float(network.accrual)
        standard, unit_cost = accrual * company.standard_cost[:, 0], accrual * company.unit_cost[:, 0]
        resources = (self.bom * (counted * (1.0 - accrual) * purchase.price[:, 0] + per_unit))[:, self.supply]

        gain = {name: np.zeros(shape) for name, shape in self.shapes.items()}
        for place, link in enumerate(self.supply):
            gain["ordered"][:, purchase.buyer[link]] -= resources[:, place]
        conversion = given.of("conversion", b) - unit_cost + standard * given.of("defect_rate", b)
        gain["started"] -= counted * conversion + in_process
        gain["shipped"] -= counted * given.of("hurdle", b)[:, sale.seller]
        gain["shipped"][:, self.sold] -= per_unit[:, self.bought]
        delivered = network.market.value[:, 0] - standard[network.market.seller]
        gain["shipped"][:, self.at_market] += counted * delivered
        gain["left"] -= counted * (company.holding_cost[:, 0] * self.stays + standard * (1.0 - self.stays))
        lost_sale_cost = sale.lost_sale_cost + sale.customer_lost_sale_cost
        gain["unfilled"] -= counted * (sale.waiting_cost * sale.kept + lost_sale_cost * (1.0 - sale.kept))[:, 0]
        gain["inputs"] -= counted * purchase.input_holding_cost[:, 0]

        begun = 0.0  # slot j of the start comes out in period j, and is under way in the j closings before it
        for under_way, rate in ((start.work_in_process, process_rate), (start.in_transit, transit_rate)):
            closed = before[np.minimum(np.arange(len(under_way)), self.periods)]
            begun += float(closed @ (under_way[..., b] @ rate))
        return gain, -begun - float(given.effort_cost[b])


def _programme(
    network: Network, luck: Luck, world: int, given: _Parameters, forced: np.ndarray, largest: np.ndarray | None = None
) -> Programme:
    here = _World(network, luck, world, given)
    balances, right = here.balances()
    passages, (gain, constant) = here.passages(), here.money()
    least, most = here.ranges()
    most["ordered"][:] = np.inf if largest is None else largest
    least["ordered"][: len(forced)] = most["ordered"][: len(forced)] = forced
    return Programme(
        gain=_flat(gain),
        constant=constant,
        equal=balances.matrix(),
        right=right,
        below=passages.matrix(),
        limit=np.zeros(passages.count),
        least=_flat(least),
        most=_flat(most),
        shapes=here.shapes,
    )


def _flat(parts: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([parts[name].ravel() for name in VARIABLES])


def _over(slots: np.ndarray, periods: int) -> np.ndarray:
    """What is in time slots (slots, rows) at the start, by the period in which it comes out (periods, rows)."""
    out = np.zeros((periods, slots.shape[1]))
    out[: len(slots)] = slots[:periods]
    return out
