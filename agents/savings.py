"""What a unit of each waste costs per period, to the company itself and to the network; and what a company can know.

A unit of waste is the step from level 0 (none) to level 1 (today). The numbers are slopes of the steady state: end
demand at its mean, every company making what that takes, stocks on hand as they are (an ordering rule whose levels
follow its lead times keeps them so). There they are exact: `tests/agents/test_kaizen_rules.py` compares them with the
simulation. Two terms stand for what demand that is not steady adds, both per independent periods: the safety stock
that a longer time to replenish asks for, and the stock that a line needs that cannot always keep up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from kaizen_env import Network
from kaizen_env.arrays import gather, segment_sum
from kaizen_env.dynamics import initial_state
from kaizen_env.dynamics.improvement import Effects, effects
from kaizen_env.network import Wastes

CLOSE = 1e-9  # relative; a line that is just fast enough for its mean is not too slow


@dataclass(frozen=True)
class Savings:
    """Money per period that goes when a waste falls from level 1 to 0, were its slope the same all the way.

    Rows of wastes are those of the network's `waste` and `link_waste`.
    """

    own: np.ndarray  # (wastes, companies) to the company itself
    network: np.ndarray  # (wastes, companies) to end customers and all companies together
    link_own: np.ndarray  # (link wastes, purchases) to the buyer
    link_network: np.ndarray  # (link wastes, purchases)


class Improvable(NamedTuple):
    """Wastes as kaizen meets them; each (wastes, rows), rates per period."""

    saving: np.ndarray  # money per period and level
    rate: np.ndarray  # ln 2 / half-life: share that full effort of a plain beginner removes, continuously
    backsliding: np.ndarray
    floor: np.ndarray

    @staticmethod
    def of(wastes: Wastes, saving: np.ndarray) -> Improvable:
        """The wastes of companies or links, one row each, with what they cost."""
        return Improvable(saving, -wastes.rate[..., 0], wastes.backsliding[..., 0], wastes.floor[..., 0])


@dataclass(frozen=True)
class OwnKaizen:
    """What a company's own books show of its improvement; (companies,) where no shape is given."""

    waste: Improvable  # of its own, (wastes, companies)
    link_waste: Improvable  # of all its purchase links together, (link wastes, companies)
    wage: np.ndarray  # money per period of a whole team
    curvature: np.ndarray  # money per period
    links: np.ndarray  # over which its joint effort is spread
    purchase: Improvable  # of each purchase link, (link wastes, purchases): what its buyer saves
    buyer: np.ndarray  # (purchases,) int
    partner: np.ndarray  # (purchases,) int, the seller, or the buyer itself where the supplier is no company

    @staticmethod
    def of(network: Network, deviation: np.ndarray, shortage_cost: np.ndarray) -> OwnKaizen:
        """Of every company; `deviation` and `shortage_cost` (companies,) are those of `Facts`."""
        found = savings(network, deviation, shortage_cost)
        links = Improvable.of(network.link_waste, found.link_own)
        n = network.companies
        total = _by_buyer(network, links.saving)
        count = _by_buyer(network, np.ones_like(links.saving))

        def mean(values: np.ndarray) -> np.ndarray:
            """Over the purchase links of each company, by what is saved on them; plain where nothing is."""
            weighted = _by_buyer(network, links.saving * values)
            plain = _by_buyer(network, values) / np.where(count > 0, count, 1.0)
            return np.where(total > 0, weighted / np.where(total > 0, total, 1.0), plain)

        return OwnKaizen(
            waste=Improvable.of(network.waste, found.own),
            link_waste=Improvable(total, *(mean(values) for values in links[1:])),
            wage=network.company.wage[:, 0],
            curvature=network.company.curvature[:, 0],
            links=network.links_per_company[:, 0] + np.zeros(n),
            purchase=links,
            buyer=network.purchase.buyer,
            partner=network.purchase.partner,
        )


