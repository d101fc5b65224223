"""How an episode ends: bankruptcy terminates, the horizon truncates, and nothing else does either."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from walks import REST, WORK, everything, mortal

from kaizen_env import BatchEnv, PlannerEnv, env, parallel_env
from kaizen_env.envs import KaizenParallelEnv

pytestmark = pytest.mark.filterwarnings("error")

FIRST, SECOND, THIRD = "company_1", "company_2", "company_3"
WAGE = 10.0


def play(world: KaizenParallelEnv, begins: dict[str, int]) -> list[tuple[Any, ...]]:
    """An episode of `mortal` in which each company works from the period in `begins` on, and is bankrupt in the third
    after it; every step's results, with the agents that are left."""
    world.reset(seed=0)
    history = []
    while world.agents:
        t = world.batch.t
        actions = {name: WORK if t >= begins.get(name, 99) else REST for name in world.agents}
        history.append((*world.step(actions), list(world.agents)))
    return history


def test_bankruptcy_terminates_and_the_others_go_on_to_the_horizon() -> None:
    """Who goes bankrupt is told so with a last observation and reward, and then is out.

    Seen to fail: the dead kept among `agents`; bankruptcy as truncation.
    """
    world = parallel_env(mortal(), "isolated")
    history = play(world, {SECOND: 1})
    assert len(history) == 6
    for t, (observations, rewards, terminated, truncated, infos, left) in enumerate(history, start=1):
        acting = [FIRST, SECOND, THIRD] if t <= 4 else [FIRST, THIRD]
        assert list(observations) == list(rewards) == list(infos) == acting
        assert [name for name, flag in terminated.items() if flag] == ([SECOND] if t == 4 else [])
        assert [name for name, flag in truncated.items() if flag] == ([FIRST, THIRD] if t == 6 else [])
        assert left == ([FIRST, SECOND, THIRD] if t < 4 else [FIRST, THIRD] if t < 6 else [])
    scale = world.batch.objective.scale
    assert [step[1].get(SECOND) for step in history] == [0.0, -WAGE / scale, -WAGE / scale, -WAGE / scale, None, None]
    alive = world.feature_names.index("alive")
    assert [step[0][SECOND][alive] for step in history[:4]] == [1.0, 1.0, 1.0, 0.0]
    assert [round(3 * step[4][FIRST]["alive"]) for step in history] == [3, 3, 3, 2, 2, 2]


def test_bankruptcy_on_the_last_period_is_both() -> None:
    """Terminated (nothing to bootstrap from) and truncated with all others, so that `all(truncated)` ends the episode.

    Seen to fail: truncation masked by who is alive after the step; bankruptcy masked by the horizon.
    """
    history = play(parallel_env(mortal(), "isolated"), {SECOND: 3})
    assert len(history) == 6
    assert not any(any({**step[2], **step[3]}.values()) for step in history[:-1])
    _, rewards, terminated, truncated, _, left = history[-1]
    assert terminated == {FIRST: False, SECOND: True, THIRD: False}
    assert truncated == {FIRST: True, SECOND: True, THIRD: True}
    assert rewards[SECOND] < 0
    assert left == []


def test_when_all_are_bankrupt_the_episode_is_over() -> None:
    """Seen to fail: truncation of the dead at the horizon; an episode that goes on with nobody."""
    world = parallel_env(mortal(periods=9), "isolated")
    history = play(world, {FIRST: 0, SECOND: 2, THIRD: 2})
    assert [step[-1] for step in history] == [[FIRST, SECOND, THIRD]] * 2 + [[SECOND, THIRD]] * 2 + [[]]
    assert history[-1][2] == {SECOND: True, THIRD: True}
    assert history[-1][3] == {SECOND: False, THIRD: False}
    with pytest.raises(RuntimeError, match=r"no agent is left; call reset\(\)"):
        world.step({})
    world.reset()
    assert world.agents == [FIRST, SECOND, THIRD]


def test_agents_in_turn_end_alike() -> None:
    """The AEC form: each that has ended takes its leave with None. Seen to fail: bankruptcy as truncation."""
    turns = env(mortal(), "isolated")
    turns.reset(seed=0)
    ends: dict[str, tuple[int, bool, bool]] = {}
    for agent in turns.agent_iter():
        _, _, terminated, truncated, _ = turns.last()
        t = turns.unwrapped.batch.t  # type: ignore[attr-defined]
        if terminated or truncated:
            ends[agent] = (t, terminated, truncated)
            turns.step(None)
        else:
            turns.step(WORK if agent == SECOND or (agent == THIRD and t >= 3) else REST)
    assert ends == {SECOND: (3, True, False), THIRD: (6, True, True), FIRST: (6, False, True)}
    assert turns.agents == []


