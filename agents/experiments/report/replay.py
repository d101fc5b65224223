"""One world of an episode, kept period by period, to be looked at: stocks, backlogs, flows, wastes, value.

Of a large network the companies with the largest flow of goods are kept, and of a long episode every n-th period:
`MOST_COMPANIES` and `MOST_NUMBERS` say when. What is left out is said in the data, and on the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from kaizen_env import BatchEnv, Network
from kaizen_env.arrays import gather, slot_sum
from kaizen_env.dynamics import State, end_customer_value
from kaizen_env.metrics import waste_remaining
from kaizen_env.pictures.placement import Area, place, rows_needed
from kaizen_env.pictures.snapshot import snapshot

from ...policy import Policy
from ...rollout import run_in
from ...window import Window

MOST_COMPANIES = 200  # on more of them nobody sees anything
MOST_NUMBERS = 1_000_000  # in all replays of a page, of about five characters each
DIGITS = 4  # that are kept of a number
MONEY_DIGITS = 9  # of end-customer value, so that sums and differences still mean something
MONEY = ("value", "so_far")
AREA = Area(0.0, 0.0, 1000.0, 500.0)  # where companies are placed; the page stretches it


@dataclass(frozen=True)
class Shown:
    """The part of a network that is kept; rows are those of the network's own arrays."""

    network: Network
    company: np.ndarray  # (companies shown,) int
    trade: np.ndarray  # (trade links shown,) int
    purchase: np.ndarray  # (trade links shown,) int, purchase link of each
    market: np.ndarray  # (market links shown,) int
    sale: np.ndarray  # (trade, then market links shown,) int, sales link of each

    @property
    def links(self) -> int:
        return len(self.trade) + len(self.market)


@dataclass
class Recording:
    """What was kept of one policy under one regime."""

    label: str
    policy: str
    value: float  # end-customer value per period, mean over the periods that count
    frames: list[dict[str, Any]]  # one for the start, and one for every period
    why_not: str | None = None  # in place of frames: why there are none

    @staticmethod
    def missing(label: str, policy: str, why: str) -> Recording:
        return Recording(label, policy, float("nan"), [], why)


def shown(network: Network, most: int = MOST_COMPANIES) -> Shown:
    """What to keep of a network: all, or the `most` companies whose goods of a period are worth most, and their links.

    A good is worth its standard cost: its unit cost and that of all that is in it, at zero waste.
    """
    company = np.arange(network.companies)
    if network.companies > most:
        worth = (network.company.throughput * network.company.standard_cost)[:, 0]
        company = np.sort(np.argsort(-worth, kind="stable")[:most])
    trade, market = network.trade, network.market
    trades = np.flatnonzero(np.isin(trade.seller, company) & np.isin(trade.buyer, company))
    markets = np.flatnonzero(np.isin(market.seller, company))
    rows = [
        np.arange(count) if index is None else np.asarray(index)
        for index, count in (
            (network.purchase.trade, network.trades),
            (trade.sale, network.trades),
            (network.sale.market, network.market_links),
        )
    ]
    sale = np.concatenate((rows[1][trades], rows[2][markets])).astype(np.int64)
    return Shown(network, company, trades, rows[0][trades].astype(np.int64), markets, sale)


def record(
    env: BatchEnv,
    policy: Policy,
    luck: int,
    seed: int,
    label: str,
    part: Shown,
    window: Window,
    moments: Sequence[int] | None = None,
) -> Recording:
    """Play `policy` in one world of `env`, whose luck is fixed by `luck`; `seed` is the policy's own.

    `env` has one world and was made with auto_reset=False; `moments` are those to keep, in simulated periods from 0
    (the start) on, by default all. A frame has the number of its period in `window`, and the sum of the money that
    counts. Raises PolicyError.
    """
    kept = set(range(env.horizon + 1) if moments is None else moments)
    env.reset(seeds=[luck])
    frames = [_frame(env, part, window, 0.0, 0.0)] if 0 in kept else []
    so_far = 0.0

    def watch(_: State, now: BatchEnv) -> None:
        nonlocal so_far
        assert now.books is not None
        value = float(end_customer_value(now.network, now.books)[0])
        so_far += value * window.counts(now.t - 1)
        if now.t in kept:
            frames.append(_frame(now, part, window, value, so_far))

    episode = run_in(env, policy, [luck], seed, watch=watch, window=window)
    return Recording(label, policy.name, float(episode.end_customer_value[0]), frames)


def kept_moments(horizon: int, part: Shown, recordings: int, most: int = MOST_NUMBERS) -> list[int]:
    """Simulated periods that a page of so many recordings has room for: 0, every n-th, and the last."""
    numbers = recordings * (7 * len(part.company) + 4 * part.links + 4)
    step = max(1, ceil((horizon + 1) * numbers / most))
    return sorted({0, *range(step, horizon + 1, step), horizon})


