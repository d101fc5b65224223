"""Goods and orders of one period: Order, Receive, Make, Ship. Pure functions; nothing is written into arguments."""

from __future__ import annotations

from typing import NamedTuple

from ..arrays import Array, gather, segment_min, segment_sum, spread
from ..network import Network, split
from .improvement import Effects
from .state import State

TINY = 1e-12  # units; keeps a division by an empty backlog finite


class Orders(NamedTuple):
    made: Array  # (companies, worlds) production orders
    supplied: Array  # (supplies, worlds) shipped at once by external suppliers
    placed: Array  # (trades, worlds) units ordered from sellers
    arrivals: Array  # (sales, worlds) orders without lead time, seen in this same period
    orders_in_mail: Array  # (mail slots, trades, worlds)


class Production(NamedTuple):
    started: Array  # (companies, worlds)
    scrapped: Array  # (companies, worlds)
    finished: Array  # (companies, worlds) good units completed in this period
    inputs: Array  # (purchases, worlds) left over
    work_in_process: Array  # (process slots, companies, worlds)


class Shipments(NamedTuple):
    shipped: Array  # (sales, worlds)
    on_hand: Array  # (companies, worlds) after shipping and spoilage
    spoiled: Array  # (companies, worlds)
    backlog: Array  # (sales, worlds)
    lost: Array  # (sales, worlds)


def order(network: Network, state: State, made: Array) -> Orders:
    """Purchase orders for `made` units: bom · made on every purchase link (model, event 2)."""
    purchase, trade, sale, xp = network.purchase, network.trade, network.sale, network.xp
    ordered = purchase.bom * spread(made, purchase.by_buyer)
    placed = gather(ordered, purchase.trade)
    at_once = placed
    mail = state.orders_in_mail
    if network.mail_slots:
        at_once = trade.mail[0] * placed
        mail = mail + trade.mail[1:] * placed
    nothing = network.zeros(network.market_links, made.shape[-1])
    return Orders(
        made=made,
        supplied=gather(ordered, purchase.supply),
        placed=placed,
        arrivals=gather(xp.concat((at_once, nothing)), sale.arranged),
        orders_in_mail=mail,
    )


def receive(network: Network, state: State, orders: Orders, transit: Array) -> tuple[Array, Array]:
    """Slot 0 of what is in transit, and supply without lead time: received, inputs; each (purchases, worlds)."""
    received = state.in_transit[0]
    if network.instant_supply:
        supplied = dispatched(network, orders.supplied, network.zeros(network.trades, orders.made.shape[-1]))
        received = received + transit[0] * supplied
    return received, state.inputs + received


def make(network: Network, state: State, inputs: Array, effects: Effects, capacity: Array | None) -> Production:
    """Start what inputs and capacity allow, scrap a share, complete what is due; `capacity` is the share left."""
    purchase, xp = network.purchase, network.xp
    limit = effects.capacity if capacity is None else _share_of(effects.capacity, capacity, network)
    started = xp.minimum(segment_min(inputs / purchase.bom, purchase.by_buyer), limit)
    if network.mortal:
        started = started * state.alive
    scrapped = started * effects.defect_rate
    good = started - scrapped
    # What rounding leaves of an input that is used up is no stock.
    left = xp.maximum(inputs - purchase.bom * spread(started, purchase.by_buyer), 0.0)
    if network.process_slots == 0:
        return Production(started, scrapped, good, left, state.work_in_process)
    process = effects.process_split
    finished = state.work_in_process[0] + process[0] * good
    waiting = xp.concat((state.work_in_process[1:], network.zeros(1, *good.shape)))
    return Production(started, scrapped, finished, left, waiting + process[1:] * good)


def _share_of(capacity: Array, share: Array, network: Network) -> Array:
    """A share of a capacity; all of an unlimited one, unless nothing is left."""
    xp = network.xp
    limited = xp.where(xp.isinf(capacity), 0.0, capacity) * share
    return xp.where(xp.isinf(capacity) & (share > 0), capacity, limited)


def ship(network: Network, state: State, on_hand: Array, backlog: Array, passage: Array | None) -> Shipments:
    """Fill the backlog from stock, lose what does not wait, spoil a share; `passage` is the share let through."""
    company, sale, xp = network.company, network.sale, network.xp
    offered = on_hand * state.alive if network.mortal else on_hand
    if network.scenario.allocation == "proportional":
        wanted = segment_sum(backlog, sale.by_seller)
        filled = xp.minimum(offered / xp.maximum(wanted, TINY), 1.0)
        shipped = backlog * spread(filled, sale.by_seller)
    else:
        shipped = _by_priority(network, offered, backlog)
    if passage is not None:
        open_market = network.zeros(network.market_links, shipped.shape[-1]) + 1.0
        shipped = shipped * gather(xp.concat((passage, open_market)), sale.arranged)
    left = xp.maximum(on_hand - segment_sum(shipped, sale.by_seller), 0.0)
    spoiled = left * company.spoilage
    waiting = backlog - shipped
    kept = waiting * sale.kept
    return Shipments(shipped, left - spoiled, spoiled, kept, waiting - kept)


def _by_priority(network: Network, offered: Array, backlog: Array) -> Array:
    """Fill the links of each seller in the order listed: (sales, worlds)."""
    sale, xp = network.sale, network.xp
    most, companies = sale.ranks.shape
    padded = xp.concat((backlog, network.zeros(1, backlog.shape[-1])))
    queue = xp.reshape(gather(padded, xp.reshape(sale.ranks, (-1,))), (most, companies, backlog.shape[-1]))
    before = xp.cumulative_sum(queue, axis=0) - queue
    filled = xp.minimum(xp.maximum(offered - before, 0.0), queue)
    return gather(xp.reshape(filled, (most * companies, backlog.shape[-1])), sale.rank_of)


def dispatched(network: Network, supplied: Array, traded: Array) -> Array:
    """Supply (supplies, worlds) and trade shipments (trades, worlds) as one flow to buyers (purchases, worlds)."""
    return gather(network.xp.concat((supplied, traded)), network.purchase.arranged)


def send(network: Network, state: State, dispatch: Array, transit: Array) -> Array:
    """In transit after this period's shipments: (transit slots, purchases, worlds)."""
    ahead = network.xp.concat((state.in_transit[1:], network.zeros(1, *dispatch.shape)))
    return ahead + transit[1:] * dispatch


def transit_split(network: Network, effects: Effects) -> Array:
    """Shares of a shipment by the number of periods it travels: (transit slots + 1, purchases, worlds or 1)."""
    if network.transit_split is not None:
        return network.transit_split
    return split(effects.transit_time, network.transit_places, network.xp)
