"""`ppo`: it acts as SB3 does, learns what pays, keeps what it has learnt, and goes on where it was stopped."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `training`")
pytest.importorskip("stable_baselines3", reason="needs the extra `training`")

from stable_baselines3.common.callbacks import ConvertCallback  # noqa: E402
from stable_baselines3.common.running_mean_std import RunningMeanStd  # noqa: E402
from stable_baselines3.common.vec_env import VecNormalize  # noqa: E402

from agents.files import read_arrays, write_arrays  # noqa: E402
from agents.loading import load_policy, make_policy, save_policy  # noqa: E402
from agents.policy import PolicyError, Setting  # noqa: E402
from agents.ppo import Ppo  # noqa: E402
from agents.ppo_training import collect, normalised  # noqa: E402
from agents.rollout import run  # noqa: E402
from agents.training import Log, Task, TrainingError  # noqa: E402
from kaizen_env import BatchEnv  # noqa: E402
from kaizen_env.envs.sb3 import BatchVecEnv  # noqa: E402

SMALL: dict[str, Any] = {"episodes": 3, "worlds": 4, "rollout": 10, "hidden": [8]}
SCENARIO, PERIODS = "serial", 20
KINDS = [("shared", "isolated"), ("company", "isolated"), ("company", "kaizen2"), ("planner", "super_enterprise")]


def task(regime: str = "isolated", **overrides: Any) -> Task:
    return Task.of(SCENARIO, regime, periods=PERIODS, **overrides)


def trained(regime: str = "isolated", seed: int = 1, log: Log | None = None, **options: Any) -> Ppo:
    policy = Ppo(**(SMALL | options))
    policy.train(task(regime), seed, log or Log())
    return policy


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return set(one) == set(other) and all(np.array_equal(one[name], other[name]) for name in one)


def parts_of(policy: Ppo, regime: str, seed: int = 1) -> tuple[Any, Any]:
    """The world and the networks as they are at the start of a training."""
    batch = task(regime).env(4, auto_reset=True)
    world, parts = policy._begin(batch, seed)
    world.seed(seed)
    observations = world.reset()
    for part in parts:
        part.begin(observations, 1.0)
    return world, parts


@pytest.mark.parametrize("central_critic", [False, True])
@pytest.mark.parametrize("sharing, regime", [("shared", "isolated"), ("planner", "super_enterprise")])
def test_a_rollout_is_that_of_stable_baselines3(sharing: str, regime: str, central_critic: bool) -> None:
    """Two episodes long, so that the horizon is bootstrapped in the middle.

    Seen to fail: rewards bootstrapped with the first observation of the next episode; `starts` a period late.
    """
    options = SMALL | {"sharing": sharing, "central_critic": central_critic, "rollout": PERIODS}
    buffers = []
    for ours in (True, False):
        world, (part,) = parts_of(Ppo(**options), regime)
        model = part.model
        model.n_steps = model.rollout_buffer.buffer_size = 2 * PERIODS
        torch.manual_seed(3)
        if ours:
            collect(world, [part])
        else:
            part.env.step_async = world.step_async
            part.env.step_wait = world.step_wait
            model.ep_success_buffer, model.ep_info_buffer, model._last_obs, model._last_episode_starts = (
                [],
                [],
                part.observations,
                part.starts,
            )
            callback = ConvertCallback(None)
            callback.init_callback(model)
            model.collect_rollouts(part.normal, callback, model.rollout_buffer, 2 * PERIODS)
        buffers.append(model.rollout_buffer)
    for name in (
        "observations",
        "actions",
        "rewards",
        "episode_starts",
        "values",
        "log_probs",
        "advantages",
        "returns",
    ):
        one, other = (getattr(buffer, name) for buffer in buffers)
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-5, err_msg=name)


@pytest.mark.parametrize("central_critic", [False, True])
@pytest.mark.parametrize("sharing, regime", KINDS)
def test_it_acts_as_the_trained_models_do(sharing: str, regime: str, central_critic: bool) -> None:
    """`act` sees observations alone, and gives the mean of SB3's policy, on exactly what VecNormalize makes of them.

    Seen to fail: companies in reverse; the code of companies left out.
    """
    policy = Ppo(**(SMALL | {"sharing": sharing, "central_critic": central_critic}))
    world, parts = parts_of(policy, regime)
    collect(world, parts)
    policy.restore({name: values for part in parts for name, values in part.arrays().items()})
    env = world.batch
    policy.reset(Setting.of(env))
    given = policy.act(world._observations).reshape(world.num_envs, -1)
    for part in parts:
        wanted, _ = part.model.predict(part.observations, deterministic=True)
        np.testing.assert_allclose(given[part.rows], wanted, rtol=1e-5, atol=1e-6)
        seen, statistics = part.normal.get_original_obs(), part.arrays()
        ours = normalised(seen, *(statistics[f"{part.name}/seen.{what}"] for what in ("mean", "variance")))
        assert np.array_equal(ours, part.observations)
    assert given.dtype == np.float32
    assert not np.array_equal(given[0], given[-1])


def test_what_hardly_moves_is_not_blown_up() -> None:
    """What moves is normalised as in SB3, to 1e-4; a waste that moves by 1e-5 is left as small as it is.

    Seen to fail: SB3's 1e-8 added to the variance.
    """
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(500, 2)) * [1.0, 1e-5] + [3.0, 1.0]).astype(np.float32)
    normal = VecNormalize(BatchVecEnv(BatchEnv("serial", worlds=500 // 3)))
    statistics = RunningMeanStd(shape=(2,))
    statistics.update(rows)
    wanted = normal._normalize_obs(rows, statistics)
    ours = normalised(rows, statistics.mean, statistics.var)
    np.testing.assert_allclose(ours[:, 0], wanted[:, 0], rtol=1e-4)
    assert np.abs(ours[:, 1]).max() < 0.01


def test_the_mean_and_the_spread() -> None:
    """With `deterministic` off, actions are drawn from the seed of the setting, about the mean."""
    policy = trained()
    loose = Ppo(**(SMALL | {"deterministic": False}))
    loose.restore(policy.arrays())
    env = BatchEnv(SCENARIO, "isolated", 2000, periods=PERIODS)
    observations, _ = env.reset(seed=5)
    acts = []
    for agent, seed in ((policy, 0), (loose, 0), (loose, 0), (loose, 1)):
        agent.reset(Setting.of(env, seed))
        acts.append(agent.act(observations))
    assert np.array_equal(acts[1], acts[2])
    assert not np.array_equal(acts[1], acts[3])
    spread = np.exp(policy.arrays()["shared/weights.log_std"])
    np.testing.assert_allclose((acts[1] - acts[0]).std(axis=(0, 1)), spread, rtol=0.05)


def test_the_critic_alone_sees_the_state() -> None:
    """Seen to fail: an actor that reads all of a row."""
    world, (part,) = parts_of(Ppo(**(SMALL | {"central_critic": True})), "isolated")
    rows = torch.as_tensor(part.observations)
    other = rows.clone()
    other[:, world.seen :] += 1.0
    policy = part.model.policy
    with torch.no_grad():
        assert torch.equal(policy.get_distribution(rows).mode(), policy.get_distribution(other).mode())
        assert not torch.equal(policy.predict_values(rows), policy.predict_values(other))


def test_companies_apart_learn_apart() -> None:
    """With a network for each company, what one sees and earns moves no other's weights."""
    moved = []
    for shift in (0.0, 1.0):
        world, parts = parts_of(Ppo(**(SMALL | {"sharing": "company"})), "isolated")
        torch.manual_seed(0)
        collect(world, parts)
        parts[1].model.rollout_buffer.advantages += shift * np.arange(4)
        for part in parts:
            torch.manual_seed(0)
            np.random.seed(0)  # noqa: NPY002
            part.learn()
        moved.append([part.arrays() for part in parts])
    assert [same(one, other) for one, other in zip(*moved, strict=True)] == [i != 1 for i in range(len(moved[0]))]


