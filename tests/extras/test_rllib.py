"""RLlib on the environments; run by `make extras`, which brings it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bankrupt import bankrupt_after

pytest.importorskip("ray", reason="ray is not installed: make extras")

# Ray guards its ports with a token, unless told that the machine is one's own; they are open to this machine only.
os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv
from ray.tune.registry import register_env

import kaizen_env
from kaizen_env.envs.rllib import RLlibEnv

# Every algorithm registers its environments anew.
pytestmark = pytest.mark.filterwarnings("ignore:.*Overriding environment:UserWarning")
WRAPPERS = [ParallelPettingZooEnv, RLlibEnv]


@pytest.fixture(scope="module", autouse=True)
def _ray() -> Iterator[None]:
    ray.init(include_dashboard=False, num_cpus=1, _node_ip_address="127.0.0.1", logging_level="error")
    yield
    ray.shutdown()


@pytest.fixture(autouse=True)
def _results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.tune.trainable.trainable.DEFAULT_STORAGE_PATH", str(tmp_path))


def shared_policy(wrapper: Callable[..., Any], steps: int, **environment: Any) -> Any:
    """PPO that samples `steps` periods a turn in this process, one policy for all companies."""
    register_env("kaizen", lambda _: wrapper(kaizen_env.parallel_env(**environment)))
    config = (
        PPOConfig()
        .environment("kaizen")
        .env_runners(num_env_runners=0)
        .learners(num_learners=0)
        .multi_agent(policies={"shared"}, policy_mapping_fn=lambda agent, episode, **_: "shared")
        .training(train_batch_size_per_learner=steps, minibatch_size=steps // 2, num_epochs=2)
        .debugging(seed=1, log_level="ERROR")
    )
    return config.build_algo()


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_ppo_with_a_shared_policy_trains(wrapper: Callable[..., Any]) -> None:
    """Two iterations on what every company sees in kaizen2; weights move, episodes are as long as the scenario says.

    Seen to fail: with a learning rate of 0 the weights stay; with a horizon of one period less episodes are 49 long.
    """
    algorithm = shared_policy(wrapper, 200, scenario="serial", regime="kaizen2", periods=50)
    before = {name: weight.copy() for name, weight in algorithm.get_weights()["shared"].items()}
    for _ in range(2):
        result = algorithm.train()
        sampled, learnt = result["env_runners"], result["learners"]["shared"]
        assert sampled["num_episodes"] == 4
        assert sampled["episode_len_max"] == sampled["episode_len_min"] == 50
        assert sampled["num_module_steps_sampled"]["shared"] == 4 * 50 * 3  # one policy learns from all companies
        assert math.isfinite(sampled["episode_return_mean"])
        assert math.isfinite(learnt["total_loss"])
    after = algorithm.get_weights()["shared"]
    assert any((after[name] != before[name]).any() for name in before)
    algorithm.stop()


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("period", [3, 2])
def test_episodes_end_when_a_company_goes_bankrupt(wrapper: Callable[..., Any], period: int) -> None:
    """Also on the last period, the third, where one agent terminates while the other is truncated.

    Seen to fail: with truncation only for companies that are alive, RLlib's own wrapper steps on after the end.
    """
    algorithm = shared_policy(wrapper, 60, scenario=bankrupt_after(period, 3))
    for _ in range(2):
        result = algorithm.train()["env_runners"]
        assert result["num_episodes"] == 20
        assert result["episode_len_max"] == result["episode_len_min"] == 3
    for episode in algorithm.env_runner.sample(num_episodes=2):
        poor, rich = episode.agent_episodes["poor"], episode.agent_episodes["rich"]
        assert episode.is_done
        assert (len(poor), len(rich)) == (period, 3)
        assert poor.is_terminated
        assert rich.is_truncated
    algorithm.stop()


@pytest.mark.parametrize(
    "wrapper",
    [
        RLlibEnv,
        pytest.param(
            ParallelPettingZooEnv,
            marks=pytest.mark.xfail(reason="ray 2.60 calls terminated whom the horizon truncated: see RLlibEnv"),
        ),
    ],
)
@pytest.mark.parametrize("period", [3, 2, 1])
def test_the_horizon_is_no_end_of_the_world(wrapper: Callable[..., Any], period: int) -> None:
    """Only the bankrupt are terminated, so that values are bootstrapped for the others.

    Seen to fail: through RLlib's own wrapper, as the expected failure says. Should that pass one day, RLlibEnv can go.
    """
    algorithm = shared_policy(wrapper, 60, scenario=bankrupt_after(period, 3))
    for episode in algorithm.env_runner.sample(num_episodes=2):
        poor, rich = episode.agent_episodes["poor"], episode.agent_episodes["rich"]
        assert poor.is_terminated
        assert rich.is_truncated
        assert not rich.is_terminated
        assert not episode.is_terminated
    algorithm.stop()


def test_an_episode_without_survivors_is_terminated() -> None:
    """Seen to fail: with `over` whenever no agent is left."""
    scenario = bankrupt_after(2, 3)
    scenario["companies"][1] = scenario["companies"][0] | {"name": "rich"}
    env = RLlibEnv(kaizen_env.parallel_env(scenario))
    env.reset(seed=1)
    for end in (False, True):
        _, _, terminated, truncated, _ = env.step({name: space.sample() for name, space in env.action_space.items()})
        assert (terminated["__all__"], truncated["__all__"]) == (end, False)
