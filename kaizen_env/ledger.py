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
KINDS = ("value_adding", *MUDA)


def ledger(network: Network, flows: Flows, books: Books) -> dict[str, Array]:
    """Cost by kind, (companies, worlds) each, at the company where it arises, whoever bears it.

    `flows` and `books` are of one period, or summed over periods. Scrapped and spoiled units are booked at
    standard cost, which is taken out of the value-adding cost; a company that wastes more than it adds shows a
    negative value there. The kinds sum to `total_cost`, per company.
    """
    company = network.company
    at_buyer = network.purchase.by_buyer
    transport = segment_sum(books.freight, at_buyer) + _transit(network, books)
    defects = company.standard_cost * flows.scrapped
    over_production = company.standard_cost * flows.spoiled
    worked = books.conversion + books.effort - books.unused_talent + _resources(network, books)
    return {
        "value_adding": worked - defects - over_production,
        "transport": transport,
        "inventory": books.stock_holding + segment_sum(books.input_holding, at_buyer),
        "motion": books.motion,
        "over_processing": books.over_processing,
        "waiting": segment_sum(books.waiting, network.sale.by_seller),
        "over_production": over_production,
        "defects": defects,
        "hurdles": books.hurdles,
        "unused_talent": books.unused_talent,
    }


def total_cost(network: Network, books: Books) -> Array:
    """Every real resource used, and what customers bear in waiting and hurdles: (companies, worlds).

    Added up from the books without the ledger; end-customer value = value delivered − the sum of this.
    """
    by_purchase = segment_sum(books.freight + books.input_holding, network.purchase.by_buyer)
    processing = books.conversion + books.motion + books.over_processing
    own = processing + books.stock_holding + books.effort
    borne_by_customers = segment_sum(books.waiting, network.sale.by_seller) + books.hurdles
    return own + by_purchase + _transit(network, books) + _resources(network, books) + borne_by_customers


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