def test_the_start_keeps_stocks() -> None:
    """The mean action of an untrained policy: 0 where orders are levels, the mean throughput where they are quantities.

    Seen to fail: 0 for quantities, which is twice the throughput.
    """
    for replenishment, wanted in (("order_up_to", 0.5), ("quantity", 0.25)):
        batch = BatchEnv(SCENARIO, "isolated", 4, replenishment=replenishment, periods=PERIODS)
        _, (part,) = Ppo(**SMALL)._begin(batch, 1)
        mean = part.model.policy.action_net.bias.detach().numpy()
        assert (mean[0] + 1) / 2 == pytest.approx(wanted)
        assert not mean[1:].any()


# --- learning -------------------------------------------------------------------------------------------------------


def test_it_learns_what_pays() -> None:
    """The effort game of one company, v / c = 1/2, from an untrained 1/10.

    Seen to fail: rewards of the wrong rows; the learning rate rising from 0 instead of falling to it.
    """
    scenario = {"team": {"companies": 1}}
    quick: dict[str, Any] = {
        "learning_rate": 3e-3,
        "discount": 0.99,
        "gae_lambda": 0.98,
        "spread": 0.3,
        "spread_end": 0.05,
    }
    quick["central_critic"] = False  # with more to see, a critic of so few episodes still takes chance for cause
    policy = Ppo(episodes=22, worlds=16, rollout=10, minibatches=2, hidden=[16], **quick)
    begin = policy._begin

    def low(batch: BatchEnv, seed: int) -> Any:
        world, parts = begin(batch, seed)
        parts[0].centre(np.array([0.0, -0.8], dtype=np.float32))
        return world, parts

    policy._begin = low  # type: ignore[method-assign]
    policy.train(Task.of(scenario, "isolated"), 1, Log())
    decided = run(policy, scenario, "isolated", [99], record=["decisions"]).trajectory
    assert decided is not None
    assert decided.decisions.effort[:, 0].mean() == pytest.approx(0.5, rel=0.1)


