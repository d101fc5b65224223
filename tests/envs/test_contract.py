"""The interfaces of the field: their own checks, without a warning, and a stricter contract of ours."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pettingzoo
import pytest
from gymnasium.utils.env_checker import check_env
from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, seed_test
from walks import AXES, COMPANIES, PERIODS, PLANNERS, REST, all_scenarios, everything, mortal, random_actions

import kaizen_env
from kaizen_env import PlannerEnv, Scenario, env, load_scenario, parallel_env
from kaizen_env.envs import KaizenParallelEnv

pytestmark = pytest.mark.filterwarnings("error")

SCENARIOS = all_scenarios()
ID = "Kaizen/ValueNetwork-v1"
WILLEMS = (Path(__file__).parents[2] / ".." / "shared" / "willems").resolve()

# --- checks of the libraries ------------------------------------------------------------------------------------


@pytest.mark.parametrize("axes", COMPANIES)
@pytest.mark.parametrize("scenario", [everything(), mortal(), "team"], ids=["everything", "mortal", "team"])
def test_pettingzoo_finds_nothing_to_complain_about(scenario: str | Scenario, axes: str) -> None:
    """Companies are called company_1 or mine_1 here, as `api_test` recommends.

    Seen to fail: `agents` not emptied at the end; infos only for the agents that live on; a new space on every call;
    render_mode missing.
    """
    parallel_api_test(parallel_env(scenario, AXES[axes], periods=6), num_cycles=20)
    api_test(env(scenario, AXES[axes], periods=6), num_cycles=20)


@pytest.mark.parametrize("name", kaizen_env.scenarios())
def test_pettingzoo_takes_every_built_in_scenario(name: str) -> None:
    """Seen to fail: observations in double precision."""
    parallel_api_test(parallel_env(name, "kaizen2", periods=6), num_cycles=20)
    with warnings.catch_warnings():
        # PettingZoo recommends names that end in a number; here they are the companies' own (`mine`, `can_maker`).
        warnings.filterwarnings("ignore", "We recommend agents to be named", UserWarning, "pettingzoo")
        api_test(env(name, "kaizen2", periods=6), num_cycles=20)


@pytest.mark.parametrize("axes", ["isolated", "members"])
def test_pettingzoo_finds_seeds_that_reproduce(axes: str) -> None:
    """Seen to fail: noise of the twin from `np.random.default_rng()`."""
    parallel_seed_test(lambda: parallel_env(everything(), AXES[axes]), num_cycles=10)
    seed_test(lambda: env(everything(), AXES[axes]), num_cycles=10)


@pytest.mark.parametrize("axes", PLANNERS)
@pytest.mark.parametrize("name", SCENARIOS)
def test_gymnasium_finds_nothing_to_complain_about(name: str, axes: str) -> None:
    """Seen to fail: `super().reset(seed=seed)` left out; infos that the environment keeps and changes."""
    made = gymnasium.make(ID, scenario=SCENARIOS[name], regime=AXES[axes], periods=PERIODS)
    check_env(made.unwrapped, skip_render_check=True)  # see the next test


def test_gymnasium_takes_the_pictures_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen to fail: `ansi` as bytes."""
    pytest.importorskip("matplotlib", reason="needs the extra `pictures`")
    monkeypatch.setenv("MPLBACKEND", "agg")
    with warnings.catch_warnings():
        # Where there is no display, `human` says so, and what to do; that is right.
        warnings.filterwarnings("ignore", ".*render_mode='human' needs a window", UserWarning)
        check_env(gymnasium.make(ID, scenario="serial", periods=PERIODS).unwrapped)


def test_the_environments_are_found_in_the_registries_and_the_old_way() -> None:
    """Seen to fail: an entry point that is misspelt; the AEC environment not registered."""
    assert isinstance(pettingzoo.make("parallel", ID, scenario="serial"), KaizenParallelEnv)
    turns = pettingzoo.make("aec", ID, scenario="serial", regime="kaizen2")
    assert isinstance(turns.unwrapped, KaizenParallelEnv)
    assert turns.unwrapped.batch.regime == kaizen_env.REGIMES["kaizen2"]
    assert pettingzoo.spec("parallel", ID).id == pettingzoo.spec("aec", ID).id == gymnasium.spec(ID).id == ID
    planner = gymnasium.make(ID, scenario="serial", twin_lag=2)
    assert isinstance(planner.unwrapped, PlannerEnv)
    assert planner.unwrapped.batch.regime.twin_lag == 2
    assert isinstance(kaizen_env.parallel_env("serial"), pettingzoo.ParallelEnv)
    assert isinstance(kaizen_env.env("serial"), pettingzoo.AECEnv)
    assert kaizen_env.parallel_env().batch.scenario.name == "cola"
    for made in (parallel_env("serial"), env("serial")):
        assert made.metadata["name"] == "kaizen_v1"
        assert made.metadata["is_parallelizable"]
        assert {"ansi", "rgb_array", "human"} == set(made.metadata["render_modes"])
        assert made.metadata["render_fps"] > 0