def _frame(env: BatchEnv, part: Shown, window: Window, value: float, so_far: float) -> dict[str, Any]:
    """The numbers of this moment, after the period that has just passed."""
    now, network, state = snapshot(env), env.network, env.state
    nothing = np.zeros(network.sales)
    shipped = nothing if env.flows is None else env.flows.shipped[:, 0]
    companies, purchases = part.company, part.purchase
    in_process = np.broadcast_to(slot_sum(state.work_in_process), state.on_hand.shape)[:, 0]
    link_waste = state.link_waste[:, :, 0].mean(axis=0) if len(state.link_waste) else np.zeros(network.purchases)
    return {
        "period": window.period(env.t),
        "value": value,
        "so_far": so_far,
        "waste_left": float(waste_remaining(network, state)[0]),
        # companies
        "on_hand": now.on_hand[companies],
        "inputs": now.inputs[companies],
        "in_process": in_process[companies],
        "late": now.late[companies],
        "waste": np.zeros(len(companies)) if now.waste is None else np.nan_to_num(now.waste[companies]),
        "open_twin": state.open_twin[companies, 0],
        "alive": now.alive[companies],
        # trade links, then market links
        "shipped": shipped[part.sale],
        "backlog": _late(env)[part.sale],
        # trade links
        "in_transit": slot_sum(state.in_transit)[purchases, 0],
        "link_waste": link_waste[purchases],
        # markets
        "unserved": now.unserved,
        "served": now.served,
    }


def _late(env: BatchEnv) -> np.ndarray:
    """Units on every sales link (sales,) that the last period did not ship: the backlog without what is new in it."""
    network, state = env.network, env.state
    if env.flows is None:
        return np.zeros(network.sales)
    at_once = np.concatenate((network.trade.mail[0], np.zeros((network.market_links, 1))))
    new = env.flows.arrivals * (1.0 - gather(at_once, network.sale.arranged))
    return np.maximum(state.backlog - new, 0.0)[:, 0]


def stage(part: Shown, recordings: Sequence[Recording], window: Window) -> dict[str, Any]:
    """The network and all recordings as plain data for the page; positions are shares of its width and height."""
    network = part.network
    places = place(network, AREA)
    scenario, purchase, market = network.scenario, network.purchase, network.market
    at = {row: i for i, row in enumerate(part.company.tolist())}
    found = [r for r in recordings if r.frames]
    usual = np.maximum(network.company.throughput[part.company, 0], 1e-9)
    cover = np.concatenate([[1e-9], *(frame["on_hand"] / usual for r in found for frame in r.frames)])
    return {
        "companies": [
            {
                "name": network.names[row],
                "place": _place(places.company[row]),
                "usual": _rounded(network.company.throughput[row, 0]),
            }
            for row in part.company
        ],
        "left_out": network.companies - len(part.company),
        "rows": int(rows_needed(network)),
        "markets": [
            {"name": m.name, "place": _place(centre)} for m, centre in zip(scenario.markets, places.market, strict=True)
        ],
        "trades": [
            {
                "seller": at[int(network.trade.seller[t])],
                "buyer": at[int(network.trade.buyer[t])],
                "usual": _rounded(purchase.flow[p, 0]),
            }
            for t, p in zip(part.trade, part.purchase, strict=True)
        ],
        "market_links": [
            {
                "seller": at[int(market.seller[m])],
                "market": int(market.market[m]),
                "usual": _rounded(market.flow[m, 0]),
            }
            for m in part.market
        ],
        "period_days": scenario.period_days,
        "horizon": window.periods,
        "warm_up": window.warm_up,
        "tail": window.tail,
        "wastes": bool(network.waste.initial.any() or network.link_waste.initial.any()),
        # The stock, in periods of usual output, that is drawn largest.
        "largest_cover": _rounded(np.quantile(cover, 0.98)),
        "recordings": [
            {
                "label": r.label,
                "policy": r.policy,
                "mean": None if r.why_not else r.value,
                "why_not": r.why_not,
                "frames": [_rounded_frame(frame) for frame in r.frames],
            }
            for r in recordings
        ],
    }


def _place(centre: np.ndarray) -> list[float]:
    """Shares of width and height, y down."""
    return [round(float(centre[0]) / AREA.width, 4), round(1.0 - float(centre[1]) / AREA.height, 4)]


def _rounded_frame(frame: dict[str, Any]) -> dict[str, Any]:
    return {name: _rounded(values, MONEY_DIGITS if name in MONEY else DIGITS) for name, values in frame.items()}


def _rounded(values: Any, digits: int = DIGITS) -> Any:
    """Numbers with few digits, as short as JSON can say them; lists stay lists."""
    if isinstance(values, np.ndarray):
        return [_rounded(float(value), digits) for value in values]
    rounded = float(f"{float(values):.{digits}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded
