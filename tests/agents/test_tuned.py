"""`tuned`: known optima, whose reward is tuned for, and a training that was stopped."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from agents.loading import load_policy, make_policy, save_policy
from agents.policy import Policy, PolicyError
from agents.rollout import run
from agents.search import Search
from agents.training import Log, Task
from agents.tuned import Tuned

REFERENCE = Path(__file__).parents[2].parent / "shared" / "reference" / "single_node.json"
LEVELS = {"levels": {"low": 0.0, "high": 1.0, "times": "largest_order"}}


class Effort(Policy):
    """Constant effort on the first waste: one number, or one per company."""

    def __init__(self, effort: float | list[float] = 0.0, deep: Mapping[str, Any] | None = None) -> None:
        self.effort = np.array(effort if deep is None else deep["effort"])

    def act(self, observations: np.ndarray) -> np.ndarray:
        return self.setting.actions(order=0.5, effort_hassle=self.effort)


EFFORT = f"{__file__}:Effort"


def trained(task: Task, seed: int = 0, log: Log | None = None, **options: Any) -> Tuned:
    policy = make_policy("tuned", **options)
    assert isinstance(policy, Tuned)
    policy.train(task, seed, log or Log())
    return policy


def newsvendor(given: Mapping[str, Any]) -> dict[str, Any]:
    mean = float(given["mu"])
    return {
        "name": "newsvendor",
        "periods": 100,
        "companies": [{"name": "shop", "holding_cost": given["h"], "initial_on_hand": mean}],
        "supply_links": [{"buyer": "shop", "lead_time": 1}],
        "market_links": [{"seller": "shop", "market": "all", "penalty": given["p"]}],
        "markets": [{"name": "all", "demand": {"process": "normal", "mean": mean, "sd": given["sd"]}}],
    }


def test_a_newsvendor_finds_its_level() -> None:
    """Snyder & Shen (2019), example 4.3: the level that is found costs the known optimum within 1 %, exactly.

    Seen to fail: with values told with the wrong sign.
    """
    if not REFERENCE.is_file():
        pytest.skip(f"{REFERENCE.name} is not in the folder `shared` beside the repository")
    reference = json.loads(REFERENCE.read_text(encoding="utf-8"))
    instance = next(i for i in reference["instances"] if i["name"] == "newsvendor_normal_ex4_3")
    given = instance["parameters"]
    task = Task.of(newsvendor(given), "isolated")
    tuned = trained(task, rule="order_up_to", parameters=LEVELS, generations=12, rounds=1, worlds=16)
    tuned_run = run(tuned, task.scenario, "isolated", [1])
    level = tuned.rules[0].options["levels"][0]
    z = (level - given["mu"]) / given["sd"]
    short = given["sd"] * (NormalDist().pdf(z) - z * (1 - NormalDist().cdf(z)))
    cost = given["h"] * (level - given["mu"] + short) + given["p"] * short
    assert instance["cost_star"] <= cost + 1e-9
    assert cost <= 1.01 * instance["cost_star"]
    assert np.isfinite(tuned_run.reward).all()


def test_objectives_decide_for_whom_it_tunes() -> None:
    """The effort game of two: v / (N · c) for oneself, v / c for all (Holmstrom 1982), within 5 %.

    Seen to fail: with all parameters searched at once for the sum of rewards, whatever the regime pays.
    """
    for regime, best in (("isolated", 0.25), ("kaizen2", 0.5), ({"objective": "network", "alignment": 0.0}, 0.25)):
        task = Task.of({"team": {"companies": 2}}, regime, periods=5)
        effort = {"effort": {"low": 0, "high": 1, "start": 0.9, "per_company": True}}
        tuned = trained(task, rule=EFFORT, parameters=effort, generations=25, rounds=1, worlds=1)
        run(tuned, task.scenario, regime, [0])
        # Of 5 periods the last earns nothing any more, but costs.
        np.testing.assert_allclose(tuned.rules[0].options["effort"], best * 4 / 5, rtol=0.05)


def test_a_number_for_all_is_one_per_player() -> None:
    """Also where the rule takes one number only, and within other options.

    Seen to fail: with the first's for all; with companies that take turns although all are paid for the same.
    """
    game = {"team": {"companies": 2}}
    effort = {"deep.effort": [0, 1]}
    tuned = trained(Task.of(game, "isolated", periods=5), rule=EFFORT, parameters=effort, generations=2, rounds=1)
    both = run(tuned, game, "isolated", [0], periods=5, record=("decisions",))
    assert both.trajectory is not None
    assert both.trajectory.decisions is not None
    assert len(tuned.rules) == 2
    own = [rule.options["deep"]["effort"] for rule in tuned.rules]
    np.testing.assert_allclose(both.trajectory.decisions.effort[0, 0, :, 0], own, rtol=1e-12)
    alike = trained(Task.of(game, "kaizen2", periods=5), rule=EFFORT, parameters=effort, generations=2)
    run(alike, game, "kaizen2", [0], periods=5)
    assert len(alike.rules) == 1


class Stopped(Exception):
    pass


@pytest.mark.parametrize("steps", [1, 4, 6, 9])
def test_a_stopped_training_ends_as_if_it_had_not(steps: int, tmp_path: Path) -> None:
    """To the last bit, whatever the generation, also where one search ends and the next begins.

    Seen to fail: with a resumed search that is not told its past; with the past of the search before.
    """
    task = Task.of({"team": {"companies": 2}}, "isolated", periods=5)
    options: dict[str, Any] = {"rule": EFFORT, "parameters": {"effort": [0, 1]}}
    options |= {"generations": 3, "rounds": 2, "worlds": 2}
    whole = Log()
    expected = trained(task, 7, whole, **options)

    def stop(step: int, total: int, numbers: Mapping[str, float]) -> None:
        assert total == 12
        if step == steps + 1:
            raise Stopped

    with pytest.raises(Stopped):
        trained(task, 7, Log(tmp_path, progress=stop), **options)
    log = Log(tmp_path, resume=True)
    got = trained(task, 7, log, **options)
    assert expected.found is not None
    np.testing.assert_array_equal(got.found, expected.found)
    assert log.rows == whole.rows
    other = trained(task, 8, **options)
    assert (other.found != expected.found).any()


def test_a_search_leaves_the_global_stream_alone() -> None:
    """And follows from its key alone. Seen to fail: with cma's own seed; with the first candidate for the centre."""
    before = np.random.get_state()[1]  # noqa: NPY002
    first, second = (Search(np.array([0.3, 0.7]), 0.2, None, (3, 4), np.empty((0, 0))) for _ in range(2))
    np.testing.assert_array_equal(first.ask(), second.ask())
    np.testing.assert_allclose(first.centre, [0.3, 0.7])
    assert (Search(np.array([0.3, 0.7]), 0.2, None, (3, 5), np.empty((0, 0))).ask() != first.ask()).any()
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert ((first.ask() >= 0) & (first.ask() <= 1)).all()