# --- our own contract -------------------------------------------------------------------------------------------


def plain(info: dict[str, Any], keys: set[str]) -> None:
    assert set(info) == keys
    assert all(type(value) is float and math.isfinite(value) for value in info.values())


@pytest.mark.parametrize("axes", COMPANIES)
@pytest.mark.parametrize("name", SCENARIOS)
def test_agents_keep_the_contract(name: str, axes: str) -> None:
    """In two episodes: observations in their space, finite rewards, plain infos, the same space and agents throughout.

    Seen to fail: no clip at the bounds of the space, which are set to 10 for it; infos as arrays; `clipped_actions`
    left out at reset; a horizon of one period more.
    """
    world = parallel_env(SCENARIOS[name], AXES[axes], periods=PERIODS)
    rng, names = np.random.default_rng(0), list(world.possible_agents)
    spaces = {n: (world.observation_space(n), world.action_space(n)) for n in names}
    features = (len(world.feature_names),)
    assert {space.shape for space, _ in spaces.values()} == {features}
    assert len(set(world.feature_names)) == len(world.feature_names) == len(world.feature_units)
    assert {space.shape for _, space in spaces.values()} == {(len(world.action_names),)}
    for _ in range(2):
        observations, infos = world.reset(seed=3)
        keys, steps = set(infos[names[0]]), 0
        while True:
            assert list(observations) == list(infos)
            for n, observation in observations.items():
                assert world.observation_space(n) is spaces[n][0]
                assert world.action_space(n) is spaces[n][1]
                assert observation.dtype == np.float32
                assert spaces[n][0].contains(observation)
                plain(infos[n], keys)
            assert world.state().dtype == np.float32
            assert world.state_space.contains(world.state())
            assert world.possible_agents == names
            if not world.agents:
                break
            acting = list(world.agents)
            actions = dict(zip(names, random_actions(world.batch, rng)[0], strict=True))
            observations, rewards, terminations, truncations, infos = world.step({n: actions[n] for n in acting})
            steps += 1
            assert list(observations) == list(rewards) == list(terminations) == list(truncations) == acting
            assert all(type(reward) is float and math.isfinite(reward) for reward in rewards.values())
            assert all(type(flag) is bool for flag in (*terminations.values(), *truncations.values()))
            assert set(truncations.values()) == {steps == PERIODS}
            assert world.agents == [n for n in acting if not (terminations[n] or truncations[n])]


@pytest.mark.parametrize("axes", PLANNERS)
@pytest.mark.parametrize("name", SCENARIOS)
def test_planners_keep_the_contract(name: str, axes: str) -> None:
    """As for agents. Seen to fail: rewards as NumPy numbers; names of the features of one company only."""
    world = PlannerEnv(SCENARIOS[name], AXES[axes], periods=PERIODS)
    rng, space = np.random.default_rng(0), world.observation_space
    assert space.shape == (len(world.feature_names),) == (len(world.feature_units),)
    assert world.action_space.shape == (len(world.action_names),)
    assert len(set(world.feature_names)) == len(world.feature_names)
    for _ in range(2):
        observation, info = world.reset(seed=3)
        keys = set(info)
        for step in range(1, PERIODS + 1):
            assert observation.dtype == np.float32
            assert world.observation_space is space
            assert space.contains(observation)
            plain(info, keys)
            observation, reward, terminated, truncated, info = world.step(random_actions(world.batch, rng).reshape(-1))
            assert type(reward) is float
            assert math.isfinite(reward)
            assert terminated is False
            assert truncated is (step == PERIODS)
        assert space.contains(observation)
        plain(info, keys)


def test_numbers_of_any_size_stay_inside_the_space() -> None:
    """Seen to fail: no clip in `Twin.assemble` and `BatchEnv.global_state`."""
    world = parallel_env("serial", "kaizen2")
    world.reset(seed=0)
    state = world.batch.state
    world.batch.state = state._replace(on_hand=state.on_hand + 1e300, backlog=state.backlog + 1e300)
    observations, *_ = world.step({name: np.zeros(len(world.action_names)) for name in world.agents})
    assert all(world.observation_space(name).contains(o) for name, o in observations.items())
    assert world.state_space.contains(world.state())


