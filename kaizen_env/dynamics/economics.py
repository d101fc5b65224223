"""Settle: the money of a period, from the flows and the closing stocks only (model, section 4)."""

from __future__ import annotations

from ..arrays import Array, gather, segment_sum, slot_sum, square_sum
from ..network import Network
from .improvement import Effects
from .state import Books, Flows, State


def settle(network: Network, closing: State, flows: Flows, effects: Effects, effort: Array, total: Array) -> Books:
    """The books of one period. `closing` holds the stocks after Ship, and culture and twins as they were in it."""
    company, purchase, sale, market = network.company, network.purchase, network.sale, network.market
    revenue = sale.price * flows.shipped
    penalty = sale.penalty * closing.backlog
    waiting = sale.waiting_cost * closing.backlog
    paid_for = purchase.price * flows.dispatched
    freight = effects.freight * flows.dispatched
    transit_holding = purchase.transit_holding_cost * slot_sum(closing.in_transit)
    input_holding = purchase.input_holding_cost * closing.inputs
    stock_holding = company.holding_cost * closing.on_hand
    if network.process_holding and network.process_slots:
        stock_holding = stock_holding + company.work_in_process_holding_cost * slot_sum(closing.work_in_process)
    conversion = company.unit_cost * flows.started
    motion = effects.motion * flows.started
    over_processing = effects.over_processing * flows.started
    wages = company.wage * total
    improvement = wages + (0.5 * company.curvature) * square_sum(effort)
    unused_talent = wages * (1.0 - closing.culture)
    fee = network.platform_fee * closing.open_twin

    borne = segment_sum(gather(penalty, sale.penalty_link) * sale.penalty_share, sale.payer)
    bought = paid_for + freight + input_holding
    seller_holds = network.scenario.transit_holding == "seller" and network.trades > 0
    if seller_holds:
        bought = bought + transit_holding * (1.0 - purchase.is_trade)
    else:
        bought = bought + transit_holding
    if network.trades:
        bought = bought + _on_purchases(network, gather(waiting - penalty, network.trade.sale))
    sold = segment_sum(revenue, sale.by_seller) - segment_sum(bought, purchase.by_buyer)
    if seller_holds:
        sold = sold - segment_sum(_on_sales(network, gather(transit_holding, purchase.trade)), sale.by_seller)
    before = sold - borne - stock_holding - conversion - motion - over_processing

    delivered = gather(flows.shipped, sale.market)
    value = market.value * delivered
    hurdles = effects.hurdle * segment_sum(flows.shipped, sale.by_seller)
    surplus = value - market.price * delivered - gather(waiting - penalty, sale.market)
    customers = _all(network, surplus) - _all(network, hurdles)
    contract = network.zeros(network.companies, before.shape[-1])
    if network.gain_shares:
        created = _all(network, before) + customers
        for share, reference, net, customers_share in network.gain_shares:
            gain = share * (created - reference)
            contract = contract + net * gain
            customers = customers + customers_share * gain
    return Books(
        revenue=revenue,
        resources=gather(paid_for, purchase.supply),
        freight=freight,
        transit_holding=transit_holding,
        input_holding=input_holding,
        stock_holding=stock_holding,
        conversion=conversion,
        motion=motion,
        over_processing=over_processing,
        effort=improvement,
        unused_talent=unused_talent,
        penalty=penalty,
        fee=fee,
        contract=contract,
        profit=before - improvement - fee + contract,
        value=value,
        waiting=waiting,
        hurdles=hurdles,
        customers=customers,
    )


def account(network: Network, closing: State, books: Books) -> State:
    """Cash after the period; a company whose cash fell below minus its credit limit is bankrupt for good."""
    cash = closing.cash + books.profit
    if not network.mortal:
        return closing._replace(cash=cash)
    return closing._replace(cash=cash, alive=closing.alive * (cash >= -network.company.credit_limit))


def end_customer_value(network: Network, books: Books) -> Array:
    """End customers' surplus + all companies' profit + platform fees: (worlds,) for the books of one period.

    Books with a leading axis of periods give (periods, worlds).
    """
    xp = network.xp
    return xp.sum(books.profit, axis=-2) + xp.sum(books.fee, axis=-2) + books.customers[..., 0, :]


def _all(network: Network, values: Array) -> Array:
    """Sum over rows, kept as one row: (1, worlds)."""
    return slot_sum(values)[None]


def _on_purchases(network: Network, traded: Array) -> Array:
    """Values of trade links at their purchase links, 0 on supply links: (purchases, worlds)."""
    nothing = network.zeros(network.purchases - network.trades, traded.shape[-1])
    return gather(network.xp.concat((nothing, traded)), network.purchase.arranged)


def _on_sales(network: Network, traded: Array) -> Array:
    """Values of trade links at their sales links, 0 on market links: (sales, worlds)."""
    nothing = network.zeros(network.market_links, traded.shape[-1])
    return gather(network.xp.concat((traded, nothing)), network.sale.arranged)
