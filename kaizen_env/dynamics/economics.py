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
    lost_sales = sale.lost_sale_cost * flows.lost
    if network.losing:
        waiting = waiting + sale.customer_lost_sale_cost * flows.lost
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
    if network.losing:
        sold = sold - segment_sum(lost_sales, sale.by_seller)
    before = sold - borne - stock_holding - conversion - motion - over_processing
    own_change, network_change = 0.0, network.zeros(1, before.shape[-1])
    if network.accrual:
        own_change, network_change = _stock_changes(network, flows)

    delivered = gather(flows.shipped, sale.market)
    value = market.value * delivered
    hurdles = effects.hurdle * segment_sum(flows.shipped, sale.by_seller)
    surplus = value - market.price * delivered - gather(waiting - penalty, sale.market)
    customers = _all(network, surplus) - _all(network, hurdles)
    contract = network.zeros(network.companies, before.shape[-1])
    if network.gain_shares:
        created = _all(network, before) + customers + network_change
        for share, reference, net, customers_share in network.gain_shares:
            gain = share * (created - reference)
            contract = contract + net * gain
            customers = customers + customers_share * gain
    cash_profit = before - improvement - fee + contract
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
        lost_sales=lost_sales,
        contract=contract,
        cash_profit=cash_profit,
        profit=cash_profit + own_change,
        network_stock_change=network_change,
        value=value,
        waiting=waiting,
        hurdles=hurdles,
        customers=customers,
    )


def _stock_changes(network: Network, flows: Flows) -> tuple[Array, Array]:
    """What a period adds to stocks, at book cost (companies, worlds), and for the network at standard cost (1, worlds).

    An input is its buyer's from dispatch on, at its price; a unit is booked when it is started, at unit cost + Σ bom ·
    price. Hence a company's stock changes by what it buys and adds, less the book cost of what left. In the books of
    the network what companies have charged each other for goods still in stock is not yet earned: what suppliers
    outside and conversion bring in, less the standard cost of what was delivered, scrapped and spoiled.
    """
    company, purchase, sale = network.company, network.purchase, network.sale
    added, gone = company.unit_cost * flows.started, flows.scrapped + flows.spoiled
    bought = segment_sum(purchase.price * flows.dispatched, purchase.by_buyer)
    own = bought + added - company.book_cost * (segment_sum(flows.shipped, sale.by_seller) + gone)
    supplied = gather(purchase.price, purchase.supply) * flows.supplied
    delivered = gather(company.standard_cost, network.market.seller) * gather(flows.shipped, sale.market)
    whole = _all(network, supplied) + _all(network, added - company.standard_cost * gone) - _all(network, delivered)
    return own, whole


def account(network: Network, closing: State, books: Books) -> State:
    """Cash after the period; a company whose cash fell below minus its credit limit is bankrupt for good."""
    cash = closing.cash + books.cash_profit
    if not network.mortal:
        return closing._replace(cash=cash)
    return closing._replace(cash=cash, alive=closing.alive * (cash >= -network.company.credit_limit))


def end_customer_value(network: Network, books: Books) -> Array:
    """End customers' surplus + all companies' profit + platform fees: (worlds,) for the books of one period.

    Profit in the consolidated books of the network: cash profits and the change of all stocks at standard cost. Books
    with a leading axis of periods give (periods, worlds).
    """
    xp = network.xp
    cash = xp.sum(books.cash_profit, axis=-2) + xp.sum(books.fee, axis=-2)
    return cash + books.customers[..., 0, :] + books.network_stock_change[..., 0, :]


def unrealised_profit(network: Network, books: Books) -> Array:
    """Profit in companies' own books that the network has not yet earned: (worlds,), or (periods, worlds).

    What companies charged each other beyond standard cost for goods that are still in stock, less what came out of
    stock: companies' profits + end customers' surplus + platform fees − end-customer value. 0 with accounting: cash.
    """
    change = books.profit - books.cash_profit
    return network.xp.sum(change, axis=-2) - books.network_stock_change[..., 0, :]


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
