"""One seed, one history: in another process, in a batch, in a copy, and through any of the interfaces."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from walks import (
    AXES,
    COMPANIES,
    PERIODS,
    PLANNERS,
    all_scenarios,
    everything,
    finish_and_play_on,
    hashes,
    mortal,
    random_actions,
)

from kaizen_env import BatchEnv, PlannerEnv, env, parallel_env

pytestmark = pytest.mark.filterwarnings("error")

SCENARIOS = all_scenarios()
BLURRED = {"twin_lag": 1, "twin_noise": 0.1, "shared_twin_lag": 2, "shared_twin_noise": 0.2}


def test_a_seed_gives_the_same_history_in_every_process() -> None:
    """Every number of two episodes, to the last bit, in processes that order sets and mappings differently.

    Seen to fail: a random stream keyed by `hash(cause)`; companies taken from a set of names.
    """
    here = hashes()
    environment = os.environ | {"PYTHONHASHSEED": "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"}
    script = Path(__file__).parent / "walks.py"
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == here
    other = hashes(seed=8, regimes=["kaizen2"])  # so that the hashes are seen to see something
    changed = {name.split(",")[0] for name, value in other.items() if value != here[name]}
    assert changed >= {"airline", "electric_car", "serial", "everything"}


@pytest.mark.parametrize("axes", COMPANIES)
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_world_of_a_batch_is_a_parallel_environment(name: str, axes: str) -> None:
    """Observations, rewards, flags, infos and state of two episodes, to 1e-6; the second has the next seeds by itself.

    Seen to fail: seeds of a batch drawn from one stream; the noise of a batch drawn for all worlds at once; next seeds
    from the batch's first world.
    """
    seeds = [11, 5]
    batch = BatchEnv(SCENARIOS[name], AXES[axes], worlds=2, periods=PERIODS)
    worlds = [parallel_env(SCENARIOS[name], AXES[axes], periods=PERIODS) for _ in seeds]
    rng = np.random.default_rng(0)
    names = worlds[0].possible_agents
    observed, infos = batch.reset(seeds=seeds)
    alone = [world.reset(seed=seed) for world, seed in zip(worlds, seeds, strict=True)]
    for b in range(2):
        same(observed[b], by_row(alone[b][0], names))
    for step in range(1, 2 * PERIODS + 1):
        actions = random_actions(batch, rng)
        observed, rewards, terminated, truncated, infos = batch.step(actions)
        over = step % PERIODS == 0
        assert ("final_observation" in infos) == over
        last = infos["final_observation"] if over else observed
        for b, world in enumerate(worlds):
            acting = [i for i, n in enumerate(names) if n in world.agents]
            results = world.step({names[i]: actions[b, i] for i in acting})
            for got, wanted in zip((last, rewards, terminated, truncated), results[:4], strict=True):
                same(got[b, acting], by_row(wanted, [names[i] for i in acting]))
            assert not np.delete(rewards[b], acting).any()  # the bankrupt
            assert not np.delete(terminated[b] | truncated[b], acting).any()
            info = results[4][names[acting[0]]]
            assert {key: value[b] for key, value in infos.items() if key != "final_observation"} == {
                key: pytest.approx(value, rel=1e-6) for key, value in info.items() if key != "profit"
            }
            if over:
                same(observed[b], by_row(world.reset()[0], names))
            same(batch.global_state()[b], world.state())


def by_row(values: dict[str, Any], names: list[str]) -> np.ndarray:
    return np.stack([values[name] for name in names])


def same(got: np.ndarray, wanted: np.ndarray) -> None:
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("axes", PLANNERS)
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_world_of_a_batch_is_a_planner_environment(name: str, axes: str) -> None:
    """Seen to fail: the companies of the planner's actions in reverse order; rewards of the first company."""
    batch = BatchEnv(SCENARIOS[name], AXES[axes], worlds=2, periods=PERIODS)
    planner, rng = PlannerEnv(SCENARIOS[name], AXES[axes], periods=PERIODS), np.random.default_rng(0)
    features = len(planner.feature_names) // batch.companies
    observed, _ = batch.reset(seeds=[4, 9])
    alone, _ = planner.reset(seed=9)
    for step in range(1, 2 * PERIODS + 1):
        same(observed[1, :, :features].reshape(-1), alone)
        actions = random_actions(batch, rng)
        observed, rewards, _, _, infos = batch.step(actions)
        alone, reward, terminated, truncated, info = planner.step(actions[1].reshape(-1))
        assert reward == pytest.approx(rewards[1].sum(), rel=1e-6, abs=1e-6)
        assert info == {key: pytest.approx(infos[key][1], rel=1e-6) for key in info}
        assert (terminated, truncated) == (False, step % PERIODS == 0)
        if truncated:
            same(infos["final_observation"][1, :, :features].reshape(-1), alone)
            alone, _ = planner.reset()


def test_a_seed_is_kept_only_when_it_is_given() -> None:
    """Seen to fail: `reset()` that begins with the last seed again; worlds without a seed that are all alike."""
    world = parallel_env("serial")
    first = world.reset(seed=3)[0]
    second = world.reset()[0]
    assert not np.array_equal(first["retailer"], second["retailer"])
    assert np.array_equal(world.reset(seed=3)[0]["retailer"], first["retailer"])
    assert np.array_equal(world.reset()[0]["retailer"], second["retailer"])
    one, other = (parallel_env("serial").reset()[0]["retailer"] for _ in range(2))
    assert not np.array_equal(one, other)
    batch = BatchEnv("serial", worlds=3)
    assert len({o.tobytes() for o in batch.reset()[0]}) == 3
    assert np.array_equal(batch.reset(seed=2)[0][1], by_row(first, world.possible_agents))
    assert batch.seeds == [2, 3, 4]


def turns() -> Any:
    return env(everything(), {"twin": "members", **BLURRED}, periods=6)


MAKERS: dict[str, Callable[[], Any]] = {
    "parallel": lambda: parallel_env(everything(), {"twin": "network", **BLURRED}, periods=6),
    "parallel, mortal": lambda: parallel_env(mortal(), "kaizen2", periods=6),
    "turns": turns,
    "planner": lambda: PlannerEnv(everything(), twin="echelon", **BLURRED, periods=6),
    "batch": lambda: BatchEnv(everything(), {"twin": "neighbours", **BLURRED}, worlds=3, periods=6),
    "batch, no auto-reset": lambda: BatchEnv(everything(), "kaizen2", worlds=2, periods=6, auto_reset=False),
}


@pytest.mark.parametrize("maker", MAKERS)
def test_copies_in_mid_episode_go_on_alike(maker: str) -> None:
    """Pickled, deep-copied, and the original after both: this episode's rest and the whole next one.

    Seen to fail: the network's array library kept when it is pickled; random state of the noise left out of the copy,
    and of the next seeds.
    """
    original = MAKERS[maker]()
    original.reset(seed=8)
    begin(original)
    copies = [copy.deepcopy(original), pickle.loads(pickle.dumps(original))]
    if isinstance(original, BatchEnv):
        copies.append(original.copy())
    histories = [finish_and_play_on(world) for world in copies]
    assert set(histories) == {finish_and_play_on(original)}
    other = MAKERS[maker]()
    other.reset(seed=9)
    begin(other)
    assert maker == "parallel, mortal" or finish_and_play_on(other) not in histories  # its demand is constant


def begin(world: Any) -> None:
    """Two periods, and with turns half of the third."""
    rng = np.random.default_rng(1)
    for _ in range(2):
        if isinstance(world, BatchEnv):
            world.step(random_actions(world, rng))
        elif isinstance(world, PlannerEnv):
            world.step(random_actions(world.batch, rng).reshape(-1))
        elif hasattr(world, "agent_selection"):
            for _ in range(9):
                world.step(rng.uniform(-1.0, 1.0, world.action_space(world.agent_selection).shape))
        else:
            world.step(dict(zip(world.agents, random_actions(world.batch, rng)[0], strict=True)))
