"""The muda ledger: every real cost of a period once, as value-adding or as one kind of waste (model, section 4)."""

from __future__ import annotations

from .arrays import Array, gather, segment_sum
from .dynamics.state import Books, Flows
from .network import Network

MUDA = (
    "transport",
    "inventory",
    "motion",
    "over_processing",
    "waiting",
    "over_production",
    "defects",
    "hurdles",
    "unused_talent",
)
KINDS = ("value_adding", "improvement", *MUDA)
"""Improvement is what kaizen costs, as far as culture did not waste it: neither value-adding nor muda."""


def ledger(network: Network, flows: Flows, books: Books) -> dict[str, Array]:
    """Cost by kind, (companies, worlds) each, at the company where it arises, whoever bears it.

    `flows` and `books` are of one period, or summed over periods. Value delivered − the sum of all is end-customer
    value. Scrapped and spoiled units are booked at standard cost, with what earlier companies put into them.
    Value-adding is the standard cost of what reached the customer, at the companies that added it. With `accounting:
    cash` it is what was spent on conversion and supplies less what was scrapped and spoiled, which is negative where a
    company wastes more than it adds.
    """
    company = network.company
    at_buyer = network.purchase.by_buyer
    defects = company.standard_cost * flows.scrapped
    over_production = company.standard_cost * flows.spoiled
    if network.accrual:
        value_adding = company.added_cost * delivered_units(network, flows)
    else:
        value_adding = books.conversion + _resources(network, books) - defects - over_production
    return {
        "value_adding": value_adding,
        "improvement": books.effort - books.unused_talent,
        "transport": segment_sum(books.freight, at_buyer) + _transit(network, books),
        "inventory": books.stock_holding + segment_sum(books.input_holding, at_buyer),
        "motion": books.motion,
        "over_processing": books.over_processing,
        "waiting": segment_sum(books.waiting + books.lost_sales, network.sale.by_seller),
        "over_production": over_production,
        "defects": defects,
        "hurdles": books.hurdles,
        "unused_talent": books.unused_talent,
    }


def delivered_units(network: Network, flows: Flows) -> Array:
    """Units of each company's product that reached end customers, as such or built in: (companies, worlds)."""
    sale, trade = network.sale, network.trade
    delivered = gather(flows.shipped, sale.market)
    bom = gather(network.purchase.bom, network.purchase.trade)
    nothing = network.zeros(network.trades, delivered.shape[-1])
    units = own = segment_sum(gather(network.xp.concat((nothing, delivered)), sale.arranged), sale.by_seller)
    for _ in range(network.depth - 1):  # each pass carries deliveries one company further up
        built_in = network.xp.concat((bom * gather(units, trade.buyer), 0.0 * delivered))
        units = own + segment_sum(gather(built_in, sale.arranged), sale.by_seller)
    return units


def total_cost(network: Network, flows: Flows, books: Books) -> Array:
    """Every real resource used, and what customers bear in waiting and hurdles, less what went into stock.

    (companies, worlds), added up from the books without the ledger; end-customer value = value delivered − the sum.
    """
    by_purchase = segment_sum(books.freight + books.input_holding, network.purchase.by_buyer)
    processing = books.conversion + books.motion + books.over_processing
    own = processing + books.stock_holding + books.effort
    borne_by_customers = segment_sum(books.waiting + books.lost_sales, network.sale.by_seller) + books.hurdles
    spent = own + by_purchase + _transit(network, books) + _resources(network, books) + borne_by_customers
    return spent - stock_change(network, flows, books) if network.accrual else spent


def stock_change(network: Network, flows: Flows, books: Books) -> Array:
    """Change of all stocks at standard cost, at the company that added the value or lost it: (companies, worlds).

    It sums to `network_stock_change` of the books where profit is accrued.
    """
    company = network.company
    added = books.conversion + _resources(network, books)
    lost = company.standard_cost * (flows.scrapped + flows.spoiled)
    return added - lost - company.added_cost * delivered_units(network, flows)


def _resources(network: Network, books: Books) -> Array:
    nothing = network.zeros(network.trades, books.resources.shape[-1])
    spent = gather(network.xp.concat((books.resources, nothing)), network.purchase.arranged)
    return segment_sum(spent, network.purchase.by_buyer)


def _transit(network: Network, books: Books) -> Array:
    """Transit holding at the company that is charged with it."""
    purchase, sale, held = network.purchase, network.sale, books.transit_holding
    if network.scenario.transit_holding == "buyer":
        return segment_sum(held, purchase.by_buyer)
    nothing = network.zeros(network.market_links, held.shape[-1])
    sellers = gather(network.xp.concat((gather(held, purchase.trade), nothing)), sale.arranged)
    return segment_sum(held * (1.0 - purchase.is_trade), purchase.by_buyer) + segment_sum(sellers, sale.by_seller)
