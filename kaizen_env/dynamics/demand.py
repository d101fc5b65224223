"""Reveal: what end customers order next, from the demand tape, fixed shares or experience, and goodwill."""

from __future__ import annotations

from ..arrays import Array, gather, segment_sum
from ..network import Network
from .improvement import Effects
from .state import Flows, State

TINY = 1e-12  # customers; keeps the surplus of nobody finite
REACH = 30.0  # bound of the logit's exponent; e^30 is everybody


def market_orders(network: Network, state: State, demand: Array, mail: Array) -> Array:
    """What joins each sales link's backlog: due `mail` (trades, worlds) and split `demand` (markets, worlds)."""
    market, xp = network.market, network.xp
    share = market.share
    if network.listening:
        change = state.experience - market.initial_experience
        if network.choosing:
            pull = xp.exp(xp.minimum(xp.maximum(market.logit * market.sensitivity * change, -REACH), REACH))
            weight = share * pull
            share = weight / gather(segment_sum(weight, market.by_market), market.market)
        # Demand moves with what customers experience, relative to what the product is worth to them.
        felt = segment_sum(share * change, market.by_market) / market.worth
        demand = demand * xp.maximum(1.0 + market.goodwill * felt, 0.0)
    ordered = share * gather(demand, market.market)
    return gather(xp.concat((mail, ordered)), network.sale.arranged)


def reveal(network: Network, state: State, at_once: Array, mail: Array, demand: Array) -> tuple[State, Array]:
    """Demand of the next period and due mail join the backlog; forecasts follow what was ordered.

    `at_once` (sales, worlds) are orders that joined the backlog earlier in this period, `mail` (mail slots, trades,
    worlds) the orders under way. Returns the next state and all that joined the backlog (sales, worlds).
    """
    worlds = demand.shape[-1]
    nothing = network.zeros(1, network.trades, worlds)
    due = mail[0] if network.mail_slots else nothing[0]
    ahead = network.xp.concat((mail[1:], nothing)) if network.mail_slots else mail
    revealed = market_orders(network, state, demand, due)
    seen = at_once + revealed
    forecast = state.forecast + network.forecast_smoothing * (seen - state.forecast)
    next_state = state._replace(backlog=state.backlog + revealed, orders_in_mail=ahead, forecast=forecast)
    return next_state, seen


def experienced(network: Network, closing: State, flows: Flows, effects: Effects) -> Array:
    """Experience after a period: smoothed value per customer served, waiting or lost (market links, worlds).

    Customers served had value − price, customers waiting −waiting cost + penalty, customers lost what that costs them;
    all meet the hurdles on the way.
    Fewer customers than usual move it proportionally less, so that nobody's experience is no experience.
    """
    market, xp = network.market, network.xp
    sale = network.sale
    delivered, lost = gather(flows.shipped, sale.market), gather(flows.lost, sale.market)
    waiting = gather(closing.backlog, sale.market)
    customers = delivered + waiting + lost
    surplus = (market.value - market.price) * delivered + (market.penalty - market.waiting_cost) * waiting
    surplus = surplus - market.customer_lost_sale_cost * lost
    hurdle = gather(effects.hurdle, market.route_company) * market.route_units
    felt = surplus / xp.maximum(customers, TINY) - segment_sum(hurdle, market.route)
    weight = market.smoothing * xp.minimum(customers / market.flow, 1.0)
    return closing.experience + weight * (felt - closing.experience)
