"""The state at the start of an episode."""

from __future__ import annotations

import numpy as np

from ..arrays import Array, as_array, as_numpy
from ..network import Network
from .demand import market_orders
from .state import State


def initial_state(network: Network, demand: Array) -> State:
    """The state at the start of an episode, with the first period's `demand` (markets, worlds) revealed."""
    company, purchase, worlds = network.company, network.purchase, demand.shape[-1]

    def fill(column: Array, *lead: int) -> Array:
        """A parameter column repeated over worlds, and over leading axes."""
        return network.zeros(*lead, column.shape[0], worlds) + column

    units, rows, slots = network.process_slots, purchase.lead_time.shape[0], network.transit_slots
    process_time, lead_time = as_numpy(company.process_time), as_numpy(purchase.lead_time)
    # A steady flow fills the whole slots below a lead time, and the slot it falls into in part.
    busy = np.clip(process_time - np.arange(units)[:, None, None], 0.0, 1.0)
    on_way = np.clip(lead_time - np.arange(slots)[:, None, None], 0.0, 1.0)
    good = company.throughput * (1.0 if network.scenario.initial_pipelines == "mean_flow" else 0.0)
    # Of the orders that take w periods, placed in each of the last w, one is seen today and the others are in the mail.
    wait = sum(periods * share for periods, share in enumerate(as_numpy(network.trade.mail)))
    in_mail = np.clip(wait - 1.0 - np.arange(network.mail_slots)[:, None, None], 0.0, 1.0)
    mail = network.zeros(network.mail_slots, network.trades, worlds)
    nothing = network.zeros(network.companies, worlds)
    state = State(
        on_hand=fill(company.initial_on_hand),
        inputs=fill(purchase.initial_inputs),
        work_in_process=network.zeros(units, network.companies, worlds) + as_array(busy, nothing) * good,
        in_transit=network.zeros(slots, rows, worlds) + as_array(on_way, nothing) * purchase.initial_in_transit,
        orders_in_mail=mail + as_array(in_mail, nothing) * network.trade.initial_orders,
        backlog=network.zeros(network.sales, worlds),
        waste=network.waste.initial + network.zeros(len(network.company_waste_names), network.companies, worlds),
        link_waste=network.link_waste.initial + network.zeros(len(network.link_waste_names), rows, worlds),
        skill=nothing + 1.0,
        culture=fill(company.initial_culture),
        open_twin=nothing + float(network.scenario.culture.initially_open),
        cash=nothing,
        alive=nothing + 1.0,
        forecast=fill(network.sale.flow),
        experience=fill(network.market.initial_experience),
    )
    due = network.zeros(network.trades, worlds) + network.trade.initial_orders * (1.0 - network.trade.mail[0])
    return state._replace(backlog=market_orders(network, state, demand, due))
