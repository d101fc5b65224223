"""Scenarios, regimes and walks that the tests of the environments share.

Run as a script it prints the hash of a walk through every scenario under every regime, for another process to compare.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
from pettingzoo import AECEnv

from kaizen_env import REGIMES, BatchEnv, PlannerEnv, Scenario, parallel_env, scenarios
from kaizen_env.envs import KaizenParallelEnv

PERIODS = 4  # of an episode, where a test does not need more

AXES: dict[str, dict[str, Any]] = {
    **{name: regime.model_dump() for name, regime in REGIMES.items()},
    "neighbours": {"twin": "neighbours", "objective": "group", "twin_noise": 0.1},
    "group": {"twin": "group", "objective": "group", "alignment": 0.5},
    "echelon": {"twin": "echelon", "objective": "network", "shared_twin_lag": 2},
    "members": {"twin": "members", "objective": "network", "alignment": 0.3, "shared_twin_noise": 0.2, "twin_lag": 1},
    "planner_echelon": {"twin": "echelon", "objective": "network", "control": "planner"},
}
"""The named regimes, and the other twins, objectives, lags and noises among a few more."""

COMPANIES = [name for name, axes in AXES.items() if axes.get("control") != "planner"]
PLANNERS = [name for name in AXES if name not in COMPANIES]


def everything() -> Scenario:
    """Six companies and every feature of the model; nobody knows everybody.

    mine_1 → mill_2 → maker_3 and maker_4 → shop_5; maker_4 also sells to end customers; island_6 stands alone and
    competes with shop_5. mill_2 and maker_3 have one owner.
    """
    own = {"credit_limit": 500.0, "process_time": 1.5, "initial_on_hand": 8.0, "unit_cost": 1.0, "holding_cost": 0.1}
    link = {"price": 3.0, "freight": 0.2, "initial_inputs": 6.0, "penalty": 0.5, "waiting_cost": 0.4}
    lost = {"penalty": 0.0, "waiting_cost": None, "unfilled": "lost", "lost_sale_cost": 0.3}
    return Scenario.model_validate(
        {
            "name": "everything",
            "periods": 12,
            "companies": [
                {"name": "mine_1", "initial_on_hand": 30.0},
                own | {"name": "mill_2", "group": "north", "defect_rate": 0.1},
                own | {"name": "maker_3", "group": "north"},
                own | {"name": "maker_4", "capacity": 40.0},
                own | {"name": "shop_5", "hurdle": 0.5},
                {"name": "island_6", "hurdle": 0.4, "initial_on_hand": 7.0, "spoilage": 0.1},
            ],
            "supply_links": [
                {"buyer": "mine_1", "lead_time": 0.0, "price": 1.0},
                {"buyer": "maker_4", "lead_time": 2.3, "price": 0.5, "initial_inputs": 5.0},
                {"buyer": "island_6", "lead_time": 1.0, "price": 2.0},
            ],
            "trade_links": [
                link | {"seller": "mine_1", "buyer": "mill_2", "order_lead_time": 2, "transit_time": 2.5},
                link | {"seller": "mill_2", "buyer": "maker_3"},
                link | {"seller": "mill_2", "buyer": "maker_4", "bom": 2.0, "transit_time": 2.0},
                link | {"seller": "maker_3", "buyer": "shop_5", "order_lead_time": 1},
                link | {"seller": "maker_4", "buyer": "shop_5", "transit_time": 1.5, **lost},
            ],
            "market_links": [
                {"seller": "maker_4", "market": "makers_market", "price": 12.0, "value": 15.0, "waiting_cost": 1.0},
                {"seller": "shop_5", "market": "everyone", "price": 20.0, "value": 30.0, "penalty": 2.0},
                {"seller": "island_6", "market": "everyone", "price": 18.0, "value": 25.0, "waiting_cost": 2.0},
            ],
            "markets": [
                {"name": "makers_market", "demand": {"process": "poisson", "mean": 3}},
                {
                    "name": "everyone",
                    "demand": {"process": "seasonal", "mean": 10, "amplitude": 0.3, "cycle": 12, "sd": 1},
                    "choice": "logit",
                    "choice_sensitivity": 0.2,
                    "goodwill": 0.5,
                },
            ],
            "wastes": [
                {"name": "scrap", "channel": "yield", "half_life": 30, "size": 0.5},
                {"name": "queueing", "channel": "process_time", "half_life": 30, "size": 0.5},
                {"name": "hassle", "channel": "hurdle", "half_life": 60},
                {"name": "handling", "channel": "freight", "half_life": 60},
                {"name": "detours", "channel": "transit_time", "half_life": 60, "size": 0.4},
            ],
            "improvement": {"wage": 2, "curvature": 1, "learning": 0.05, "skill_max": 2, "forgetting": 0.01},
            "culture": {
                "initial": 0.6,
                "innovation": 0.05,
                "imitation": 0.1,
                "openness_threshold": 0.4,
                "initially_open": True,
            },
            "platform_fee": 0.5,
            "contracts": {
                "penalty_share": [{"seller": "shop_5", "market": "everyone", "shares": {"shop_5": 0.5, "mill_2": 0.5}}],
                "gain_share": [{"share": 0.1, "shares": {"mine_1": 0.4, "shop_5": 0.6}}],
            },
            "disruptions": [
                {"name": "strike", "company": "maker_3", "probability": 0.2, "duration": 2, "remaining": 0.3},
                {"name": "storm", "seller": "mill_2", "buyer": "maker_4", "probability": 0.2, "duration": 2},
            ],
        }
    )


def mortal(periods: int = 6) -> Scenario:
    """Three companies side by side that need no orders; whoever works at full effort is bankrupt after 3 periods."""
    names = [f"company_{i}" for i in (1, 2, 3)]
    return Scenario.model_validate(
        {
            "name": "mortal",
            "periods": periods,
            "companies": [{"name": n, "credit_limit": 25.0, "initial_on_hand": 1e3, "hurdle": 1.0} for n in names],
            "supply_links": [{"buyer": n, "lead_time": 0.0} for n in names],
            "market_links": [{"seller": n, "market": "all", "value": 10.0} for n in names],
            "markets": [{"name": "all", "demand": {"process": "constant", "mean": 3}}],
            "wastes": [{"name": "hassle", "channel": "hurdle"}],
            "improvement": {"wage": 10.0},
        }
    )


WORK, REST = np.array([-1.0, 1.0]), np.array([-1.0, -1.0])  # actions in `mortal`: no order, and all or no effort


def all_scenarios() -> dict[str, str | Scenario]:
    """Every built-in scenario, and the one with everything."""
    return {**{name: name for name in scenarios()}, "everything": everything()}


def random_actions(batch: BatchEnv, rng: np.random.Generator) -> np.ndarray:
    """Actions (worlds, companies, elements), a few of them outside [−1, 1]."""
    return rng.uniform(-1.1, 1.1, (batch.worlds, batch.companies, len(batch.action_names)))


class Hash:
    """A hash of everything an environment gives, to the last bit."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()

    def add(self, *things: Any) -> None:
        for thing in things:
            if isinstance(thing, dict):
                for key, value in thing.items():
                    self.add(key, value)
            elif isinstance(thing, (tuple, list)):
                self.add(*thing)
            elif isinstance(thing, np.ndarray):
                self._sha.update(f"{thing.dtype}{thing.shape}".encode() + thing.tobytes())
            else:
                self._sha.update(repr(thing).encode())

    def __str__(self) -> str:
        return self._sha.hexdigest()