def savings(
    network: Network,
    deviation: np.ndarray | float = 0.0,
    shortage_cost: np.ndarray | float = 0.0,
    waste: np.ndarray | None = None,
    link_waste: np.ndarray | None = None,
) -> Savings:
    """What each waste costs at the levels `waste` (wastes, companies) and `link_waste` (link wastes, purchases).

    By default at the levels of the start. `deviation` is the standard deviation of a period's orders and
    `shortage_cost` money per unit that waits, (companies,) or one for all; without a deviation demand is constant.

    Per company, with d the defect rate, T the good units and T / (1 − d) the units started per period, and c what a
    start costs (conversion, and of each input bom · (price + freight + holding in transit)):
    yield c · T / (1 − d)², unit cost T / (1 − d), process time T · (holding in process) + safety, capacity see
    `_congestion`, freight the flow, transit time flow · (holding in transit) + safety; each times what a level adds
    to the parameter. A hurdle costs the end customers T times the hurdle, and the company nothing. For the network
    the price of an input is what it really costs to make and bring, with the hurdles that it puts in the way.

    To its own savings a company adds its share of the network's where a `gain_share` contract pays it one.
    """
    state = initial_state(network, network.market.mean)
    if waste is not None:
        state = state._replace(waste=waste[..., None])
    if link_waste is not None:
        state = state._replace(link_waste=link_waste[..., None])
    now = effects(network, state)
    company, purchase = network.company, network.purchase
    flow, made = steady_flows(network, now)
    good = 1.0 - now.defect_rate
    started = made / good
    held = purchase.transit_holding_cost * now.transit_time  # money per unit brought
    bears = 1.0 - purchase.is_trade if network.scenario.transit_holding == "seller" else np.ones_like(purchase.bom)
    conversion = company.unit_cost + now.motion + now.over_processing
    brought = purchase.bom * (purchase.price + now.freight + held * bears)
    start_own = conversion + segment_sum(brought, purchase.by_buyer)
    start_whole = _real_cost(network, now, conversion, held)

    spread = _column(deviation, network.companies)
    links = segment_sum(np.ones_like(purchase.bom), purchase.by_buyer)
    lead = segment_sum(now.transit_time + np.zeros_like(purchase.bom), purchase.by_buyer) / links
    owed = _column(shortage_cost, network.companies)
    safety = _safety(company.holding_cost, owed, spread, np.maximum(lead + now.process_time, 1.0))
    congestion = _congestion(network, now.capacity, started, spread, owed)
    in_process = company.work_in_process_holding_cost * made + safety
    of_companies = {  # channel: what a unit of its parameter costs per period, the company and the network
        "yield": (start_own * made / good**2, start_whole * made / good**2),
        "motion": (started, started),
        "over_processing": (started, started),
        "process_time": (in_process, in_process),
        "capacity": (-congestion, -congestion),
        "hurdle": (np.zeros_like(made), made),
    }
    waits = (safety / links)[purchase.buyer]
    of_links = {
        "freight": (flow, flow),
        "transit_time": (
            _share_in_use(network) * (purchase.transit_holding_cost * bears * flow + waits),
            _share_in_use(network) * (purchase.transit_holding_cost * flow + waits),
        ),
    }
    own, whole = _per_level(network.waste, of_companies)
    link_own, link_whole = _per_level(network.link_waste, of_links)
    paid = sum((share * net for share, _, net, _ in network.gain_shares), np.zeros_like(made))
    return Savings(
        own=(own + paid * whole)[..., 0],
        network=whole[..., 0],
        link_own=(link_own + paid[purchase.buyer] * link_whole)[..., 0],
        link_network=link_whole[..., 0],
    )


def steady_flows(network: Network, now: Effects) -> tuple[np.ndarray, np.ndarray]:
    """Units brought on each purchase link (purchases, worlds) and good units made (companies, worlds) per period.

    End demand is at its mean, and every company makes what that takes with the defect rates of `now`.
    """
    purchase, sale, market = network.purchase, network.sale, network.market
    sold = market.share * market.mean[market.market] + np.zeros(now.defect_rate.shape[-1])
    traded = np.zeros((network.trades, sold.shape[-1]))
    flow, made = np.zeros_like(purchase.bom), np.zeros_like(network.company.unit_cost)
    for _ in range(network.depth):  # each pass carries demand one company further up
        made = segment_sum(gather(np.concatenate((traded, sold)), sale.arranged), sale.by_seller)
        flow = purchase.bom * (made / (1.0 - now.defect_rate))[purchase.buyer]
        traded = gather(flow, purchase.trade)
    return flow, made


