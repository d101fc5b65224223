"""What a network is at one moment, what companies decide, and what a period leaves in the books.

Worlds are on the last axis of every array.
"""

from __future__ import annotations

from typing import NamedTuple

from ..arrays import Array


class State(NamedTuple):
    """The true state; no policy that stands for a company may see it but through a twin."""

    on_hand: Array  # (companies, worlds) finished units
    inputs: Array  # (purchases, worlds) input units held by the buyer
    work_in_process: Array  # (process slots, companies, worlds) good units, slot 0 completes next
    in_transit: Array  # (transit slots, purchases, worlds) units, slot 0 arrives next
    orders_in_mail: Array  # (mail slots, trades, worlds) units ordered, not yet seen by the seller
    backlog: Array  # (sales, worlds) units ordered and seen, not yet shipped
    waste: Array  # (company wastes, companies, worlds) 1 = today's level, 0 = none
    link_waste: Array  # (link wastes, purchases, worlds) same
    skill: Array  # (companies, worlds) starts at 1
    culture: Array  # (companies, worlds) 0 … 1
    open_twin: Array  # (companies, worlds) 0 or 1
    cash: Array  # (companies, worlds) money, cumulative
    alive: Array  # (companies, worlds) 0 or 1
    forecast: Array  # (sales, worlds) smoothed orders, units per period
    experience: Array  # (market links, worlds) smoothed end-customer value per unit, money


class Decisions(NamedTuple):
    """What every company decides in one period."""

    order: Array  # (companies, worlds) units to make, or an order-up-to level, as the scenario's replenishment says
    effort: Array  # (company wastes + 2, companies, worlds) shares of the team; see Network.effort_names
    openness: Array  # (companies, worlds) the twin is published where this is above ½ and culture allows it


class PeriodLuck(NamedTuple):
    """The luck that one period meets."""

    demand: Array  # (markets, worlds) units, revealed at the end of the period
    capacity: Array | None  # (companies, worlds) share of capacity that is left; None = all
    passage: Array | None  # (trades, worlds) share of a shipment that can leave; None = all


class Flows(NamedTuple):
    """What moved in one period, in units."""

    ordered: Array  # (companies, worlds) production order
    supplied: Array  # (supplies, worlds) shipped by external suppliers
    received: Array  # (purchases, worlds)
    started: Array  # (companies, worlds)
    scrapped: Array  # (companies, worlds)
    finished: Array  # (companies, worlds) good units completed
    shipped: Array  # (sales, worlds)
    dispatched: Array  # (purchases, worlds) shipped to the buyer by supplier or seller
    spoiled: Array  # (companies, worlds)
    lost: Array  # (sales, worlds) orders that did not wait
    placed: Array  # (trades, worlds) orders placed with sellers
    arrivals: Array  # (sales, worlds) orders and demand that joined the backlog in Order and Reveal


class Books(NamedTuple):
    """The money of one period, each real cost once."""

    revenue: Array  # (sales, worlds) price · shipped
    resources: Array  # (supplies, worlds) price · shipped by external suppliers
    freight: Array  # (purchases, worlds)
    transit_holding: Array  # (purchases, worlds)
    input_holding: Array  # (purchases, worlds)
    stock_holding: Array  # (companies, worlds) finished stock and work in process
    conversion: Array  # (companies, worlds) lean cost of what was started
    motion: Array  # (companies, worlds) excess conversion cost
    over_processing: Array  # (companies, worlds) excess conversion cost
    effort: Array  # (companies, worlds) cost of improvement
    unused_talent: Array  # (companies, worlds) the part of it that culture wasted
    penalty: Array  # (sales, worlds) paid to the waiting customer
    fee: Array  # (companies, worlds) paid to the platform
    lost_sales: Array  # (sales, worlds) cost to the seller of orders that did not wait
    contract: Array  # (companies, worlds) net receipts from gain sharing
    cash_profit: Array  # (companies, worlds) receipts less payments
    profit: Array  # (companies, worlds) cash profit + change of stock at book cost; with accounting: cash that alone
    network_stock_change: Array  # (1, worlds) change of all stocks at standard cost; 0 with accounting: cash
    value: Array  # (market links, worlds) what the delivered units are worth to the end customer
    waiting: Array  # (sales, worlds) cost to customers (end customers or companies) of waiting, or of getting nothing
    hurdles: Array  # (companies, worlds) cost to the end customer of each company's hurdles
    customers: Array  # (1, worlds) surplus of all end customers, after hurdles and gain sharing
