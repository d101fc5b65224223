"""A network in which one company goes bankrupt when it must, whatever anybody does."""

from __future__ import annotations

from typing import Any


def bankrupt_after(period: int, periods: int) -> dict[str, Any]:
    """Two companies with a market each: `poor` pays 1000 a period for its stock and sells next to nothing.

    It may owe 1000 · (period − ½), so that it is bankrupt at the end of that period; `rich` never is. What `poor` can
    earn or order moves its cash by less than 20 a period.
    """
    return {
        "name": "bankrupt",
        "periods": periods,
        "replenishment": "quantity",
        "companies": [
            {"name": "poor", "initial_on_hand": 1000, "holding_cost": 1, "credit_limit": 1000 * (period - 0.5)},
            {"name": "rich", "initial_on_hand": 10},
        ],
        "supply_links": [{"buyer": "poor"}, {"buyer": "rich"}],
        "market_links": [
            {"seller": "poor", "market": "village", "price": 5},
            {"seller": "rich", "market": "town", "price": 5},
        ],
        "markets": [
            {"name": "village", "demand": {"process": "constant", "mean": 1}},
            {"name": "town", "demand": {"process": "poisson", "mean": 10}},
        ],
    }
