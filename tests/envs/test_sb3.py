"""Stable-Baselines3: the batch as a `VecEnv`, its ends, its seeds, and what a learner makes of the horizon."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from walks import AXES, PLANNERS, REST, WORK, all_scenarios, everything, mortal, random_actions

from kaizen_env import BatchEnv, PlannerEnv, Scenario
from kaizen_env.errors import DescriptionError

torch = pytest.importorskip("torch", reason="needs the extra `training`")
pytest.importorskip("stable_baselines3", reason="needs the extra `training`")

from stable_baselines3 import PPO  # noqa: E402
from stable_baselines3.common.env_checker import check_env  # noqa: E402
from stable_baselines3.common.evaluation import evaluate_policy  # noqa: E402
from stable_baselines3.common.vec_env import VecCheckNan, VecMonitor, VecNormalize  # noqa: E402

from kaizen_env.envs.sb3 import BatchVecEnv, PlannerVecEnv  # noqa: E402

pytestmark = pytest.mark.filterwarnings("error")

SCENARIOS = all_scenarios()
GAMMA = 0.95


def constant() -> Scenario:
    """One company that sells one unit a period from its stock, whatever it orders: every reward is 1."""
    return Scenario.model_validate(
        {
            "name": "constant",
            "periods": 10,
            "replenishment": "quantity",
            "companies": [{"name": "shop", "initial_on_hand": 20}],
            "supply_links": [{"buyer": "shop", "lead_time": 0}],
            "market_links": [{"seller": "shop", "market": "all", "price": 1}],
            "markets": [{"name": "all", "demand": {"process": "constant", "mean": 1}}],
        }
    )


def array(observations: Any) -> np.ndarray:
    """What SB3's types allow to be more than an array."""
    assert isinstance(observations, np.ndarray)
    return observations