def test_without_a_credit_limit_only_the_horizon_ends() -> None:
    """Seen to fail: bankruptcy wherever cash is negative."""
    scenario = mortal(periods=30)
    scenario = scenario.changed(companies=[c.model_copy(update={"credit_limit": None}) for c in scenario.companies])
    world = parallel_env(scenario, "isolated")
    history = play(world, {FIRST: 0, SECOND: 0})
    assert len(history) == 30
    assert not any(flag for step in history for flag in step[2].values())
    assert history[-1][3] == {FIRST: True, SECOND: True, THIRD: True}
    assert world.batch.state.cash[0, 0] == pytest.approx(-30 * WAGE)


def test_a_batch_ends_and_begins_anew_in_the_same_step() -> None:
    """World 0 loses a company in the middle, world 1 one on the last period; both begin anew with everybody alive.

    Seen to fail: `final_observation` after the reset; `alive` of the episode before kept for the next; rewards of the
    bankrupt, whose stock still costs.
    """
    scenario = mortal()
    first, second, third = scenario.companies
    costly = second.model_copy(update={"holding_cost": 0.001})
    batch = BatchEnv(scenario.changed(companies=[first, costly, third]), "isolated", worlds=2)
    start, infos = batch.reset(seed=0)
    observations = start
    for episode in range(2):
        for t in range(6):
            actions = np.tile(REST, (2, 3, 1))
            if t >= 1:
                actions[0, 1] = WORK
            if t >= 3:
                actions[1, 2] = WORK
            observations, rewards, terminated, truncated, infos = batch.step(actions)
            died = {3: [(0, 1)], 5: [(1, 2)]}.get(t, [])
            assert [tuple(place) for place in np.argwhere(terminated)] == died, (episode, t)
            bankrupt = np.array([[False, t == 5, False], [False, False, False]])
            assert np.array_equal(truncated, ~bankrupt if t == 5 else np.zeros((2, 3), dtype=bool))
            assert ("final_observation" in infos) == (t == 5)
            assert (rewards[:, 1] == 0.0).tolist() == [t > 3, False]
        alive = batch.feature_names.index("alive")
        assert infos["final_observation"][..., alive].tolist() == [[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
        assert np.array_equal(observations, start)  # demand is constant, so every episode begins alike
        assert batch.t == 0


def test_without_auto_reset_a_batch_waits_for_one() -> None:
    """Seen to fail: no check of the horizon in `step`."""
    batch = BatchEnv(mortal(periods=2), "isolated", auto_reset=False)
    batch.reset(seed=0)
    for _ in range(2):
        *_, infos = batch.step(np.tile(REST, (1, 3, 1)))
        assert "final_observation" not in infos
    with pytest.raises(RuntimeError, match=r"the episode of 2 periods is over; call reset\(\) first"):
        batch.step(np.tile(REST, (1, 3, 1)))


def test_a_planner_ends_with_its_last_company_and_pays_for_the_bankrupt() -> None:
    """One bankruptcy ends nothing, and the network's value goes on to count all that the bankrupt cost.

    Seen to fail: rewards of the living only; termination by the first bankruptcy; truncation at the horizon left out.
    """
    costly = mortal()
    first, second, third = costly.companies
    costly = costly.changed(companies=[first, second.model_copy(update={"holding_cost": 0.005}), third])
    world = PlannerEnv(costly)
    world.reset(seed=0)
    elements = len(world.action_names) // 3
    for t in range(1, 7):
        actions = np.tile(REST, 3)
        actions[elements + 1] = 1.0  # the second company works, and its stock costs half as much again
        _, reward, terminated, truncated, info = world.step(actions)
        assert reward == pytest.approx(info["end_customer_value"] / world.batch.objective.scale, rel=1e-12)
        assert (terminated, truncated) == (False, t == 6)
        assert info["alive"] == pytest.approx(1.0 if t == 1 else 2 / 3)
    world = PlannerEnv(mortal())
    world.reset(seed=0)
    ends = [world.step(np.tile(WORK, 3))[2:4] for _ in range(3)]
    assert ends == [(False, False), (False, False), (True, False)]
    with pytest.raises(RuntimeError, match=r"no company is left; call reset\(\)"):
        world.step(np.tile(WORK, 3))


def test_the_horizon_is_the_scenarios_own_or_the_one_asked_for() -> None:
    """Seen to fail: `periods` of the keywords not taken."""
    assert parallel_env(everything()).batch.horizon == 12
    assert parallel_env(everything(), periods=5).max_cycles == 5
    world = parallel_env(everything(), "kaizen2", periods=5)
    world.reset(seed=1)
    steps = 0
    while world.agents:
        world.step({name: np.zeros(len(world.action_names)) for name in world.agents})
        steps += 1
    assert steps == 5
