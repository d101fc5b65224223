"""Lean metrics of an episode, from its states, flows and books (model, section 4). NumPy, whatever ran the episode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .arrays import as_numpy, gather, segment_min
from .dynamics.economics import end_customer_value, unrealised_profit
from .dynamics.state import Books, Flows, State
from .ledger import KINDS, ledger
from .network import Network
from .simulation import Trajectory

DAYS_PER_YEAR = 365.0


@dataclass(frozen=True)
class LeanMetrics:
    """Totals over an episode, per world unless the shape says otherwise."""

    end_customer_value: np.ndarray  # (worlds,) money
    network_profit: np.ndarray  # (worlds,) money, all companies
    unrealised_profit: np.ndarray  # (worlds,) money of it that the network has not yet earned: on goods still in stock
    customer_surplus: np.ndarray  # (worlds,) money, all end customers
    platform_revenue: np.ndarray  # (worlds,) money
    profit: np.ndarray  # (companies, worlds) money, as the scenario accounts for it
    cash_profit: np.ndarray  # (companies, worlds) money, receipts less payments
    profit_gini: np.ndarray  # (worlds,) 0 = all alike; NaN where total profit is not positive
    fill_rate: np.ndarray  # (worlds,) share of end demand delivered in the period in which it appears
    order_to_delivery_days: np.ndarray  # (worlds,) mean waiting of end customers, by Little's law
    inventory_turns: np.ndarray  # (worlds,) per year, cost of what end customers got / value of all stocks
    throughput_days: np.ndarray  # (worlds,) along the slowest way through the network, by Little's law
    value_adding_days: np.ndarray  # (worlds,) process time at zero waste on that way
    flow_efficiency: np.ndarray  # (worlds,) the ratio of the two
    cost: dict[str, np.ndarray]  # kind of the ledger → (companies, worlds) money
    muda_share: dict[str, np.ndarray]  # kind → (worlds,) share of total cost
    bullwhip: np.ndarray  # (companies, worlds) variance of orders placed / of the end demand they serve
    waste_remaining: np.ndarray  # (worlds,) mean level at the end of the wastes that stood above 0 at the start
    half_life_days: dict[str, np.ndarray]  # waste → (worlds,) realised; infinite where it did not fall
    open_twins: np.ndarray  # (worlds,) mean share of companies whose twin was open
    survivors: np.ndarray  # (worlds,) companies alive at the end

    def table(self) -> dict[str, float]:
        """Means over worlds of the metrics that are one number per world."""
        numbers = {k: v for k, v in vars(self).items() if isinstance(v, np.ndarray) and v.ndim == 1}
        shares = {f"muda_share_{kind}": share for kind, share in self.muda_share.items()}
        return {name: float(np.mean(values)) for name, values in (numbers | shares).items()}


def lean_metrics(trajectory: Trajectory) -> LeanMetrics:
    """The lean metrics of an episode. Raises ValueError where its states, flows or books were not recorded."""
    missing = [name for name in ("states", "flows", "books") if getattr(trajectory, name) is None]
    if missing:
        raise ValueError(f"metrics need what was not recorded: {', '.join(missing)}; add it to simulate(record=…)")
    network = trajectory.network.to("numpy")
    states, flows, books = (_numpy(getattr(trajectory, name)) for name in ("states", "flows", "books"))
    final = _numpy(trajectory.final)
    total_books = Books(*(field.sum(axis=0) for field in books))
    total_flows = Flows(*(field.sum(axis=0) for field in flows))
    cost = {kind: np.asarray(v) for kind, v in ledger(network, total_flows, total_books).items()}
    spent = sum(cost[kind].sum(axis=0) for kind in KINDS)
    throughput, value_adding = flow_times(network, states, flows)
    profit = total_books.profit
    return LeanMetrics(
        end_customer_value=end_customer_value(network, total_books),
        network_profit=profit.sum(axis=0),
        unrealised_profit=unrealised_profit(network, total_books),
        customer_surplus=total_books.customers[0],
        platform_revenue=total_books.fee.sum(axis=0),
        profit=profit,
        cash_profit=total_books.cash_profit,
        profit_gini=gini(profit),
        **_service(network, states, flows),
        inventory_turns=_turns(network, states, total_flows),
        throughput_days=throughput,
        value_adding_days=value_adding,
        flow_efficiency=_ratio(value_adding, throughput),
        cost=cost,
        muda_share={kind: _ratio(cost[kind].sum(axis=0), spent) for kind in KINDS},
        bullwhip=_bullwhip(network, states, flows),
        waste_remaining=waste_remaining(network, final),
        half_life_days=_half_lives(network, states, final),
        open_twins=states.open_twin.mean(axis=(0, 1)),
        survivors=final.alive.sum(axis=0),
    )


def gini(values: np.ndarray) -> np.ndarray:
    """Gini coefficient over axis 0: mean absolute difference / twice the mean; NaN where the sum is not positive."""
    n, ordered = len(values), np.sort(values, axis=0)
    weight = (2.0 * np.arange(1, n + 1) - n - 1.0).reshape(-1, *[1] * (values.ndim - 1))
    total = values.sum(axis=0)
    return _ratio((weight * ordered).sum(axis=0), np.where(total > 0, n * total, np.nan))


def end_demand(network: Network, states: State, flows: Flows) -> np.ndarray:
    """New orders of end customers on each market link: (periods, market links, worlds) units."""
    backlog, left = (
        _on_market_links(network, x) for x in (states.backlog, states.backlog - flows.shipped - flows.lost)
    )
    carried = np.concatenate((np.zeros_like(left[:1]), left[:-1]))
    return backlog - carried


def flow_times(network: Network, states: State, flows: Flows) -> tuple[np.ndarray, np.ndarray]:
    """Throughput and value-adding days of the slowest way through the network, (worlds,) each.

    By Little's law a stock of so many units at a flow of so many per day takes stock / flow days. The way of a
    unit is that of its slowest input at every company; several markets count by what they were delivered.
    """
    purchase, sale, days = network.purchase, network.sale, network.scenario.period_days
    on_links = states.inputs.mean(axis=0) + states.in_transit.sum(axis=1).mean(axis=0)
    at_company = states.on_hand.mean(axis=0) + states.work_in_process.sum(axis=1).mean(axis=0)
    link_days = _little(on_links, flows.received.mean(axis=0)) * days
    own_days = _little(at_company, flows.finished.mean(axis=0)) * days
    lean_days = np.broadcast_to(network.waste.base["process_time"] * days, own_days.shape)
    time, adding = own_days, lean_days
    for _ in range(network.depth):
        ahead, useful = link_days.copy(), np.zeros_like(link_days)
        rows = _rows(purchase.trade, len(link_days))
        ahead[rows] += time[network.trade.seller]
        useful[rows] = adding[network.trade.seller]
        slowest = -segment_min(-ahead, purchase.by_buyer)
        on_slowest = np.where(ahead >= slowest[purchase.buyer], useful, 0.0)
        time, adding = own_days + slowest, lean_days - segment_min(-on_slowest, purchase.by_buyer)
    delivered = gather(flows.shipped.sum(axis=0), sale.market)
    weight = _ratio(delivered, delivered.sum(axis=0))
    seller = network.market.seller
    return (weight * time[seller]).sum(axis=0), (weight * adding[seller]).sum(axis=0)


def _service(network: Network, states: State, flows: Flows) -> dict[str, np.ndarray]:
    demand = end_demand(network, states, flows)
    shipped, lost = _on_market_links(network, flows.shipped), _on_market_links(network, flows.lost)
    carried = _on_market_links(network, states.backlog) - demand
    at_once = np.maximum(shipped - carried, 0.0).sum(axis=(0, 1))
    waiting = (carried + demand - shipped - lost).sum(axis=(0, 1))
    asked = demand.sum(axis=(0, 1))
    return {
        "fill_rate": _ratio(at_once, asked),
        "order_to_delivery_days": _ratio(waiting, asked) * network.scenario.period_days,
    }


def _turns(network: Network, states: State, total: Flows) -> np.ndarray:
    """Standard cost of what end customers got per year over the mean standard value of all stocks."""
    cost, purchase = network.company.standard_cost, network.purchase
    of_input = np.where(purchase.is_trade > 0, cost[purchase.partner], purchase.price)
    on_links = states.inputs + states.in_transit.sum(axis=1)
    at_company = states.on_hand + states.work_in_process.sum(axis=1)
    stock = (cost * at_company.mean(axis=0)).sum(axis=0) + (of_input * on_links.mean(axis=0)).sum(axis=0)
    sold = (cost[network.market.seller] * gather(total.shipped, network.sale.market)).sum(axis=0)
    years = len(states.on_hand) * network.scenario.period_days / DAYS_PER_YEAR
    return _ratio(sold / years, stock)


def _bullwhip(network: Network, states: State, flows: Flows) -> np.ndarray:
    """Variance over time of the orders placed over that of the end demand they serve, in the company's units."""
    demand = np.moveaxis(end_demand(network, states, flows), 1, 0)  # (market links, periods, worlds)
    served = np.zeros((network.companies, *demand.shape[1:]))
    np.add.at(served, network.market.seller, demand)
    trade = network.trade
    bom = gather(network.purchase.bom, network.purchase.trade)[:, :, None]
    total = served
    for _ in range(network.depth - 1):  # each pass carries demand one company further up
        upstream = served.copy()
        np.add.at(upstream, trade.seller, bom * total[trade.buyer])
        total = upstream
    return _ratio(np.moveaxis(flows.ordered, 1, 0).var(axis=1), total.var(axis=1))


