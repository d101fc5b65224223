"""Random valid networks with every feature, and random decisions, for the laws."""

from __future__ import annotations

from typing import Any

import numpy as np

from kaizen_env import Network, Scenario, build, draw, simulate
from kaizen_env.arrays import as_numpy
from kaizen_env.dynamics import Decisions, State
from kaizen_env.simulation import Policy, Trajectory


def random_scenario(companies: int, seed: int) -> Scenario:
    """Any valid network: shared suppliers, assembly, several markets, and each feature with even chance."""
    rng = np.random.default_rng([companies, seed])

    def maybe() -> bool:
        return bool(rng.random() < 0.5)

    def number(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    names = [f"company_{i:02}" for i in range(companies)]
    pairs = {
        (i, j)
        for j in range(1, companies)
        for i in rng.choice(j, size=min(j, int(rng.integers(0, 4))), replace=False).tolist()
    }
    markets = [f"market_{m}" for m in range(int(rng.integers(1, 4)))]
    sellers = {i for i in range(companies) if not any(a == i for a, _ in pairs)} | {companies - 1}
    sellers |= {i for i in range(companies) if rng.random() < 0.2}
    served = {(i, int(rng.integers(len(markets)))) for i in sellers}
    served |= {(companies - 1, m) for m in range(len(markets)) if not any(k == m for _, k in served)}
    buys = {b for _, b in pairs}
    supplied = [i for i in range(companies) if i not in buys or maybe()]
    wastes: list[dict[str, Any]] = []
    for channel in ("yield", "unit_cost", "process_time", "capacity", "hurdle", "freight", "transit_time"):
        for copy in range(int(rng.integers(0, 3))):
            floor = number(0, 0.3)
            wastes.append(
                {
                    "name": f"{channel}_{copy}",
                    "channel": channel,
                    "initial": number(floor, 1),
                    "half_life": number(5, 300),
                    "backsliding": number(0, 0.05),
                    "floor": floor,
                    "size": number(0.1, 0.5),
                    "booked_as": "motion" if maybe() else "over_processing",
                }
            )
    mortal = rng.random() < 0.3

    def company(i: int) -> dict[str, Any]:
        return {
            "name": names[i],
            "capacity": number(2, 60) if maybe() else None,
            "unit_cost": number(0, 5),
            "holding_cost": number(0, 1),
            "work_in_process_holding_cost": number(0, 1),
            "process_time": number(0, 4) if maybe() else 0,
            "defect_rate": number(0, 0.4),
            "spoilage": number(0, 0.2) if maybe() else 0,
            "hurdle": number(0, 2),
            "credit_limit": number(0, 200) if mortal else None,
            "initial_on_hand": number(0, 60),
        }

    def unfilled(lost: float, penalty: float, waiting_cost: float) -> dict[str, Any]:
        """What becomes of orders that are not filled: with chance `lost` they do not wait."""
        if rng.random() < lost:
            return {"unfilled": "lost", "lost_sale_cost": penalty, "customer_lost_sale_cost": waiting_cost}
        return {"unfilled": "backlog", "penalty": penalty, "waiting_cost": waiting_cost}

    link = {"bom": 1.0, "price": 0.0}
    trade_links = [
        link
        | {
            "seller": names[i],
            "buyer": names[j],
            "bom": number(0.5, 3),
            "price": number(0, 9),
            "freight": number(0, 2),
            "transit_time": number(0, 5),
            "order_lead_time": int(rng.integers(0, 3)),
            **unfilled(0.2, number(0, 2), 0.7),
        }
        for i, j in sorted(pairs)
    ]
    market_links = [
        {
            "seller": names[i],
            "market": markets[m],
            "price": number(5, 20),
            "value": number(10, 40),
            **unfilled(0.5, number(0, 3), number(0, 3)),
        }
        for i, m in sorted(served)
    ]
    contracts: dict[str, Any] = {}
    a_seller, a_market = min(served)
    if maybe() and market_links[0]["unfilled"] == "backlog":
        contracts["penalty_share"] = [
            {
                "seller": names[a_seller],
                "market": markets[a_market],
                "shares": {names[0]: 0.25, names[-1]: 0.75} if companies > 1 else {names[0]: 1.0},
            }
        ]
    if maybe():
        contracts["gain_share"] = [
            {
                "share": number(0, 1),
                "reference": number(-50, 50),
                "shares": {names[-1]: 1.0},
                "paid_by": {names[0]: 0.4, "customers": 0.6},
            }
        ]
    disruptions = [{"name": "strike", "company": names[0], "probability": 0.1, "duration": 3, "remaining": 0.2}]
    if trade_links:
        first = trade_links[0]
        disruptions.append(
            {
                "name": "storm",
                "seller": first["seller"],
                "buyer": first["buyer"],
                "probability": 0.2,
                "duration": 2,
                "remaining": 0,
            }
        )
    demands = [
        {"process": "poisson", "mean": number(1, 8)},
        {"process": "normal", "mean": number(1, 8), "sd": number(0, 6)},
        {"process": "seasonal", "mean": number(1, 8), "amplitude": 0.5, "cycle": 12, "sd": 1},
        {"process": "ar1", "mean": 5, "sd": 2, "correlation": number(-0.9, 0.9)},
    ]
    return Scenario.model_validate(
        {
            "name": f"random {companies} {seed}",
            "period_days": [1.0, 1.0, 0.5, 7.0][int(rng.integers(4))] if not trade_links else 1.0,
            "replenishment": ["quantity", "order_up_to", "echelon_order_up_to"][int(rng.integers(3))],
            "allocation": "priority" if maybe() else "proportional",
            "transit_holding": "seller" if maybe() else "buyer",
            "accounting": "cash" if rng.random() < 0.25 else "accrual",
            "initial_pipelines": "mean_flow" if maybe() else "empty",
            "companies": [company(i) for i in range(companies)],
            "supply_links": [
                link | {"buyer": names[i], "lead_time": number(0, 4), "price": number(0, 3), "freight": number(0, 1)}
                for i in supplied
            ],
            "trade_links": trade_links,
            "market_links": market_links,
            "markets": [
                {
                    "name": name,
                    "demand": demands[int(rng.integers(len(demands)))],
                    "choice": "logit" if maybe() else "fixed",
                    "choice_sensitivity": number(0, 2),
                    "goodwill": number(0, 2) if maybe() else 0,
                }
                for name in markets
            ],
            "wastes": wastes,
            "improvement": {
                "wage": number(0, 4),
                "curvature": number(0, 2),
                "learning": number(0, 0.1),
                "skill_max": 2,
                "forgetting": number(0, 0.05),
            },
            "culture": {
                "initial": number(0, 1),
                "innovation": number(0, 0.05),
                "imitation": number(0, 0.08),
                "erosion": number(0, 0.05),
                "openness_threshold": number(0, 1),
                "mixing": "full" if maybe() else "neighbours",
            },
            "platform_fee": number(0, 1) if maybe() else 0,
            "contracts": contracts,
            "disruptions": disruptions if maybe() else [],
        }
    )


def random_policy(network: Network, seed: int = 0, worlds: list[int] | None = None) -> Policy:
    """Random orders, efforts and openness, drawn per world so that a world alone decides as in its batch."""

    reach = 12.0 if network.scenario.replenishment != "quantity" else 2.0
    size = as_numpy(network.company.throughput).astype(np.float64) * reach

    def decide(net: Network, state: State, t: int) -> Decisions:
        names = list(range(state.on_hand.shape[-1])) if worlds is None else worlds
        rngs = [np.random.default_rng([seed, t, world]) for world in names]
        n, k = net.companies, len(net.effort_names)
        order = np.stack([rng.random(n) for rng in rngs], axis=-1) * size
        effort = np.stack([rng.random((k, n)) for rng in rngs], axis=-1) * 2.0 / k
        openness = np.stack([rng.random(n) for rng in rngs], axis=-1)
        like = net.company.unit_cost
        if net.backend == "numpy":
            return Decisions(*(x.astype(like.dtype) for x in (order, effort, openness)))
        return Decisions(*(like.new_tensor(x) for x in (order, effort, openness)))

    return decide


def episode(companies: int, seed: int, periods: int = 50, worlds: int = 2) -> Trajectory:
    """A random episode in a random network, with everything recorded."""
    network = build(random_scenario(companies, seed))
    return simulate(network, random_policy(network), draw(network, seed, worlds, periods), record=EVERYTHING)


EVERYTHING = ("states", "flows", "books", "decisions")
