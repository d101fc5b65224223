"""What a picture shows: the numbers of one world at this moment, read from a batch without touching it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..arrays import gather, segment_min, segment_sum, slot_sum
from ..dynamics import State, end_customer_value
from ..network import Network
from ..regimes import REGIMES, Regime

if TYPE_CHECKING:
    from ..envs.batch import BatchEnv


class Snapshot(NamedTuple):
    """One world after the last period, with the demand of the next one revealed; flows are 0 before the first."""

    names: list[str]
    on_hand: np.ndarray  # (companies,) finished units
    inputs: np.ndarray  # (companies,) own units that the scarcest input suffices for
    in_transit: np.ndarray  # (companies,) own units on the way to it, mean over purchase links
    backlog: np.ndarray  # (companies,) units ordered by customers, seen and not shipped
    late: np.ndarray  # (companies,) the part of it that the last period did not serve
    orders: np.ndarray  # (companies,) units ordered by customers since the last decision
    profit: np.ndarray  # (companies,) money of the last period
    waste: np.ndarray | None  # (companies,) mean level of own wastes and those of purchase links; NaN = has none
    waste_left: float  # mean level in the network
    culture: np.ndarray | None  # (companies,) share; None where it plays no part
    open_twin: np.ndarray | None  # (companies,) 0 or 1; None where twins cannot be opened
    alive: np.ndarray  # (companies,) 0 or 1
    dispatched: np.ndarray  # (purchases,) units sent off to the buyer in the last period
    transit: np.ndarray  # (transit slots, purchases) units, slot 0 arrives next
    lead_time: np.ndarray  # (purchases,) periods, before kaizen
    delivered: np.ndarray  # (market links,) units in the last period
    new: np.ndarray  # (markets,) units of demand just revealed
    served: np.ndarray  # (markets,) units delivered in the last period
    unserved: np.ndarray  # (markets,) units that the last period did not serve, waiting or lost
    title: str
    regime: str
    clock: str
    value: str


def snapshot(batch: BatchEnv, world: int = 0) -> Snapshot:
    """The numbers of one world. Raises RuntimeError before the first reset, IndexError where there is no such world."""
    if batch.luck is None:
        raise RuntimeError("render before reset; call reset(seed=…) first")
    if not 0 <= world < batch.worlds:
        raise IndexError(f"world {world} of {batch.worlds}; allowed: 0 to {batch.worlds - 1}")
    network, one = batch.network, slice(world, world + 1)
    purchase, sale, market = network.purchase, network.sale, network.market
    state = type(batch.state)(*(field[..., one] for field in batch.state))
    flows = None if batch.flows is None else type(batch.flows)(*(field[..., one] for field in batch.flows))
    nothing = np.zeros((network.sales, 1))
    arrivals = state.backlog if flows is None else flows.arrivals
    shipped, lost = (nothing, nothing) if flows is None else (flows.shipped, flows.lost)
    links = np.bincount(purchase.buyer, minlength=network.companies).astype(float)
    # Orders that reach the seller in the period they are placed could be shipped in it; mail and demand are new.
    at_once = np.concatenate((network.trade.mail[0], np.zeros((network.market_links, 1))))
    new = arrivals * (1.0 - (0.0 if flows is None else gather(at_once, sale.arranged)))
    late = np.maximum(state.backlog - new, 0.0)

    def by_seller(values: np.ndarray) -> np.ndarray:
        return segment_sum(values, sale.by_seller)[:, 0]

    def by_market(values: np.ndarray) -> np.ndarray:
        return segment_sum(gather(values, sale.market), market.by_market)[:, 0]

    levels, counted = _wastes(network, state)
    on_way = slot_sum(state.in_transit) / purchase.bom
    profit = np.zeros(network.companies) if batch.books is None else batch.books.profit[:, world]
    return Snapshot(
        names=network.names,
        on_hand=state.on_hand[:, 0],
        inputs=segment_min(state.inputs / purchase.bom, purchase.by_buyer)[:, 0],
        in_transit=segment_sum(on_way, purchase.by_buyer)[:, 0] / links,
        backlog=by_seller(state.backlog),
        late=by_seller(late),
        orders=by_seller(arrivals),
        profit=profit,
        waste=levels / np.where(counted > 0, counted, np.nan) if counted.any() else None,
        waste_left=float(levels.sum() / counted.sum()) if counted.any() else 0.0,
        culture=state.culture[:, 0] if _has_culture(network) else None,
        open_twin=state.open_twin[:, 0] if batch.actions.opens or state.open_twin.any() else None,
        alive=state.alive[:, 0],
        dispatched=np.zeros(network.purchases) if flows is None else flows.dispatched[:, 0],
        transit=state.in_transit[..., 0],
        lead_time=purchase.lead_time[:, 0],
        delivered=gather(shipped, sale.market)[:, 0],
        new=by_market(new),
        served=by_market(shipped),
        unserved=by_market(late + lost),
        title=batch.scenario.title or batch.scenario.name,
        regime=regime_name(batch.regime),
        clock=(f"world {world} of {batch.worlds} · " if batch.worlds > 1 else "") + _clock(batch),
        value=_value(batch, world, float(by_market(shipped).sum()), float(by_market(late + lost).sum())),
    )


def regime_name(regime: Regime) -> str:
    """The regime's name where it has one, else its axes."""
    for name, known in REGIMES.items():
        if known == regime:
            return name
    usual = Regime()
    parts = [f"twin {regime.twin}", f"objective {regime.objective}"]
    parts += ["control planner"] if regime.control == "planner" else []
    if regime.objective != "own" and regime.alignment != usual.alignment:
        parts.append(f"alignment {regime.alignment:g}")
    parts += [] if regime.kaizen else ["no kaizen"]
    for axis in ("twin_lag", "twin_noise", "shared_twin_lag", "shared_twin_noise"):
        if getattr(regime, axis) != getattr(usual, axis):
            parts.append(f"{axis.replace('_', ' ')} {getattr(regime, axis):g}")
    return ", ".join(parts)