def waste_remaining(network: Network, final: State) -> np.ndarray:
    """Mean level of the wastes that stood above 0 at the start, of companies and links: (worlds,)."""
    worlds = final.on_hand.shape[-1]
    levels = []
    for wastes, level in ((network.waste, final.waste), (network.link_waste, final.link_waste)):
        counted = np.broadcast_to(wastes.initial > 0, level.shape)
        levels.append(level[counted].reshape(-1, worlds))
    left = np.concatenate(levels)
    return left.mean(axis=0) if len(left) else np.zeros(worlds)


def _half_lives(network: Network, states: State, final: State) -> dict[str, np.ndarray]:
    """Days in which the mean level of each waste halved, at the mean rate of the episode."""
    days = len(states.on_hand) * network.scenario.period_days
    lives = {}
    for names, start, end in (
        (network.company_waste_names, states.waste, final.waste),
        (network.link_waste_names, states.link_waste, final.link_waste),
    ):
        for k, name in enumerate(names):
            first, last = start[0, k].mean(axis=0), end[k].mean(axis=0)
            with np.errstate(divide="ignore", invalid="ignore"):
                halvings = np.log2(first / last)
                lives[name] = np.where(halvings > 0, days / halvings, np.inf)
    return lives


def _on_market_links(network: Network, values: np.ndarray) -> np.ndarray:
    """(periods, sales, worlds) to (periods, market links, worlds)."""
    return values[:, _rows(network.sale.market, network.sales)]


def _rows(index: np.ndarray | None, rows: int) -> np.ndarray:
    return np.arange(rows) if index is None else index


def _little(stock: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Stock / flow; 0 where there is neither, infinite where a stock does not move."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(stock > 0, stock / flow, 0.0)


def _ratio(a: Any, b: Any) -> np.ndarray:
    """a / b, NaN where b is 0."""
    b = np.asarray(b, dtype=np.float64)
    return np.divide(a, np.where(b == 0, np.nan, b))


def _numpy(record: Any) -> Any:
    return type(record)(*(as_numpy(field).astype(np.float64) for field in record))
