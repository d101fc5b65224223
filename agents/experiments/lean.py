"""Where the waste is: the ledger, flow times and wastes of an episode, added up while it runs.

The same numbers as `kaizen_env.metrics`, without records of every period, which in large networks would not fit into
memory. Money is per period, mean over the periods that count.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from kaizen_env import BatchEnv
from kaizen_env.arrays import gather
from kaizen_env.dynamics import Books, Flows, State, end_customer_value
from kaizen_env.ledger import KINDS, ledger
from kaizen_env.metrics import flow_times, gini, waste_remaining

from ..window import Window

QUARTERS = tuple(f"end_customer_value in quarter {k} of 4" for k in (1, 2, 3, 4))  # of what is counted, per period
TINY = 1e-12  # units of demand; keeps the shares of nothing finite


class LeanBooks:
    """Told of every period by `run_in(watch=…)`; `tables` says what came of them.

    `lean` and `ledger` are of the periods that count; `waste` and `timeline` of all, by the number of the period in the
    window: negative in the warm-up.
    """

    TABLES: ClassVar = ("lean", "ledger", "waste", "timeline")  # names of files

    def __init__(self, env: BatchEnv, window: Window) -> None:
        self._env, self._window = env, window
        self._sums: tuple[Any, ...] = ()
        self._remaining: list[np.ndarray] = []  # (worlds,) at the start of every period, and at the end
        self._by_name: list[np.ndarray] = []  # (wastes,) mean over companies or links, and worlds
        self._timeline: list[dict[str, float]] = []  # of every period, means over worlds
        self._sellers = _rivals(env)
        self._quarters = np.zeros((len(QUARTERS), env.worlds))  # end-customer value, money
        self._lengths = np.zeros((len(QUARTERS), 1))  # periods

    def __call__(self, before: State, env: BatchEnv) -> None:
        now, window, t = (before, env.flows, env.books), self._window, len(self._timeline)
        assert env.books is not None
        value = end_customer_value(env.network, env.books)
        if t == 0:
            self._look(before)
        self._look(env.state)
        if window.counts(t):
            sums = self._sums
            self._sums = tuple(_added(*pair) for pair in zip(sums, now, strict=True)) if sums else now
            quarter = window.period(t) * len(QUARTERS) // window.periods
            self._quarters[quarter] += value
            self._lengths[quarter] += 1.0
        self._timeline.append(_moment(env, value) | _shares(env, self._sellers))

    def _look(self, state: State) -> None:
        self._remaining.append(waste_remaining(self._env.network, state))
        levels = (*state.waste, *state.link_waste)
        self._by_name.append(np.array([level.mean() for level in levels]))

    def tables(self, profit: np.ndarray) -> dict[str, dict[str, Any]]:
        """Columns of each file by name; `profit` (companies, worlds)."""
        network, window = self._env.network, self._window
        states, flows, books = (_divided(total, window.periods) for total in self._sums)
        cost = {kind: np.asarray(costs) for kind, costs in ledger(network, flows, books).items()}
        # Flow times know of means over time alone, so that one period with these means has the same.
        throughput, adding = flow_times(network, State(*(x[None] for x in states)), Flows(*(x[None] for x in flows)))
        with np.errstate(divide="ignore", invalid="ignore"):
            efficiency = np.where(throughput > 0, adding / throughput, np.nan)
            quarters = self._quarters / self._lengths  # NaN where less than four periods have none
        names = (*network.company_waste_names, *network.link_waste_names)
        lean = {
            "world": range(len(throughput)),
            "throughput_days": throughput,
            "value_adding_days": adding,
            "flow_efficiency": efficiency,
            "waste_remaining": self._remaining[window.warm_up + window.periods],
            "profit_gini": gini(profit),
            **{f"cost of {kind}": cost[kind].sum(axis=0) for kind in KINDS},
            **dict(zip(QUARTERS, quarters, strict=True)),
        }
        periods = [window.period(t) for t in range(window.length + 1)]
        timeline = {"period": periods[:-1]} | {
            name: [moment[name] for moment in self._timeline] for name in self._timeline[0]
        }
        by_company = {"company": network.names, **{kind: cost[kind].mean(axis=1) for kind in KINDS}}
        waste = {
            "period": periods,
            "waste_remaining": [float(left.mean()) for left in self._remaining],
            **{f"waste {name}": column for name, column in zip(names, np.transpose(self._by_name), strict=True)},
        }
        return {"lean": lean, "ledger": by_company, "waste": waste, "timeline": timeline}


def _moment(env: BatchEnv, value: np.ndarray) -> dict[str, float]:
    """The last period, means over worlds: money of the network, who is left, whose twin is open."""
    state = env.state
    assert env.books is not None
    told = {
        "end_customer_value": value,
        "customer_surplus": env.books.customers[0],
        "network_profit": env.books.profit.sum(axis=0),
        "alive": state.alive,
        "open_twins": state.open_twin,
        "skill": state.skill,
        "culture": state.culture,
    }
    return {name: float(np.mean(of)) for name, of in told.items()}


def _rivals(env: BatchEnv) -> dict[str, tuple[int, np.ndarray]]:
    """Of sellers among whom customers choose, by the name of the column: their market link, and all of its market."""
    network, market = env.network, env.network.market
    found = {}
    for link, described in enumerate(network.scenario.market_links if network.choosing else ()):
        all_ = np.flatnonzero(market.market == market.market[link])
        if len(all_) > 1 and network.scenario.markets[int(market.market[link])].choice == "logit":
            found[f"demand share of {described.seller} in {described.market}"] = link, all_
    return found


def _shares(env: BatchEnv, sellers: dict[str, tuple[int, np.ndarray]]) -> dict[str, float]:
    """Shares of the demand of the last period, summed over worlds; 0 where there was none."""
    if not sellers:
        return {}
    assert env.flows is not None
    demand = gather(env.flows.arrivals, env.network.sale.market).sum(axis=1)
    return {name: float(demand[link] / max(demand[all_].sum(), TINY)) for name, (link, all_) in sellers.items()}


def _added(total: Any, part: Any) -> Any:
    return type(total)(*(a + b for a, b in zip(total, part, strict=True)))


def _divided(total: State | Flows | Books, periods: int) -> Any:
    return type(total)(*(np.asarray(field) / periods for field in total))
