"""`members`: who opens, with whom it works, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agents.loading import make_policy
from agents.policy import PolicyError
from agents.rollout import run
from kaizen_env import Scenario, load_scenario

MEMBERS = {"twin": "members"}


def pair(**link: Any) -> Scenario:
    """Two companies with nothing to improve but the freight between them."""
    return Scenario.model_validate(
        {
            "name": "pair",
            "periods": 60,
            "companies": [{"name": "maker", "initial_on_hand": 20}, {"name": "shop", "initial_on_hand": 20}],
            "supply_links": [{"buyer": "maker", "lead_time": 0}],
            "trade_links": [{"seller": "maker", "buyer": "shop", "price": 2, "freight": 3, **link}],
            "market_links": [{"seller": "shop", "market": "town", "price": 9}],
            "markets": [{"name": "town", "demand": {"process": "constant", "mean": 5}}],
            "wastes": [{"name": "handling", "channel": "freight", "half_life": 10}],
        }
    )


def levels(members: list[str] | None) -> np.ndarray:
    episode = run(make_policy("members", members=members), pair(), MEMBERS, [0], record=("states",))
    assert episode.trajectory is not None
    assert episode.trajectory.states is not None
    return episode.trajectory.states.link_waste[:, 0, 1, 0]  # of the purchase from the maker


def test_two_work_jointly_where_both_are_open() -> None:
    """Full teams of both halve the waste in ten periods; one open twin alone takes nothing off.

    Seen to fail: with partners that work in the dark.
    """
    both = levels(None)
    assert both[0] == both[1] == 1.0  # nobody sees anybody in the first period
    assert both[12] / both[2] == pytest.approx(0.5, abs=1e-6)
    for alone in (["maker"], ["shop"], []):
        assert (levels(alone) == 1.0).all()


def test_it_remembers_what_the_twin_does_not_show() -> None:
    """Where nobody else works on a link, the level that both ends reckon with is the true one, slides included.

    Seen to fail: without what slides back.
    """
    scenario = pair().changed(
        wastes=[{"name": "handling", "channel": "freight", "half_life": 10, "backsliding": 0.01, "floor": 0.2}]
    )
    policy: Any = make_policy("members")
    episode = run(policy, scenario, MEMBERS, [0], record=("states",))
    assert episode.trajectory is not None
    assert policy.level[0, 1, 0] == pytest.approx(episode.trajectory.final.link_waste[0, 1, 0])


def test_openness_is_what_is_asked_for() -> None:
    """In the electric car's chain all could open, and those do that are named."""
    names = [company.name for company in load_scenario("electric_car").companies]
    episode = run(
        make_policy("members", members=["pack", "cells"]), "electric_car", MEMBERS, [0], record=("states",), periods=9
    )
    assert episode.trajectory is not None
    open_ = [names[i] for i in np.flatnonzero(episode.trajectory.final.open_twin[:, 0])]
    assert open_ == ["cells", "pack"]


@pytest.mark.parametrize(
    ("regime", "options", "message"),
    [
        ("kaizen2", {}, "twin: network, control: company is not what this policy is for"),
        (MEMBERS, {"members": ["asembly"]}, "there is no company 'asembly'; did you mean 'assembly'"),
        (MEMBERS, {"members": "assembly"}, "a list of names"),
    ],
)
def test_refusals(regime: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        run(make_policy("members", **options), "electric_car", regime, [0], periods=2)