def _real_cost(network: Network, now: Effects, conversion: np.ndarray, held: np.ndarray) -> np.ndarray:
    """What a unit started costs the network with all that lies upstream of it (companies, 1)."""
    company, purchase = network.company, network.purchase
    start = conversion
    for _ in range(network.depth):  # each pass knows the inputs from one company further up
        made = start / (1.0 - now.defect_rate) + company.work_in_process_holding_cost * now.process_time + now.hurdle
        price = np.where(purchase.is_trade > 0, made[purchase.partner], purchase.price)
        start = conversion + segment_sum(purchase.bom * (price + now.freight + held), purchase.by_buyer)
    return start


def _safety(holding: np.ndarray, shortage: np.ndarray, spread: np.ndarray, time: np.ndarray) -> np.ndarray:
    """What one more period to replenish costs in stock and shortage (companies, 1).

    The optimum of a base stock for normal demand over `time` periods is (h + b) · φ(z) · σ · √time, with Φ(z) =
    b / (h + b) (Snyder & Shen 2019, equation 4.30); this is its slope in `time`.
    """
    both = np.where(holding + shortage > 0, holding + shortage, 1.0)
    density = np.exp(-0.5 * np.square(ndtri(shortage / both))) / np.sqrt(2.0 * np.pi)
    return (holding + shortage) * density * spread / (2.0 * np.sqrt(time))


def _congestion(
    network: Network, capacity: np.ndarray, started: np.ndarray, spread: np.ndarray, shortage: np.ndarray
) -> np.ndarray:
    """What one unit of capacity less costs per period (companies, 1): the stock that has to stand in for it.

    The shortfall V of a line grows as V ← max(0, V + demand − capacity). After t periods its mean is Σ_{n≤t} E[S_n⁺]/n,
    S_n the sum of n such steps (Spitzer 1956), and its slope in the capacity −Σ_{n≤t} P(S_n > 0): for normal demand,
    the mean of that over an episode. A unit of shortfall is a unit more to hold (Tayur 1993); on a line that is
    too slow even for its mean no stock helps, and it waits.
    """
    periods = network.scenario.periods
    steps = np.arange(1, periods + 1)
    slack = np.where(np.isinf(capacity), 1.0, capacity - started)
    slack = np.where(np.abs(slack) <= CLOSE * started, 0.0, slack) + np.zeros_like(spread)
    scale = np.where(spread > 0, spread, 1.0)
    behind = ndtr(-np.sqrt(steps) * slack / scale)  # (companies, periods)
    behind = np.where(spread > 0, behind, slack < 0)
    growth = (behind * (1.0 - (steps - 1) / periods)).sum(axis=1, keepdims=True)
    dear = np.maximum(network.company.holding_cost, shortage)
    cost = np.where(slack < 0, dear, network.company.holding_cost)
    return np.where(np.isinf(capacity), 0.0, cost * growth)


def _share_in_use(network: Network) -> np.ndarray:
    """Share of a waste of transit time that can be felt (purchases, 1): nothing arrives in less than one period."""
    if "transit_time" not in network.link_waste.channels:
        return np.ones_like(network.purchase.bom)
    waste = network.link_waste.slope["transit_time"].sum(axis=0)  # periods
    felt = np.clip(network.purchase.lead_time - network.purchase.least_lead_time, 0.0, waste)
    return felt / np.where(waste > 0, waste, 1.0)


def _per_level(wastes: Wastes, cost: dict[str, tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Costs per unit of each channel's parameter as costs per level of each waste: own and whole (wastes, rows, 1)."""
    own, whole = np.zeros_like(wastes.initial), np.zeros_like(wastes.initial)
    for channel, (first, last) in wastes.channels.items():
        own[first:last] = wastes.slope[channel] * cost[channel][0]
        whole[first:last] = wastes.slope[channel] * cost[channel][1]
    return own, whole


def _by_buyer(network: Network, values: np.ndarray) -> np.ndarray:
    """Sums over the purchase links of each company: (wastes, purchases) to (wastes, companies)."""
    return segment_sum(values.T, network.purchase.by_buyer).T


def _column(values: np.ndarray | float, rows: int) -> np.ndarray:
    return np.broadcast_to(np.asarray(values, dtype=np.float64), (rows,))[:, None]
