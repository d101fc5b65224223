"""Two copies of a network before one market: equal regimes keep equal shares, and each is the original again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agents.loading import make_policy
from agents.rollout import run
from kaizen_env import BatchEnv, DescriptionError, load_scenario

RIVALS: dict[str, Any] = {
    "rivals": {"scenario": "electric_car", "sensitivity": 0.005, "credit_days": 60, "periods": 40}
}
OWN: dict[str, Any] = {"twin": "group", "objective": "group"}


def episode(regime: Any = OWN, scenario: Any = None, policy: str = "worst_own_waste", **options: Any) -> Any:
    chosen = load_scenario(RIVALS if scenario is None else scenario)
    return run(make_policy(policy, **options), chosen, regime, [1, 2], record=("flows", "states"))


def test_alike_they_share_alike_and_each_is_the_original() -> None:
    """To the last bit of demand, and in profit; the shares stay one half however sharply customers choose.

    Seen to fail: with demand that is not doubled; with links of one copy that end in the other.
    """
    both = episode()
    single = run(make_policy("worst_own_waste"), "electric_car", "isolated", [1, 2], periods=40)
    blue, red = np.split(both.profit, 2)
    np.testing.assert_allclose(blue, red, rtol=1e-12)
    np.testing.assert_allclose(both.end_customer_value, 2.0 * single.end_customer_value, rtol=1e-9)
    np.testing.assert_allclose(blue, single.profit, rtol=1e-9)


def test_improving_draws_customers_in_the_mirror_too() -> None:
    """One takes hassle off, the other does nothing: its share of demand grows past one half, and mirrored it is the
    other's. Seen to fail: with a sensitivity of 0; with experience that counts for the rival."""
    courses = []
    for place, name in enumerate(("blue", "red")):
        env = BatchEnv(RIVALS, OWN, 2, auto_reset=False)
        env.reset(seeds=[1, 2])
        actions = np.zeros((2, env.companies, len(env.action_names)))
        actions[..., 1:] = -1.0
        improver = env.network.names.index(f"{name} delivery")
        actions[:, improver, env.action_names.index("effort_hassle")] = 1.0
        share = []
        for _ in range(40):
            env.step(actions)
            assert env.flows is not None
            demand = env.flows.arrivals[env.network.sale.market]
            share.append(demand[place] / demand.sum(axis=0))
        courses.append(np.array(share))
    np.testing.assert_allclose(courses[0], courses[1], rtol=1e-9)
    assert (np.diff(courses[0], axis=0) > -1e-12).all()
    np.testing.assert_allclose(courses[0][0], 0.5)
    assert (courses[0][-1] > 0.52).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ["blue", "blue"]}, "names: got"),
        ({"sensitivity": -1}, "sensitivity: got -1"),
        ({"credit_days": "many"}, "credit_days: got 'many'"),
        ({"scenario": "beer_game"}, "only processes with a mean"),
        ({"scenario": "team"}, "with contracts cannot be doubled"),
        ({"sensitvity": 1}, "sensitvity"),
    ],
)
def test_what_cannot_be_doubled_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DescriptionError, match=message):
        load_scenario({"rivals": {**RIVALS["rivals"], **changes}})
