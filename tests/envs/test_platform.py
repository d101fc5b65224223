"""The platform as an agent: its fee is what open twins pay, what it earns, and, with simple companies, v/2."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pettingzoo.test import parallel_api_test

from kaizen_env import BatchEnv, DescriptionError, parallel_env
from kaizen_env.dynamics import end_customer_value
from kaizen_env.verification.adoption import scenario

WORTH = 8.0  # of an open twin to the company that values it most
CROWD = 20
HIGHEST = 10.0


def crowd(worlds: int, periods: int = 12, **options: Any) -> BatchEnv:
    """Companies side by side; what a twin is worth to them is spread evenly from 0 to `WORTH`."""
    return BatchEnv(scenario(CROWD, periods=periods), {"twin": "members"}, worlds, platform=HIGHEST, **options)


def simple(env: BatchEnv) -> Any:
    """Companies that want an open twin while its fee was below what it is worth to them."""
    worth = WORTH * (np.arange(CROWD) + 0.5) / CROWD
    openness, seen = env.action_names.index("openness"), env.feature_names.index("platform_fee")

    def act(observations: np.ndarray) -> np.ndarray:
        actions = np.zeros((env.worlds, env.companies, len(env.action_names)))
        actions[..., openness] = np.sign(worth - HIGHEST * observations[..., seen])
        return actions

    return act


def test_the_fee_is_paid_by_open_twins_and_earned_by_the_platform() -> None:
    """It moves money and no value: profits fall by what the platform has. Companies see what was asked last.

    Seen to fail: with a fee per day where a period is a week; with the fee of the period before.
    """
    free, dear = (BatchEnv("electric_car", {"twin": "members"}, 2, platform=50.0, periods=9) for _ in range(2))
    rng = np.random.default_rng(1)
    free.reset(seed=3)
    dear.reset(seed=3)
    column = dear.feature_names.index("platform_fee")
    for _ in range(8):
        actions = rng.uniform(-1.0, 1.0, (2, dear.companies, len(dear.action_names)))
        fee = rng.uniform(-1.0, 1.0, 2)
        open_ = dear.state.open_twin.copy()
        observations, *_ = dear.step(actions, fee)
        _, *_ = free.step(actions, np.full(2, -1.0))
        charged = 0.5 * (fee + 1.0) * 50.0 * 7.0
        np.testing.assert_allclose(dear.books.fee, charged * open_)
        np.testing.assert_allclose(dear.books.profit + dear.books.fee, free.books.profit)
        np.testing.assert_allclose(
            end_customer_value(dear.network, dear.books), end_customer_value(free.network, free.books)
        )
        np.testing.assert_allclose(observations[:, 0, column], 0.5 * (fee + 1.0), rtol=1e-6)
        np.testing.assert_allclose(
            dear.platform_reward(dear.books.fee.sum(axis=0)), charged * open_.sum(axis=0) / (8 * 350.0)
        )


def test_without_an_action_the_fee_is_the_scenarios() -> None:
    env = BatchEnv("electric_car", {"twin": "members"}, 1, platform=520.0, periods=4)
    seen, _ = env.reset(seed=0)
    assert seen[0, 0, env.feature_names.index("platform_fee")] == pytest.approx(0.5)  # 260 of 520
    env.step(np.ones((1, env.companies, len(env.action_names))))
    env.step(np.ones((1, env.companies, len(env.action_names))))
    np.testing.assert_allclose(env.books.fee, 260.0 * 7.0 * np.ones((8, 1)))


def test_the_best_constant_fee_is_half_of_what_the_best_would_pay() -> None:
    """Monopoly pricing of a linear demand: f · (1 − f / v) is greatest at v / 2, where half have a twin.

    Seen to fail: with companies that see half of the fee.
    """
    grid = np.linspace(-1.0, 1.0, 101)
    env = crowd(len(grid), periods=40, auto_reset=False)
    act = simple(env)
    seen, _ = env.reset(seed=0)
    for _ in range(40):
        seen, *_ = env.step(act(seen), grid)
    fees, revenue = HIGHEST * 0.5 * (grid + 1.0), env.books.fee.sum(axis=0)
    best = int(revenue.argmax())
    assert fees[best] == pytest.approx(WORTH / 2, abs=WORTH / CROWD)
    assert env.state.open_twin[:, best].mean() == pytest.approx(0.5, abs=1 / CROWD)
    np.testing.assert_allclose(revenue, CROWD * fees * np.maximum(1.0 - fees / WORTH, 0.0), atol=0.5 * HIGHEST)


def test_a_platform_learns_it() -> None:
    """PPO, with a fee for a whole episode, asks for about v/2, and earns nine tenths of what the best fee does.

    Seen to fail: with the reward's sign turned; without the fee among what companies see.
    """
    sb3 = pytest.importorskip("stable_baselines3", reason="stable-baselines3 is not installed")
    from agents.experiments.unit import one_thread
    from kaizen_env.envs.sb3 import PlatformVecEnv

    one_thread()
    env = crowd(16)
    venv = PlatformVecEnv(env, simple(env), hold=12)
    model = sb3.PPO("MlpPolicy", venv, seed=0, n_steps=16, batch_size=64, learning_rate=3e-3, device="cpu")
    model.learn(6_000)
    test = crowd(1, auto_reset=False)
    test.reset(seed=9)
    said = float(np.clip(model.predict(test.platform_observation(), deterministic=True)[0][0, 0], -1.0, 1.0))
    fee = HIGHEST * 0.5 * (said + 1.0)
    assert fee * (1.0 - fee / WORTH) >= 0.9 * WORTH / 4


def test_it_is_an_agent_like_any_other() -> None:
    """PettingZoo's own test; it earns what it charged, and stays to the horizon."""
    env = parallel_env("electric_car", {"twin": "members"}, platform=50.0, periods=5)
    parallel_api_test(env, num_cycles=20)
    seen, _ = env.reset(seed=0)
    assert env.possible_agents[-1] == "platform"
    assert seen["platform"].shape == (len(env.platform_feature_names),)
    while env.agents:
        actions = {name: env.action_space(name).high for name in env.agents}
        seen, rewards, ends, stops, infos = env.step(actions)
    assert rewards["platform"] == pytest.approx(1.0)  # all twins open, at the highest fee
    assert infos["platform"]["profit"] == pytest.approx(8 * 50.0 * 7.0)
    assert stops["platform"]
    assert not ends["platform"]


