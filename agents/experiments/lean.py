"""Where the waste is: the ledger, flow times and wastes of an episode, added up while it runs.

The same numbers as `kaizen_env.metrics`, without records of every period, which in large networks would not fit into
memory. Money is per period, mean over the episode.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from kaizen_env import BatchEnv
from kaizen_env.dynamics import Books, Flows, State
from kaizen_env.ledger import KINDS, ledger
from kaizen_env.metrics import flow_times, gini, waste_remaining


class LeanBooks:
    """Told of every period by `run_in(watch=…)`; `tables` says what came of them."""

    TABLES: ClassVar = ("lean", "ledger", "waste")  # names of files

    def __init__(self, env: BatchEnv) -> None:
        self._env = env
        self._sums: tuple[Any, ...] = ()
        self._remaining: list[np.ndarray] = []  # (worlds,) at the start of every period, and at the end
        self._by_name: list[np.ndarray] = []  # (wastes,) mean over companies or links, and worlds

    def __call__(self, before: State, env: BatchEnv) -> None:
        now = before, env.flows, env.books
        if not self._sums:
            self._sums = now
            self._look(before)
        else:
            self._sums = tuple(_added(total, part) for total, part in zip(self._sums, now, strict=True))
        self._look(env.state)

    def _look(self, state: State) -> None:
        self._remaining.append(waste_remaining(self._env.network, state))
        levels = (*state.waste, *state.link_waste)
        self._by_name.append(np.array([level.mean() for level in levels]))

    def tables(self, profit: np.ndarray) -> dict[str, dict[str, Any]]:
        """Columns of each file by name; `profit` (companies, worlds)."""
        network, periods = self._env.network, len(self._remaining) - 1
        states, flows, books = (_divided(total, periods) for total in self._sums)
        cost = {kind: np.asarray(costs) for kind, costs in ledger(network, flows, books).items()}
        # Flow times know of means over time alone, so that one period with these means has the same.
        throughput, adding = flow_times(network, State(*(x[None] for x in states)), Flows(*(x[None] for x in flows)))
        with np.errstate(divide="ignore", invalid="ignore"):
            efficiency = np.where(throughput > 0, adding / throughput, np.nan)
        names = (*network.company_waste_names, *network.link_waste_names)
        lean = {
            "world": range(len(throughput)),
            "throughput_days": throughput,
            "value_adding_days": adding,
            "flow_efficiency": efficiency,
            "waste_remaining": self._remaining[-1],
            "profit_gini": gini(profit),
            **{f"cost of {kind}": cost[kind].sum(axis=0) for kind in KINDS},
        }
        by_company = {"company": network.names, **{kind: cost[kind].mean(axis=1) for kind in KINDS}}
        waste = {
            "period": range(periods + 1),
            "waste_remaining": [float(left.mean()) for left in self._remaining],
            **{f"waste {name}": column for name, column in zip(names, np.transpose(self._by_name), strict=True)},
        }
        return {"lean": lean, "ledger": by_company, "waste": waste}


def _added(total: Any, part: Any) -> Any:
    return type(total)(*(a + b for a, b in zip(total, part, strict=True)))


def _divided(total: State | Flows | Books, periods: int) -> Any:
    return type(total)(*(np.asarray(field) / periods for field in total))