@pytest.mark.skipif(not WILLEMS.is_dir(), reason="the data of Willems (2008) are not in ../shared/willems")
def test_a_real_chain_of_334_companies_runs_with_the_echelon_twin() -> None:
    """Its observations are as long as those of a chain of three.

    Seen to fail: no limit to the size of network twins.
    """
    chain = {"willems": WILLEMS, "chain": 24}
    world = parallel_env(chain, {"twin": "echelon", "objective": "network"}, periods=2)
    assert len(world.possible_agents) == 334
    assert len(world.feature_names) < 40
    observations, _ = world.reset(seed=0)
    while world.agents:
        actions = dict(zip(world.agents, random_actions(world.batch, np.random.default_rng(0))[0], strict=True))
        observations, rewards, *_ = world.step(actions)
        assert all(world.observation_space(name).contains(o) for name, o in observations.items())
        assert np.isfinite(list(rewards.values())).all()
    with pytest.raises(kaizen_env.DescriptionError, match="334 are too many"):
        parallel_env(chain, "kaizen2")


def test_what_is_returned_belongs_to_the_caller() -> None:
    """Writing into observations and infos changes nothing, as RLlib writes `__all__` into them.

    Seen to fail: `_by_agent` giving one array to all; one info for all agents.
    """
    world, twin = (parallel_env(everything(), AXES["members"]) for _ in range(2))
    rng = np.random.default_rng(0)
    given, _ = world.reset(seed=1)
    twin.reset(seed=1)
    for _ in range(3):
        actions = dict(zip(world.possible_agents, random_actions(world.batch, rng)[0], strict=True))
        for values in given.values():
            values[:] = 7.0
        results, expected = world.step(actions), twin.step(actions)
        given = results[0]
        for name in world.possible_agents:
            assert np.array_equal(given[name], expected[0][name])
            assert results[4][name] == expected[4][name]
            results[4][name]["mine"] = 1.0
        assert len({id(info) for info in results[4].values()}) == len(results[4])
        assert len({values.__array_interface__["data"] for values in given.values()}) == len(given)
        for part in results:
            part["__all__"] = True  # type: ignore[index]
        del results[0]["__all__"]


def test_infos_are_the_metrics_of_the_period() -> None:
    """Counted again from the flows. Seen to fail: `served` with the demand of the next period among what is wanted."""
    world = parallel_env(load_scenario("serial"), "isolated", periods=30)
    world.reset(seed=5)
    market, shares = world.batch.network.sale.market, []
    while world.agents:
        wanted = float(world.batch.state.backlog[market].sum())
        _, _, _, _, infos = world.step({name: np.array([-0.3]) for name in world.agents})
        assert world.batch.flows is not None
        shares.append(float(world.batch.flows.shipped[market].sum()) / wanted)
        info = infos["retailer"]
        assert info["served"] == pytest.approx(shares[-1])
        profits = [infos[name]["profit"] for name in infos]
        assert info["network_profit"] == pytest.approx(sum(profits))
        assert info["end_customer_value"] == pytest.approx(info["network_profit"] + info["customer_surplus"])
    assert 0.0 < np.mean(shares) < 1.0  # the test has seen customers wait


def test_clipped_actions_are_counted() -> None:
    """Also infinite ones; what is clipped acts as the bound. Seen to fail: no clip; counts of the whole episode."""
    free, bounded = parallel_env(mortal(), periods=4), parallel_env(mortal(), periods=4)
    for world in (free, bounded):
        _, infos = world.reset(seed=0)
        assert infos["company_1"]["clipped_actions"] == 0.0
    outside = {"company_1": np.array([2.0, -np.inf]), "company_2": np.array([-1.0, 1.5]), "company_3": REST}
    inside = {"company_1": np.array([1.0, -1.0]), "company_2": np.array([-1.0, 1.0]), "company_3": REST}
    for _ in range(2):
        got, wanted = free.step(outside), bounded.step(inside)
        assert {info.pop("clipped_actions") for info in got[4].values()} == {3.0}
        assert {info.pop("clipped_actions") for info in wanted[4].values()} == {0.0}
        assert got[1:] == wanted[1:]
    assert {info["clipped_actions"] for info in free.step(inside)[4].values()} == {0.0}
