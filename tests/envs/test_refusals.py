"""Bad input: one clear error, which names the agent and the element, and an environment that is as it was before."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from walks import REST, WORK, everything, mortal

from kaizen_env import BatchEnv, DescriptionError, PlannerEnv, env, load_scenario, parallel_env
from kaizen_env.envs import KaizenParallelEnv

pytestmark = pytest.mark.filterwarnings("error")

Actions = dict[str, Any]
NAN = float("nan")


def refused(world: Any, call: Callable[[], Any], kind: type[Exception], *wanted: str) -> None:
    """The call raises `kind` with all of `wanted` in one line, and the world is the same to the last bit."""
    before = pickle.dumps(world)
    with pytest.raises(kind) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert [part for part in wanted if part not in message] == [], message
    assert pickle.dumps(world) == before


def in_mid_episode() -> KaizenParallelEnv:
    """`mortal` after three periods, with its second company bankrupt."""
    world = parallel_env(mortal(), {"twin": "network", "twin_noise": 0.1, "shared_twin_lag": 1})
    world.reset(seed=4)
    for _ in range(3):
        world.step({"company_1": REST, "company_2": WORK, "company_3": REST})
    assert world.agents == ["company_1", "company_3"]
    return world


GOOD: Actions = {"company_1": REST, "company_3": REST}
BAD_ACTIONS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "NaN": (GOOD | {"company_3": np.array([0.0, NAN])}, ("'company_3'", "element 1 ('effort_hassle')", "NaN")),
    "NaN in a list": (GOOD | {"company_1": [NAN, 0.0]}, ("'company_1'", "element 0 ('order')", "NaN")),
    "too short": (GOOD | {"company_1": np.zeros(1)}, ("'company_1'", "shape (1,)", "(2,)", "order, effort_hassle")),
    "two rows": (GOOD | {"company_1": np.zeros((1, 2))}, ("'company_1'", "shape (1, 2)")),
    "a number": (GOOD | {"company_3": 0.5}, ("'company_3'", "shape ()")),
    "None": (GOOD | {"company_3": None}, ("'company_3'", "shape ()")),
    "text": (GOOD | {"company_3": ["much", "little"]}, ("'company_3'", "much", "numbers")),
    "ragged": (GOOD | {"company_3": [[1.0], 2.0]}, ("'company_3'", "numbers")),
    "missing": ({"company_1": REST}, ("no action for agent 'company_3'",)),
    "none at all": ({}, ("no action for agent 'company_1'",)),
    "dead": (GOOD | {"company_2": REST}, ("'company_2'", "bankrupt", "company_1, company_3")),
    "unknown": (GOOD | {"company_33": REST}, ("unknown agent 'company_33'", "did you mean 'company_3'")),
    "no mapping": (np.zeros((2, 2)), ("ndarray", "mapping")),
    "nothing": (None, ("NoneType", "mapping")),
}


@pytest.mark.parametrize("bad", BAD_ACTIONS)
def test_agents_are_told_what_is_wrong_and_nothing_has_happened(bad: str) -> None:
    """Seen to fail: actions checked one by one while the period runs; NaN clipped to a number; the clip counted before
    the check; an unknown agent ignored."""
    world = in_mid_episode()
    actions, wanted = BAD_ACTIONS[bad]
    refused(world, lambda: world.step(actions), ValueError, *wanted)
    untouched = in_mid_episode()
    for got, expected in zip(world.step(GOOD), untouched.step(GOOD), strict=True):
        for name in GOOD:
            assert np.array_equal(got[name], expected[name])


def test_agents_in_turn_are_told_at_once() -> None:
    """The agent that gives a bad action is refused, not the last one of the period.

    Seen to fail: PettingZoo's own conversion, which refuses when the last agent has acted, and then for good.
    """
    turns = env(mortal(), "isolated")
    turns.reset(seed=0)
    for bad, wanted in (
        (np.array([0.0, NAN]), ("'company_1'", "'effort_hassle'", "NaN")),
        (np.zeros(3), ("'company_1'", "shape (3,)")),
        (None, ("'company_1'", "shape ()")),
    ):
        refused(turns, lambda bad=bad: turns.step(bad), ValueError, *wanted)
    for _ in range(3):
        for action in (REST, WORK, REST):
            turns.step(action)
    assert turns.agent_selection == "company_2"  # bankrupt, to take its leave
    refused(turns, lambda: turns.step(REST), ValueError, "'company_2'", "step(None)")
    turns.step(None)
    assert turns.agents == ["company_1", "company_3"]
    with pytest.raises(AssertionError, match="reset"):
        env(mortal()).step(REST)


def test_a_batch_is_told_the_world_the_company_and_the_element() -> None:
    """Seen to fail: actions of another shape broadcast; NaN let through."""
    batch = BatchEnv(everything(), "kaizen2", worlds=3)
    batch.reset(seed=0)
    good = np.zeros((3, 6, len(batch.action_names)))
    batch.step(good)
    bad = good.copy()
    bad[1, 4, 2] = NAN
    wanted = ("shop_5", "world 1", "element 2 ('effort_queueing')", "NaN")
    refused(batch, lambda: batch.step(bad), ValueError, *wanted)
    for shape in ((6, 7), (1, 6, 7), (3, 6, 2), ()):
        wanted = (f"shape {shape}", f"allowed: {good.shape}", "worlds × companies × elements")
        refused(batch, lambda shape=shape: batch.step(np.zeros(shape)), ValueError, *wanted)
    refused(batch, lambda: batch.step("all of it"), ValueError, "type str", "numbers")  # type: ignore[arg-type]


def test_a_planner_is_told_too() -> None:
    """Seen to fail: no check of the shape; the seed given to Gymnasium first."""
    world = PlannerEnv(everything())
    world.reset(seed=0)
    elements = len(world.action_names)
    good = np.zeros(elements)
    world.step(good)
    bad = good.copy()
    bad[3] = NAN
    refused(world, lambda: world.step(bad), ValueError, "mine_1", "element 3 ('effort_hassle')", "NaN")
    refused(world, lambda: world.step(np.zeros(3)), ValueError, "shape (3,)", f"({elements},)")
    refused(world, lambda: world.step({"mine_1": 1}), ValueError, "type dict", "numbers")  # type: ignore[arg-type]
    wrong: list[Any] = [1.5, "1", True]
    for seed in wrong:
        refused(world, lambda seed=seed: world.reset(seed=seed), ValueError, f"seed {seed!r}", "whole number")
    world.reset(seed=np.int64(3))  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match=r"before reset; call reset\(seed"):
        PlannerEnv(everything()).step(good)


@pytest.mark.parametrize("seed", [1.0, "1", True, [1], float("nan")])
def test_a_seed_is_a_whole_number(seed: Any) -> None:
    """Seen to fail: seeds turned into text for the stream without a check; True taken for 1."""
    world = in_mid_episode()
    refused(world, lambda: world.reset(seed=seed), ValueError, f"seed {seed!r}", "whole number")
    turns = env(mortal())
    turns.reset(seed=1)
    with pytest.raises(ValueError, match="whole number"):
        turns.reset(seed=seed)
    batch = BatchEnv(mortal(), worlds=2)
    batch.reset(seed=1)
    refused(batch, lambda: batch.reset(seed=seed), ValueError, f"seed {seed!r}")
    refused(batch, lambda: batch.reset(seeds=[1, seed]), ValueError, f"seed {seed!r}")
    refused(batch, lambda: batch.reset(seeds=[1]), ValueError, "1 seeds for 2 worlds")
    assert batch.seeds == [1, 2]


def test_numpy_integers_are_seeds() -> None:
    """Seen to fail: `isinstance(seed, int)` alone."""
    one, other = parallel_env("serial"), parallel_env("serial")
    first, second = one.reset(seed=5)[0], other.reset(seed=np.int32(5))[0]  # type: ignore[arg-type]
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_a_step_needs_an_episode() -> None:
    """Seen to fail: `agents` filled before the reset; no check of the horizon in the batch."""
    world = parallel_env(mortal(periods=2))
    refused(world, lambda: world.step(GOOD), RuntimeError, "no agent is left", "reset()")
    refused(world, world.state, RuntimeError, "before reset")
    batch = BatchEnv(mortal(periods=2), auto_reset=False)
    refused(batch, lambda: batch.step(np.zeros((1, 3, 2))), RuntimeError, "before reset", "reset(seed=")
    world.reset(seed=0)
    batch.reset(seed=0)
    for _ in range(2):
        world.step(dict.fromkeys(world.agents, REST))
        batch.step(np.tile(REST, (1, 3, 1)))
    refused(world, lambda: world.step({}), RuntimeError, "no agent is left", "reset()")
    refused(batch, lambda: batch.step(np.tile(REST, (1, 3, 1))), RuntimeError, "2 periods is over", "reset()")


CHAIN = {
    "name": "long",
    "companies": [{"name": f"company_{i:02}"} for i in range(65)],
    "supply_links": [{"buyer": f"company_{i:02}"} for i in range(65)],
    "market_links": [{"seller": f"company_{i:02}", "market": "all"} for i in range(65)],
    "markets": [{"name": "all", "demand": {"process": "constant", "mean": 1}}],
}


@pytest.mark.parametrize("twin", ["network", "group", "members"])
def test_large_networks_have_no_network_twin(twin: str) -> None:
    """64 companies are shown, 65 are not; the error says which twins do. Seen to fail: a bound of 65."""
    with pytest.raises(DescriptionError, match=r"65 are too many \(at most 64\); choose twin: echelon or twin: neigh"):
        parallel_env(CHAIN, {"twin": twin})
    fewer = CHAIN | {key: CHAIN[key][:64] for key in ("companies", "supply_links", "market_links")}
    assert len(parallel_env(fewer, {"twin": twin}).possible_agents) == 64
    for other in ("own", "neighbours", "echelon"):
        assert len(parallel_env(CHAIN, {"twin": other}).possible_agents) == 65


REFUSED: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "unknown keyword": (
        lambda: parallel_env("serial", alignement=0.5),
        ("unknown keyword 'alignement'", "did you mean 'alignment'"),
    ),
    "keyword of nothing": (lambda: BatchEnv("serial", colour="red"), ("unknown keyword 'colour'", "twin, objective")),
    "unknown regime": (lambda: env("serial", "kaizen"), ("no regime 'kaizen'", "kaizen2", "super_enterprise")),
    "near regime": (lambda: PlannerEnv("serial", "super_entreprise"), ("did you mean 'super_enterprise'",)),
    "unknown scenario": (lambda: parallel_env("serail"), ("no built-in scenario 'serail'", "did you mean 'serial'")),
    "impossible axis": (lambda: parallel_env("serial", alignment=2.0), ("regime: alignment", "2")),
    "impossible field": (lambda: BatchEnv("serial", periods=0), ("periods", "0")),
    "half a period": (lambda: BatchEnv("serial", periods=1.5), ("periods", "1.5")),
    "a planner among agents": (
        lambda: parallel_env("serial", "super_enterprise"),
        ("control: planner", "kaizen_env.PlannerEnv"),
    ),
    "agents for a planner": (lambda: PlannerEnv("serial", "kaizen2"), ("control: company", "kaizen_env.parallel_env")),
    "a shared twin for a planner": (
        lambda: PlannerEnv("serial", shared_twin_lag=1),
        ("shared_twin_lag", "give twin_lag and twin_noise"),
    ),
    "no worlds": (lambda: BatchEnv("serial", worlds=0), ("worlds: got 0", "from 1 on")),
    "half a world": (lambda: BatchEnv("serial", worlds=1.5), ("worlds: got 1.5",)),  # type: ignore[arg-type]
    "unknown picture": (lambda: parallel_env("serial", render_mode="ascii"), ("'ascii'", "did you mean 'ansi'")),
    "cascade of quantities": (
        lambda: parallel_env("serial", replenishment="quantity", ordering="cascade"),
        ("cascade goes only with order-up-to",),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_when_the_environment_is_made(case: str) -> None:
    """Seen to fail: keywords of scenarios taken for those of regimes; unknown ones ignored."""
    make, wanted = REFUSED[case]
    with pytest.raises(DescriptionError) as caught:
        make()
    assert "\n" not in str(caught.value)
    assert [part for part in wanted if part not in str(caught.value)] == [], str(caught.value)


def test_keywords_change_scenario_and_regime() -> None:
    """Seen to fail: the scenario's own fields lost when one is changed."""
    world = parallel_env("cola", "kaizen2", periods=9, alignment=0.5, order_max=2.0)
    assert world.batch.regime.alignment == 0.5
    assert world.batch.scenario == load_scenario("cola").changed(periods=9, order_max=2.0)
    assert load_scenario("cola").periods == 730