def finish(env: Any, rng: np.random.Generator, seen: Hash) -> None:
    """Play the episode that is under way to its end, whatever the interface."""
    if isinstance(env, KaizenParallelEnv):
        while env.agents:
            action = random_actions(env.batch, rng)[0]
            given = dict(zip(env.possible_agents, action, strict=True))
            seen.add(env.step({name: given[name] for name in env.agents}), env.state())
    elif isinstance(env, PlannerEnv):
        over = False
        while not over:
            result = env.step(random_actions(env.batch, rng).reshape(-1))
            seen.add(result)
            over = result[2] or result[3]
    elif isinstance(env, AECEnv):
        for _ in env.agent_iter():
            observation, reward, terminated, truncated, info = env.last()
            seen.add(observation, reward, terminated, truncated, info)
            elements = env.action_space(env.agent_selection).shape
            env.step(None if terminated or truncated else rng.uniform(-1.1, 1.1, elements))  # type: ignore[arg-type]
    else:
        while env.t < env.horizon:
            seen.add(env.step(random_actions(env, rng)), env.global_state())
            if env.t == 0:  # begun anew by itself
                break


def finish_and_play_on(env: Any, seed: int = 0) -> str:
    """The hash of what is left of this episode and of the whole next one."""
    rng, seen = np.random.default_rng(seed), Hash()
    finish(env, rng, seen)
    if not isinstance(env, BatchEnv) or not env.auto_reset:
        seen.add(env.reset())
    finish(env, rng, seen)
    return str(seen)


def hashes(seed: int = 7, regimes: Iterable[str] = tuple(AXES)) -> dict[str, str]:
    """Hash of two episodes of every scenario under every regime, by their names."""
    found = {}
    for name, scenario in all_scenarios().items():
        for axes in regimes:
            make = PlannerEnv if axes in PLANNERS else parallel_env
            env = make(scenario, AXES[axes], periods=2)
            seen = Hash()
            seen.add(env.reset(seed=seed), env.batch.feature_names)
            seen.add(finish_and_play_on(env))
            found[f"{name}, {axes}"] = str(seen)
    return found


if __name__ == "__main__":
    print(json.dumps(hashes()))
