"""The period: pure functions over arrays, in the order of the model."""

from .economics import end_customer_value, unrealised_profit
from .improvement import held
from .start import initial_state
from .state import Books, Decisions, Flows, PeriodLuck, State
from .step import step

__all__ = [
    "Books",
    "Decisions",
    "Flows",
    "PeriodLuck",
    "State",
    "end_customer_value",
    "held",
    "initial_state",
    "step",
    "unrealised_profit",
]
