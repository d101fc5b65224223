"""What the `order` of a decision means: a quantity, or a level that a position is raised to.

Positions count what is owned plus what is on the way minus what is owed, in units of the company's own product.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .arrays import Array, gather, segment_min, segment_sum, slot_sum, spread
from .network import Network

if TYPE_CHECKING:
    from .dynamics.state import State


def production_orders(network: Network, state: State, order: Array) -> Array:
    """Units that each company orders to be made, never negative: (companies, worlds).

    `order` is a quantity, an order-up-to level over the inventory position, or one over the echelon position,
    as the scenario's `replenishment` says. With `ordering: cascade` companies order from the market upwards,
    each after its customers' orders of this period have reached it. Bankrupt companies order nothing.
    """
    kind = network.scenario.replenishment
    if kind == "quantity":
        return _placed(network, state, order)
    if kind == "echelon_order_up_to":
        # An echelon position sees the end demand already, so the order of ordering does not change it.
        return _placed(network, state, order - echelon_position(network, state))
    missing = order - inventory_position(network, state)
    made = _placed(network, state, missing)
    if network.scenario.ordering == "cascade":
        # Each pass carries orders one company further up; the longest way needs `depth` passes.
        for _ in range(network.depth - 1):
            made = _placed(network, state, missing + _asked(network, made))
    return made


def _placed(network: Network, state: State, missing: Array) -> Array:
    """What companies order where so many units are missing: never a negative quantity, nothing of the bankrupt."""
    made = network.xp.maximum(missing, 0.0)
    return made * state.alive if network.mortal else made


def _asked(network: Network, made: Array) -> Array:
    """Units ordered from each company in this period by customers whose orders have no lead time."""
    placed = gather(network.purchase.bom * spread(made, network.purchase.by_buyer), network.purchase.trade)
    at_once = network.trade.mail[0] * placed
    market = network.zeros(network.market_links, made.shape[-1])
    return segment_sum(gather(network.xp.concat((at_once, market)), network.sale.arranged), network.sale.by_seller)


def on_order(network: Network, state: State) -> Array:
    """Units ordered on each purchase link and not yet shipped, in the mail or in the seller's backlog."""
    seen = gather(state.backlog, network.trade.sale)
    mail = slot_sum(state.orders_in_mail) if network.mail_slots else 0.0
    supply = network.zeros(network.purchases - network.trades, state.backlog.shape[-1])
    return gather(network.xp.concat((supply, seen + mail)), network.purchase.arranged)


def pipeline(network: Network, state: State) -> Array:
    """Units of product that a company's inputs, held, under way and on order, suffice for: (companies, worlds)."""
    owned = state.inputs + slot_sum(state.in_transit) + on_order(network, state)
    return segment_min(owned / network.purchase.bom, network.purchase.by_buyer)


def inventory_position(network: Network, state: State) -> Array:
    """On hand + in process + input pipeline − backlog, seen by the company alone: (companies, worlds)."""
    own = state.on_hand + pipeline(network, state) - segment_sum(state.backlog, network.sale.by_seller)
    return own + slot_sum(state.work_in_process) if network.process_slots else own


def echelon_stock(network: Network, state: State) -> Array:
    """A company's product anywhere downstream, as such or built in, minus what end customers wait for.

    Clark & Scarf (1960): on hand + in process + Σ over buyers of (in transit + inputs + bom · their echelon stock)
    − backlog of market links; (companies, worlds).
    """
    xp, purchase = network.xp, network.purchase
    worlds = state.backlog.shape[-1]
    waiting = gather(state.backlog, network.sale.market)
    owed = gather(xp.concat((network.zeros(network.trades, worlds), -waiting)), network.sale.arranged)
    on_way = gather(state.inputs + slot_sum(state.in_transit), purchase.trade)
    bom = gather(purchase.bom, purchase.trade)
    nothing = network.zeros(network.market_links, worlds)
    local = state.on_hand + segment_sum(owed, network.sale.by_seller)
    if network.process_slots:
        local = local + slot_sum(state.work_in_process)
    stock = local
    for _ in range(network.depth - 1):  # each pass carries stocks one company further up
        downstream = xp.concat((on_way + bom * gather(stock, network.trade.buyer), nothing))
        stock = local + segment_sum(gather(downstream, network.sale.arranged), network.sale.by_seller)
    return stock


def echelon_position(network: Network, state: State) -> Array:
    """Echelon stock + the company's own input pipeline: (companies, worlds)."""
    return echelon_stock(network, state) + pipeline(network, state)


def steady_levels(network: Network, state: State) -> Array:
    """Order-up-to levels that keep the stocks of `state` where demand is at its mean: (companies, worlds).

    They are the inventory positions (with `echelon_order_up_to`, the echelon positions) plus what a company starts in
    a mean period.
    """
    echelon = network.scenario.replenishment == "echelon_order_up_to"
    position = echelon_position(network, state) if echelon else inventory_position(network, state)
    return position + network.company.throughput / (1.0 - network.company.defect_rate)