def test_refusals() -> None:
    """What is no fee, and what has no platform, is said; the environment is as it was."""
    env = crowd(2)
    env.reset(seed=0)
    actions = np.zeros((2, CROWD, len(env.action_names)))
    for fee, message in (
        (np.zeros(3), r"fee of shape \(3,\); allowed: \(2,\)"),
        (np.array([0.0, np.nan]), "fee in world 1 is NaN"),
        ("much", "an array of numbers is needed"),
    ):
        with pytest.raises(ValueError, match=message):
            env.step(actions, fee)
        assert env.t == 0
    none = BatchEnv("electric_car", "isolated")
    none.reset(seed=0)
    with pytest.raises(ValueError, match="there is no platform to set a fee"):
        none.step(np.zeros((1, 8, len(none.action_names))), np.zeros(1))
    with pytest.raises(ValueError, match="there is no platform"):
        none.platform_observation()
    with pytest.raises(DescriptionError, match="platform"):
        BatchEnv("electric_car", "isolated", platform=0.0)
    with pytest.raises(DescriptionError, match="a planner decides for all and pays nobody"):
        BatchEnv("electric_car", "super_enterprise", platform=1.0)
    with pytest.raises(DescriptionError, match="a company is called 'platform' already"):
        parallel_env(_called_platform(), "isolated", platform=1.0)
    each = parallel_env("electric_car", {"twin": "members"}, platform=50.0)
    each.reset(seed=0)
    with pytest.raises(ValueError, match="no action for agent 'platform'"):
        each.step({name: np.zeros(len(each.action_names)) for name in each.agents if name != "platform"})


def _called_platform() -> dict[str, Any]:
    return {
        "name": "odd",
        "companies": [{"name": "platform"}],
        "supply_links": [{"buyer": "platform"}],
        "market_links": [{"seller": "platform", "market": "town"}],
        "markets": [{"name": "town", "demand": {"process": "constant", "mean": 1}}],
    }
