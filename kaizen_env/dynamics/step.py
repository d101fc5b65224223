"""One period, in the order of the model: decide, order, receive, make, ship, settle, improve, reveal."""

from __future__ import annotations

from ..arrays import gather
from ..network import Network
from ..replenishment import production_orders
from .demand import experienced, reveal
from .economics import account, settle
from .flow import dispatched, make, order, receive, send, ship, transit_split
from .improvement import effects, improve, team
from .state import Books, Decisions, Flows, PeriodLuck, State


def step(network: Network, state: State, decisions: Decisions, luck: PeriodLuck) -> tuple[State, Flows, Books]:
    """The next state, what moved, and the money, of one period in every world; the arguments stay untouched."""
    now = effects(network, state)
    transit = transit_split(network, now)
    effort, total = team(network, state, decisions.effort)

    orders = order(network, state, production_orders(network, state, decisions.order))
    received, inputs = receive(network, state, orders, transit)
    made = make(network, state, inputs, now, luck.capacity)
    on_hand, backlog = state.on_hand + made.finished, state.backlog + orders.arrivals
    sold = ship(network, state, on_hand, backlog, luck.passage)
    dispatch = dispatched(network, orders.supplied, gather(sold.shipped, network.trade.sale))
    closing = state._replace(
        on_hand=sold.on_hand,
        inputs=made.inputs,
        work_in_process=made.work_in_process,
        in_transit=send(network, state, dispatch, transit),
        backlog=sold.backlog,
    )
    flows = Flows(
        ordered=orders.made,
        supplied=orders.supplied,
        placed=orders.placed,
        received=received,
        started=made.started,
        scrapped=made.scrapped,
        finished=made.finished,
        shipped=sold.shipped,
        dispatched=dispatch,
        spoiled=sold.spoiled,
        lost=sold.lost,
        arrivals=orders.arrivals,
    )
    books = settle(network, closing, flows, now, effort, total)
    settled = account(network, closing, books)
    improved = improve(network, settled, effort, total, decisions.openness)
    if network.listening:
        improved = improved._replace(experience=experienced(network, closing, flows, now))
    next_state, arrivals = reveal(network, improved, orders.arrivals, orders.orders_in_mail, luck.demand)
    return next_state, flows._replace(arrivals=arrivals), books