def values(model: Any, observations: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return model.policy.predict_values(torch.as_tensor(observations)).numpy()[:, 0]


def test_a_learner_looks_beyond_the_horizon() -> None:
    """Reward 1 in every period is worth 1 / (1 − γ) = 20 at the start and at the horizon of 10 periods alike.

    Seen to fail: without `TimeLimit.truncated` the value learnt is 4.8.
    """
    world = BatchVecEnv(BatchEnv(constant(), "static", worlds=16))
    model = PPO(
        "MlpPolicy",
        world,
        gamma=GAMMA,
        n_steps=20,
        batch_size=160,
        learning_rate=0.01,
        vf_coef=1.0,
        max_grad_norm=100.0,
        policy_kwargs={"net_arch": {"pi": [4], "vf": [16]}},
        seed=0,
        device="cpu",
    )
    model.learn(40 * 20 * 16)
    observations, infos = world.reset(), []
    learnt = []
    for period in range(10):
        learnt.append(values(model, array(observations)))
        observations, rewards, dones, infos = world.step(world.batch.single_action_space.sample()[None].repeat(16, 0))
        assert np.array_equal(rewards, np.ones(16, dtype=np.float32))
        assert dones.all() == (period == 9)
    learnt.append(values(model, np.stack([info["terminal_observation"] for info in infos])))
    np.testing.assert_allclose(learnt, 1 / (1 - GAMMA), rtol=0.02)


@pytest.mark.parametrize("axes", PLANNERS)
@pytest.mark.parametrize("name", SCENARIOS)
def test_the_checks_of_stable_baselines3_pass(name: str, axes: str) -> None:
    """Seen to fail: an action space in double precision; truncation as a NumPy number."""
    check_env(PlannerEnv(SCENARIOS[name], AXES[axes], periods=30))


def test_rows_are_worlds_and_companies() -> None:
    """Row w · companies + c is company c in world w: observations, actions, rewards and infos, with the types of SB3.

    Seen to fail: rows by company first; actions laid out the other way; dones as numbers.
    """
    batch, twin = (BatchEnv(everything(), "kaizen2", worlds=3, periods=5) for _ in range(2))
    world = VecCheckNan(BatchVecEnv(batch), raise_exception=True)
    assert world.num_envs == 18
    assert world.observation_space is batch.single_observation_space
    assert world.action_space is batch.single_action_space
    world.seed(7)
    observations = world.reset()
    wanted, _ = twin.reset(seed=7)
    rng = np.random.default_rng(0)
    for period in range(1, 8):
        assert array(observations).dtype == np.float32
        assert np.array_equal(array(observations), wanted.reshape(18, -1))
        actions = random_actions(twin, rng)
        observations, rewards, dones, infos = world.step(actions.reshape(18, -1))
        wanted, paid, died, _, told = twin.step(actions)
        assert (rewards.dtype, dones.dtype) == (np.float32, np.bool_)
        np.testing.assert_array_equal(rewards, paid.reshape(18).astype(np.float32))
        assert dones.tolist() == (died | (period == 5)).reshape(18).tolist()
        assert len(infos) == 18
        for row, info in enumerate(infos):
            assert info["network_profit"] == told["network_profit"][row // 6]
            assert all(type(value) is float for key, value in info.items() if key not in ENDS)


ENDS = ("terminal_observation", "TimeLimit.truncated")


def test_ends_are_told_apart() -> None:
    """In `mortal` company 2 of world 0 is bankrupt in period 4, company 3 of world 1 in the last one.

    Bankrupt: done, not truncated. Horizon: done, truncated, and the last observation beside the first of the next
    episode. Bankrupt before: no reward, and done again at the horizon, not truncated.

    Seen to fail: truncated whenever the horizon is there; the first observation of the next episode as the last one;
    the keys on every row.
    """
    batch, twin = (BatchEnv(mortal(), "isolated", worlds=2) for _ in range(2))
    world = BatchVecEnv(batch)
    world.seed(3)
    start = world.reset()
    _, told = twin.reset(seed=3)
    history = []
    for t in range(6):
        actions = np.tile(REST, (2, 3, 1))
        if t >= 1:
            actions[0, 1] = WORK
        if t >= 3:
            actions[1, 2] = WORK
        history.append(world.step(actions.reshape(6, 2)))
        told = twin.step(actions)[4]
    done = [np.flatnonzero(dones).tolist() for _, _, dones, _ in history]
    assert done == [[], [], [], [1], [], [0, 1, 2, 3, 4, 5]]
    for t, (observations, _, dones, infos) in enumerate(history):
        for row, info in enumerate(infos):
            assert all((key in info) == dones[row] for key in ENDS)
            if dones[row]:
                assert type(info["TimeLimit.truncated"]) is bool
                assert info["TimeLimit.truncated"] == (t == 5 and row not in (1, 5))
                if t < 5:
                    assert np.array_equal(info["terminal_observation"], observations[row])
    last = told["final_observation"].reshape(6, -1)
    observations, _, _, infos = history[-1]
    assert np.array_equal(np.stack([info["terminal_observation"] for info in infos]), last)
    assert np.array_equal(observations, start)  # demand is constant, so that episodes begin alike
    assert not np.array_equal(last, start)
    assert [rewards_of[1][1] for rewards_of in history] == [0.0] + [pytest.approx(-1.0)] * 3 + [0.0, 0.0]
    alive = batch.feature_names.index("alive")
    assert last[:, alive].tolist() == [1.0, 0.0, 1.0, 1.0, 1.0, 0.0]


def test_seeds_are_taken_once() -> None:
    """`seed` fixes the next reset; resets after it go on with seeds that follow from it.

    Seen to fail: `_reset_seeds()` left out; the seed not passed on.
    """
    batch = BatchEnv("serial", "isolated", worlds=2, periods=3)
    world = BatchVecEnv(batch)
    assert list(world.seed(5)) == [5, 6, 7, 8, 9, 10]
    first = world.reset()
    assert batch.seeds == [5, 6]
    second = world.reset()
    assert not np.array_equal(first, second)
    world.seed(5)
    assert np.array_equal(world.reset(), first)
    assert np.array_equal(world.reset(), second)
    assert len(world.reset_infos) == 6
    assert set(world.reset_infos[0]) == set(world.step(np.zeros((6, 1)))[3][0])


def test_one_policy_per_company() -> None:
    """The rows of one company; the others act by 0, or by the policies that are given, and see what they are shown.

    Seen to fail: the actions of the first row for the company; `others` given the observations of the next period.
    """
    seen: list[np.ndarray] = []

    def others(observations: np.ndarray) -> np.ndarray:
        seen.append(observations)
        return np.tanh(observations[..., :1]) * np.ones(len(full.action_names))

    for policy in (None, others):
        full = BatchEnv(everything(), "kaizen2", worlds=2, periods=4)
        world = BatchVecEnv(BatchEnv(everything(), "kaizen2", worlds=2, periods=4), company="maker_4", others=policy)
        assert world.num_envs == 2
        world.seed(2)
        mine, (all_see, _) = world.reset(), full.reset(seed=2)
        rng = np.random.default_rng(1)
        for _ in range(6):
            assert np.array_equal(array(mine), all_see[:, 3])
            actions = np.zeros((2, 6, len(full.action_names))) if policy is None else others(all_see)
            actions[:, 3] = rng.uniform(-1, 1, actions[:, 3].shape)
            mine, rewards, dones, infos = world.step(actions[:, 3])
            assert policy is None or np.array_equal(seen[-1], all_see)
            all_see, paid, died, _, told = full.step(actions)
            assert np.array_equal(rewards, paid[:, 3].astype(np.float32))
            over = "final_observation" in told
            assert np.array_equal(dones, died[:, 3] | over)
            if over:
                last = np.stack([info["terminal_observation"] for info in infos])
                assert np.array_equal(last, told["final_observation"][:, 3])


@pytest.mark.parametrize("company", [None, "maker_4"])
def test_codes_of_companies_and_the_state(company: str | None) -> None:
    """What the twin shows, then 1 at the company's own place, then the true state: of the end too, when it is over.

    Seen to fail: the state of the next episode's start at the horizon; codes by world; the state of world 0 for all.
    """
    batch, twin = (BatchEnv(everything(), "kaizen2", worlds=3, periods=4) for _ in range(2))
    twin.auto_reset = False
    world = BatchVecEnv(batch, company=company, company_code=True, state=True)
    rows, features = len(world.rows), len(batch.feature_names)
    assert world.seen == features + 6
    assert world.observation_space.shape == (world.seen + twin.global_state_space.shape[0],)
    world.seed(4)
    observations, (shown, _) = array(world.reset()), twin.reset(seed=4)

    def check(seen: np.ndarray) -> None:
        by_row = seen.reshape(3, rows, -1)
        assert seen.dtype == np.float32
        assert np.array_equal(by_row[..., :features], shown[:, world.rows])
        assert np.array_equal(by_row[..., features : world.seen], np.tile(np.eye(6)[world.rows], (3, 1, 1)))
        state = twin.global_state()
        assert not np.array_equal(state[0], state[1])
        assert np.array_equal(by_row[..., world.seen :], np.repeat(state[:, None], rows, axis=1))

    check(observations)
    for period in range(1, 5):
        actions = np.zeros((3, 6, len(batch.action_names)))
        actions[:, world.rows] = np.linspace(-1, 1, 3 * rows).reshape(3, rows, 1)
        observations, _, dones, infos = world.step(actions[:, world.rows].reshape(3 * rows, -1))
        shown = twin.step(actions)[0]
        assert dones.all() == (period == 4)
        check(np.stack([info["terminal_observation"] for info in infos]) if dones.all() else array(observations))
    first, state = array(observations), batch.global_state()
    assert np.array_equal(first[:, world.seen :], np.repeat(state, rows, axis=0))
    assert not np.array_equal(state, batch.global_state(ended=True))


def test_infos_are_shared_until_a_row_is_done() -> None:
    """A learner may write into the info of a row that is done, and writes into no other.

    Seen to fail: `terminal_observation` written into the info that the rows of a world share.
    """
    world = BatchVecEnv(BatchEnv("serial", worlds=2, periods=2))
    world.reset()
    shared = world.step(np.zeros((6, 1)))[3]
    assert shared[0] is shared[2]
    assert shared[0] is not shared[3]
    last = world.step(np.zeros((6, 1)))[3]
    assert len({id(info) for info in last}) == 6


@pytest.mark.parametrize("axes", PLANNERS)
@pytest.mark.parametrize("state", [False, True])
def test_a_planner_in_many_worlds(axes: str, state: bool) -> None:
    """Row w is the `PlannerEnv` that was reset with the seed of world w, to the last bit; before the state, if asked.

    Seen to fail: the mean of rewards for their sum; all blocks of a network twin; actions by element first.
    """
    batch = BatchEnv(everything(), AXES[axes], worlds=2, periods=4)
    world = PlannerVecEnv(batch, state=state)
    alone = [PlannerEnv(everything(), AXES[axes], periods=4) for _ in range(2)]
    assert world.action_space == alone[0].action_space
    assert (world.observation_space == alone[0].observation_space) == (not state)
    elements = world.seen
    world.seed(8)
    observations = array(world.reset())
    wanted = [env.reset(seed=8 + w)[0] for w, env in enumerate(alone)]
    rng = np.random.default_rng(0)
    for period in range(1, 5):
        assert np.array_equal(observations[:, :elements], np.stack(wanted))
        assert not state or np.array_equal(observations[:, elements:], batch.global_state())
        actions = rng.uniform(-1, 1, (2, *(world.action_space.shape or ())))
        observations, rewards, dones, infos = world.step(actions)
        told = [env.step(action) for env, action in zip(alone, actions, strict=True)]
        wanted = [one[0] for one in told]
        np.testing.assert_allclose(rewards, [one[1] for one in told], rtol=1e-6)
        assert dones.tolist() == [one[2] or one[3] for one in told] == [period == 4] * 2
    for w, info in enumerate(infos):
        assert np.array_equal(info["terminal_observation"][:elements], wanted[w])
        assert info["TimeLimit.truncated"] is True
        assert info["network_profit"] == pytest.approx(told[w][4]["network_profit"])


def test_a_planner_without_companies_is_done() -> None:
    """In `mortal` all go bankrupt in period 4 of world 0: done then, not truncated, idle, done again at the horizon.

    Seen to fail: done with the first company that goes; truncated at the horizon though all are gone; rewards after.
    """
    costly = [company.model_copy(update={"holding_cost": 1e-3}) for company in mortal().companies]  # also when bankrupt
    world = PlannerVecEnv(BatchEnv(mortal(), "super_enterprise", worlds=2, companies=costly))
    world.seed(3)
    world.reset()
    for episode in range(2):
        for t in range(6):
            actions = np.tile(REST, (2, 3, 1))
            if t >= 1:
                actions[0, 1] = WORK
            if t >= 2:
                actions[0] = WORK
            _, rewards, dones, infos = world.step(actions.reshape(2, -1))
            assert dones.tolist() == [t in (LAST, 5), t == 5], (episode, t)
            assert (rewards[0] == 0) == (t > LAST)
            for row, info in enumerate(infos):
                assert ("TimeLimit.truncated" in info) == dones[row]
            if dones[0]:
                assert infos[0]["TimeLimit.truncated"] is False
        assert infos[1]["TimeLimit.truncated"] is True


LAST = 4  # period in which the last company of world 0 goes


@pytest.mark.parametrize("company", [None, "company_2"])
def test_learners_learn_and_companies_may_die_on_the_way(company: str | None) -> None:
    """Two rollouts with the wrappers that people use, over many ends of both kinds; and an evaluation.

    Seen to fail: `render_mode` set after `VecEnv.__init__`, which warns.
    """
    batch = BatchEnv(mortal(), "isolated", worlds=4)
    world = VecNormalize(VecMonitor(BatchVecEnv(batch, company=company)), gamma=GAMMA)
    model = PPO("MlpPolicy", world, n_steps=16, batch_size=32, n_epochs=2, seed=0, device="cpu")
    model.learn(2 * 16 * world.num_envs)
    assert all(torch.isfinite(p).all() for p in model.policy.parameters())
    lengths = {episode["l"] for episode in model.ep_info_buffer or ()}
    assert 6 in lengths
    assert max(lengths) == 6
    returns, _ = evaluate_policy(model, world, n_eval_episodes=4, deterministic=True)
    assert np.isfinite(returns)


def test_attributes_and_methods_of_the_batch_are_found() -> None:
    """Seen to fail: attributes of the first row only."""
    world = BatchVecEnv(BatchEnv("serial", worlds=2))
    assert world.get_attr("horizon") == [100] * 6
    assert world.get_attr("render_mode", indices=[0, 3]) == [None, None]
    assert world.has_attr("action_names")
    assert not world.has_attr("colour")
    assert world.env_method("describe", indices=0) == [world.batch.describe()]
    world.set_attr("mark", 3)
    assert world.get_attr("mark", 0) == [3]
    assert world.env_is_wrapped(VecMonitor, [0, 1]) == [False, False]  # type: ignore[arg-type]
    world.close()


def test_what_does_not_fit_is_refused() -> None:
    """Seen to fail: an unknown company taken for the last one; no check of `auto_reset`."""
    with pytest.raises(ValueError, match="auto_reset=True"):
        BatchVecEnv(BatchEnv("serial", auto_reset=False))
    with pytest.raises(ValueError, match=r"company 'retail' is not in the network; .*factory, wholesaler, retailer"):
        BatchVecEnv(BatchEnv("serial"), company="retail")
    with pytest.raises(DescriptionError, match="one agent per company; use BatchVecEnv"):
        PlannerVecEnv(BatchEnv("serial", "isolated"))
    with pytest.raises(DescriptionError, match="give twin_lag and twin_noise"):
        PlannerVecEnv(BatchEnv("serial", "super_enterprise", shared_twin_lag=1))
    begun = BatchEnv("serial")
    begun.reset(seed=1)
    with pytest.raises(RuntimeError, match="no episode has ended yet"):
        begun.global_state(ended=True)
    world = BatchVecEnv(BatchEnv("serial", worlds=2))
    world.seed(0)
    world.reset()
    bad = np.zeros((6, 1))
    bad[4] = np.nan
    with pytest.raises(ValueError, match=r"wholesaler in world 1: element 0 \('order'\) is NaN"):
        world.step(bad)
    assert world.batch.t == 0
