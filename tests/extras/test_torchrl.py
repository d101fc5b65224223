"""TorchRL on the environments; run by `make extras`, which brings it."""

from __future__ import annotations

import numpy as np
import pytest
from bankrupt import bankrupt_after

pytest.importorskip("torchrl", reason="torchrl is not installed: make extras")

import torch
from torchrl.envs.utils import check_env_specs

import kaizen_env
from kaizen_env.envs.torchrl import torchrl_env

# It says that it was tested with PettingZoo 1.24.3; whether it works with a newer one is what these tests ask.
pytestmark = pytest.mark.filterwarnings("ignore:PettingZoo in TorchRL is tested:UserWarning")


@pytest.mark.parametrize("scenario", ["serial", "beer_game", "cola", "airline"])
@pytest.mark.parametrize("regime", ["isolated", "kaizen2"])
def test_specs_and_a_rollout_pass(scenario: str, regime: str) -> None:
    """Seen to fail: with words among the infos, and with no infos at reset, of which TorchRL makes their shape."""
    env = torchrl_env(kaizen_env.parallel_env(scenario, regime, periods=20))
    check_env_specs(env)
    rollout = env.rollout(100)
    agents = rollout["next", "agents"]
    assert rollout.batch_size == (20,)
    assert torch.isfinite(agents["reward"]).all()
    assert {"end_customer_value", "profit"} <= set(agents["info"].keys())
    assert rollout["next", "truncated"].squeeze(-1).tolist() == [False] * 19 + [True]
    assert not rollout["next", "terminated"].any()
    assert rollout["next", "state"].shape[1:] == env.state().shape


def test_a_rollout_is_the_environment_itself() -> None:
    """The same seed and actions outside TorchRL give the same observations and rewards.

    Seen to fail: with another seed.
    """
    env = torchrl_env(kaizen_env.parallel_env("serial", "kaizen2", periods=10))
    rollout = env.rollout(10, auto_reset=False, tensordict=env.reset(seed=3))
    plain = kaizen_env.parallel_env("serial", "kaizen2", periods=10)
    observations, _ = plain.reset(seed=3)
    for t in range(10):
        row = rollout[t]["agents"]
        for i, name in enumerate(plain.possible_agents):
            np.testing.assert_array_equal(row["observation"][i].numpy(), observations[name])
        actions = {name: row["action"][i].numpy() for i, name in enumerate(plain.possible_agents)}
        observations, rewards, *_ = plain.step(actions)
        got = rollout[t]["next", "agents", "reward"].squeeze(-1).numpy()
        np.testing.assert_allclose(got, list(rewards.values()), rtol=1e-6)


@pytest.mark.parametrize("period", [1, 2, 3])
def test_an_episode_goes_on_when_a_company_goes_bankrupt(period: int) -> None:
    """Until the horizon, with the bankrupt masked; `done_on_any=True`, the default, would cut it short.

    Seen to fail: with `done_on_any=True`, and without `OnlyTheLiving`, where `period` is not the last.
    """
    env = torchrl_env(kaizen_env.parallel_env(bankrupt_after(period, 3)))
    check_env_specs(env)
    rollout = env.rollout(10)
    assert rollout.batch_size == (3,)
    after = rollout["next", "agents"]
    poor = env.possible_agents.index("poor")
    assert after["terminated"][:, poor, 0].tolist() == [t + 1 >= period for t in range(3)]
    assert after["mask"][:, poor].tolist() == [t + 1 < period and t < 2 for t in range(3)]
    assert rollout["next", "done"].squeeze(-1).tolist() == [False, False, True]
    assert not after["terminated"][:, 1 - poor].any()
