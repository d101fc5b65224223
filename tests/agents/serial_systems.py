"""Serial systems as scenarios, and what a rule costs in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agents.policy import Policy
from agents.rollout import run
from kaizen_env.dynamics import end_customer_value


def serial(
    holding: Sequence[float],
    lead_time: Sequence[float],
    shortage: float,
    demand: dict[str, Any],
    *,
    order_lead_time: Sequence[int] = (),
    process_time: Sequence[float] = (),
    bom: Sequence[float] = (),
    upstream_first: bool = False,
    **fields: Any,
) -> dict[str, Any]:
    """A scenario of companies "stage 1" (at the market), "stage 2", …; `fields` are those of the scenario."""
    n = len(holding)
    late, process, units = order_lead_time or [0] * n, process_time or [0] * n, bom or [1] * n
    names = [f"stage {i + 1}" for i in range(n)]
    companies = [
        {"name": a, "holding_cost": h, "process_time": p} for a, h, p in zip(names, holding, process, strict=True)
    ]
    return {
        "name": "serial system",
        "replenishment": "quantity",
        "order_max": 40,
        "companies": companies[::-1] if upstream_first else companies,
        # Outside suppliers ship at once: an order that they see late is goods that take longer.
        "supply_links": [{"buyer": names[-1], "lead_time": lead_time[-1] + late[-1], "bom": units[-1]}],
        "trade_links": [
            {
                "seller": names[i + 1],
                "buyer": names[i],
                "transit_time": lead_time[i],
                "order_lead_time": late[i],
                "bom": units[i],
            }
            for i in range(n - 1)
        ],
        "market_links": [{"seller": names[0], "market": "customers", "waiting_cost": shortage}],
        "markets": [{"name": "customers", "demand": demand}],
        **fields,
    }


def cost(
    policy: Policy,
    scenario: dict[str, Any],
    regime: Any = "kaizen2",
    worlds: int = 400,
    periods: int = 200,
    warm_up: int = 60,
    **overrides: Any,
) -> np.ndarray:
    """Minus end-customer value per period after `warm_up` periods, (worlds,)."""
    length = warm_up + periods
    episode = run(policy, scenario, regime, range(worlds), record=("books",), periods=length, **overrides)
    assert episode.trajectory is not None
    books = episode.trajectory.books
    assert books is not None
    return -end_customer_value(episode.trajectory.network, books)[warm_up:].mean(axis=0)


def error(values: np.ndarray) -> float:
    """Standard error of the mean over worlds."""
    return float(values.std(ddof=1)) / len(values) ** 0.5