def test_it_is_saved_with_what_it_found(tmp_path: Path) -> None:
    task = Task.of("serial", "aligned", periods=20)
    tuned = trained(task, rule="order_up_to", parameters=LEVELS, generations=2, worlds=2)
    save_policy(tuned, tmp_path, task.env())
    again = load_policy(tmp_path, task.env())
    first, second = (run(p, task.scenario, task.regime, [1, 2], record=("decisions",)) for p in (tuned, again))
    assert first.trajectory is not None
    assert second.trajectory is not None
    assert first.trajectory.decisions is not None
    np.testing.assert_array_equal(first.trajectory.decisions.order, second.trajectory.decisions.order)
    pickle.loads(pickle.dumps(tuned))
    with pytest.raises(PolicyError, match="tuned for 3 companies, here are 10"):
        run(again, "cola", "aligned", [0])


def test_what_cannot_be_tuned_is_said() -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"rule": "static"}, "nothing to tune in 'static'"),
        ({"rule": "order_up_to", "parameters": {"levels": 3}}, r"parameters: levels: got 3; allowed: \[low, high\]"),
        ({"rule": "order_up_to", "parameters": {"levels": {"lo": 1}}}, "unknown key 'lo'; did you mean 'low'"),
        ({"rule": "order_up_to", "parameters": {"levels": [2, 1]}}, "must rise"),
        ({"rule": "order_up_to", "parameters": {"levels": {"low": 0}}}, "levels.high: got None"),
        (
            {"rule": "order_up_to", "parameters": {"levels": {"low": 0, "high": 1, "times": "flow"}}},
            "times: got 'flow'",
        ),
        ({"rule": EFFORT, "parameters": {"effort": [0, 1]}, "worlds": 0}, "worlds: got 0"),
        ({"rule": EFFORT, "parameters": {"effort": [0, 1]}, "population": 1}, "population: got 1"),
    ]
    for options, words in cases:
        with pytest.raises(PolicyError, match=words):
            make_policy("tuned", **options)
    with pytest.raises(PolicyError, match="not been tuned yet"):
        run(make_policy("tuned", rule=EFFORT, parameters={"effort": [0, 1]}), "team", "isolated", [0])