def test_the_log_says_what_was_earned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mean episode reward of each company, steps of agents, losses; as numbers, in the file and for TensorBoard.

    Seen to fail: rewards as VecNormalize scaled them; companies and worlds mixed up.
    """
    paid: list[np.ndarray] = []
    step = BatchEnv.step

    def listen(self: BatchEnv, actions: np.ndarray) -> Any:
        given = step(self, actions)
        paid.append(given[1])
        return given

    monkeypatch.setattr(BatchEnv, "step", listen)
    log = Log(tmp_path, tensorboard=True)
    policy = trained(log=log)
    log.close()
    assert [row["step"] for row in log.rows] == [1, 2, 3]
    names = BatchEnv(SCENARIO).network.names
    last = log.rows[-1]
    assert last["agent_steps"] == 3 * PERIODS * 4 * len(names)
    assert last["reward"] == pytest.approx(np.mean([last[f"reward/{name}"] for name in names]))
    assert all(np.isfinite(value) for value in last.values())
    assert (tmp_path / "training.csv").read_text().startswith("step,agent_steps,reward,reward/")
    assert list((tmp_path / "tensorboard").iterdir())
    earned = np.sum(paid[-PERIODS:], axis=0).mean(axis=0)
    np.testing.assert_allclose([last[f"reward/{name}"] for name in names], earned, rtol=1e-5)
    assert policy.name == "ppo"


@pytest.mark.parametrize("minibatches", [1, 4])
def test_divergence_is_reported(minibatches: int) -> None:
    """Whether NaN shows after an update, in the weights, or in its midst, in an action's distribution.

    Seen to fail: no look at the weights, so that NaN is kept; no ear for torch's ValueError.
    """
    with pytest.raises(TrainingError, match=r"'shared' has diverged .*smaller learning_rate"):
        trained(learning_rate=1e30, epochs=2, minibatches=minibatches)


# --- what is kept -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("central_critic", [False, True])
@pytest.mark.parametrize("sharing, regime", KINDS)
def test_saved_and_loaded_it_does_the_same(tmp_path: Path, sharing: str, regime: str, central_critic: bool) -> None:
    """Actions of every period, to the last bit."""
    policy = trained(regime, sharing=sharing, central_critic=central_critic)
    env = task(regime).env(2)
    save_policy(policy, tmp_path, env)
    loaded = load_policy(tmp_path, env)
    assert same(policy.arrays(), loaded.arrays())
    orders = [
        run(agent, SCENARIO, regime, [7, 8], periods=PERIODS, record=["decisions"]).trajectory
        for agent in (policy, loaded)
    ]
    for one, other in zip(*(trajectory.decisions for trajectory in orders), strict=True):
        assert np.array_equal(one, other)


def test_the_spread_and_the_learning_rate_fall() -> None:
    """By equal factors, and in a straight line; whatever the losses.

    Seen to fail: a spread that learns.
    """
    spreads = []
    log = Log(progress=lambda step, total, numbers: spreads.append(numbers["std"]))
    trained(log=log, episodes=4, spread=0.4, spread_end=0.025, learning_rate=0.01)
    np.testing.assert_allclose(spreads, [0.4, 0.2, 0.1, 0.05], rtol=1e-6)


@pytest.mark.parametrize("sharing, regime", [("shared", "isolated"), ("company", "kaizen2")])
def test_a_stopped_training_ends_as_if_it_had_not(tmp_path: Path, sharing: str, regime: str) -> None:
    """Stopped after the first leg and resumed: the same weights, to the last bit, and the same rows.

    Seen to fail: without the state of the optimizer; without the counts of the normalisation; seeds that go on from
    those of the leg before.
    """

    def stop(step: int, total: int, numbers: Any) -> None:
        if step == 2:
            raise KeyboardInterrupt

    options = {"sharing": sharing, "central_critic": True}
    whole = Log(tmp_path / "whole")
    uninterrupted = trained(regime, log=whole, **options).arrays()
    with pytest.raises(KeyboardInterrupt):
        trained(regime, log=Log(tmp_path / "part", progress=stop), **options)
    torch.manual_seed(99)
    log = Log(tmp_path / "part", resume=True)
    assert len(log.rows) == 1
    assert same(trained(regime, log=log, **options).arrays(), uninterrupted)
    assert log.rows == whole.rows
    assert same(*(read_arrays(tmp_path / name / "checkpoint.npz") for name in ("whole", "part")))
    assert not same(trained(regime, seed=2, **options).arrays(), uninterrupted)
    # What is finished and resumed is what it was.
    assert same(trained(regime, log=Log(tmp_path / "part", resume=True), **options).arrays(), uninterrupted)


def test_a_killed_training_ends_as_if_it_had_not(tmp_path: Path) -> None:
    """Killed with SIGKILL in the middle, and resumed in another process."""
    script = textwrap.dedent(
        """
        import json, sys
        from agents.ppo import Ppo
        from agents.training import Log, Task
        options, scenario, periods, folder, resume = json.loads(sys.argv[1])
        policy = Ppo(**options)
        policy.train(Task.of(scenario, "isolated", periods=periods), 1, Log(folder, resume=resume))
        """
    )
    options = SMALL | {"episodes": 20}

    def start(resume: bool) -> subprocess.Popen[bytes]:
        given = json.dumps([options, SCENARIO, PERIODS, str(tmp_path), resume])
        return subprocess.Popen([sys.executable, "-c", script, given], cwd=Path(__file__).parents[2])

    process = start(False)
    checkpoint = tmp_path / "checkpoint.npz"
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if checkpoint.exists() and 3 <= int(read_arrays(checkpoint)["_step"]) < 15:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 3 <= int(read_arrays(checkpoint)["_step"]) < 20
    assert start(True).wait(60) == 0
    log = Log(tmp_path, resume=True)
    assert [row["step"] for row in log.rows] == list(range(1, 21))
    kept = read_arrays(checkpoint)
    for name, values in trained(log=Log(), **options).arrays().items():
        assert np.array_equal(kept[name], values), name


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, match",
    [
        ({"sharing": "all"}, r"sharing: got 'all'; allowed: auto, shared, company, planner"),
        ({"episodes": 0}, r"episodes: got 0; allowed: a whole number from 1 on"),
        ({"worlds": 2.5}, r"worlds: got 2.5; allowed"),
        ({"central_critic": 1}, r"central_critic: got 1; allowed: true or false"),
        ({"discount": 1.5}, r"discount: got 1.5; allowed: a number from 0 to 1"),
        ({"learning_rate": "fast"}, r"learning_rate: got 'fast'"),
        ({"spread": 0}, r"spread: got 0; allowed: a number from 1e-06"),
        ({"hidden": [64, 0]}, r"hidden: got \[64, 0\]; allowed: a list"),
        ({"hiden": [64]}, r"no option 'hiden'.*hidden"),
    ],
)
def test_options_that_are_none(options: dict[str, Any], match: str) -> None:
    with pytest.raises(PolicyError, match=match):
        make_policy("ppo", **options)


@pytest.mark.parametrize("sharing, regime", [("planner", "isolated"), ("shared", "super_enterprise")])
def test_sharing_that_does_not_fit_the_regime(sharing: str, regime: str) -> None:
    with pytest.raises(PolicyError, match=f"sharing '{sharing}' under control: .*'auto' chooses"):
        trained(regime, sharing=sharing)


def test_what_has_not_been_learnt(tmp_path: Path) -> None:
    """Untrained; of another network, with `anywhere`; of another learner."""
    env = BatchEnv(SCENARIO, "isolated", 2)
    with pytest.raises(PolicyError, match="has not been trained"):
        Ppo().reset(Setting.of(env))
    policy = trained()
    for scenario, kind in (("cola", "shared"), ("cola", "company")):
        other = trained(sharing=kind) if kind == "company" else policy
        with pytest.raises(PolicyError, match=r"trained to see|learnt nothing for"):
            other.reset(Setting.of(BatchEnv(scenario, "isolated")))
    with pytest.raises(PolicyError, match=r"was saved with levels"):
        Ppo().restore({"levels": np.zeros(3)})
    save_policy(policy, tmp_path, task().env())
    write_arrays(tmp_path / "arrays.npz", {})
    with pytest.raises(PolicyError, match="nothing; train it anew"):
        load_policy(tmp_path)