def number(value: float) -> str:
    """A number with about four digits, in at most seven characters: 0.43, 12.50, 84300, 1.204M."""
    size = abs(value)
    if size < 0.005:
        return "0"
    for limit, digits in ((99.995, 2), (999.95, 1), (99999.5, 0)):
        if size < limit:
            return f"{value:.{digits}f}"
    for letter, unit in (("k", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12)):
        scaled = size / unit
        if scaled < 999.95:
            return f"{value / unit:.{3 if scaled < 9.9995 else 2 if scaled < 99.995 else 1}f}{letter}"
    return f"{value:.0e}"


def percent(share: float) -> str:
    """A share as a percentage; a dash where there is none (NaN)."""
    return "–" if np.isnan(share) else f"{100 * share:.0f} %"


def _wastes(network: Network, state: State) -> tuple[np.ndarray, np.ndarray]:
    """Sum of levels, and number of wastes, of each company and its purchase links: (companies,) each.

    As in the lean metrics, those count that stood above 0 at the start.
    """
    by_buyer = network.purchase.by_buyer
    of_company, of_link = (x.initial > 0 for x in (network.waste, network.link_waste))

    def total(own: np.ndarray, link: np.ndarray) -> np.ndarray:
        return (own.sum(axis=0) + segment_sum(link.sum(axis=0), by_buyer))[:, 0]

    return total(state.waste * of_company, state.link_waste * of_link), total(
        np.broadcast_to(of_company, state.waste.shape), np.broadcast_to(of_link, state.link_waste.shape)
    )


def _has_culture(network: Network) -> bool:
    culture = network.scenario.culture
    return bool(network.cultural or culture.openness_threshold > 0 or (network.company.initial_culture < 1).any())


def _clock(batch: BatchEnv) -> str:
    days = batch.scenario.period_days
    clock = f"day {round(batch.t * days, 2):g} of {round(batch.horizon * days, 2):g}"
    return clock if days == 1 else f"{clock}, period {batch.t} of {batch.horizon}"


def _value(batch: BatchEnv, world: int, served: float, unserved: float) -> str:
    if batch.books is None:
        return "no period has passed yet"
    last = end_customer_value(batch.network, batch.books)[world]
    share = served / (served + unserved) if served + unserved > 0 else 1.0
    return (
        f"end-customer value so far {number(batch.value_so_far[world])}, of the last period {number(last)}"
        f" · {percent(share)} of its end customers served"
    )
