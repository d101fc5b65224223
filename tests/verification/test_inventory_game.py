"""The inventory game through the running model and its contract."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from verdicts import failures

from kaizen_env.verification import inventory_game

REFERENCE = "inventory_game.json"


def only(reference: dict[str, Any], share: float) -> dict[str, Any]:
    """The first instance of the file, with the equilibria at one share."""
    instance = copy.deepcopy(reference["instances"][0])
    instance["nash"] = [case for case in instance["nash"] if case["retailer_share"] == share]
    return reference | {"instances": [instance]}


def test_costs_of_both_firms_by_convolution() -> None:
    """Seen to fail: with the penalty borne by the retailer alone; with goods under way held at the buyer's expense;
    with simultaneous ordering.
    """
    rows = inventory_game.builtin()
    assert len(rows) == 9
    assert not failures(rows)


@pytest.mark.slow
def test_every_equilibrium_of_the_file(reference: dict[str, Any]) -> None:
    """Seen to fail: with the shares of retailer and supplier exchanged; with supply that takes a period longer."""
    rows = inventory_game.check(reference)
    assert len(rows) > 100
    assert not failures(rows)


def test_a_wrong_expectation_is_found(reference: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen to fail: with deviations of the retailer only; with a tolerance of thirty standard errors."""
    monkeypatch.setattr(inventory_game, "COST_SIZE", (200, 300))
    monkeypatch.setattr(inventory_game, "PRECISION", 0.01)
    right = only(reference, 0.3)
    assert not failures(inventory_game.check(right))
    for change in ({"total": 20.0}, {"ratio": 1.28}):
        wrong = copy.deepcopy(right)
        wrong["instances"][0]["nash"][0]["nash_local_base_stock"][0] |= change
        assert len(failures(inventory_game.check(wrong))) == 1
    # Not an equilibrium: the supplier would hold less, and the retailer more.
    wrong = copy.deepcopy(right)
    wrong["instances"][0]["nash"][0]["nash_local_base_stock"][0] |= {"s2": 9}
    assert any("supplier moving to" in line for line in failures(inventory_game.check(wrong)))


def test_goods_take_a_period_at_least(reference: dict[str, Any]) -> None:
    """An instance without transit time is no case of the model, and the table says so. Seen to fail: without that."""
    other = only(reference, 0.3)
    other["instances"][0]["parameters"]["L1"] = 0
    (row,) = inventory_game.check(other)
    assert row.skipped
