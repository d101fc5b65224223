"""The bullwhip: the orders that a simulated chain places are the filter of demand that the formulas say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from verdicts import failures

from kaizen_env.verification import bullwhip

REFERENCE = "bullwhip.json"


def test_reference_tables(reference: dict[str, Any]) -> None:
    """Seen to fail: with levels over the inventory instead of the echelon position where demand is shared; with a
    position that does not count what the seller still owes.
    """
    rows = bullwhip.check(reference)
    cells = [len(reference[name]) for name in bullwhip.TABLES]
    assert len(rows) == 3 * cells[0] + cells[1] + cells[2] + 8
    assert not failures(rows)


def test_builtin_formulas() -> None:
    """Also lead times that differ from stage to stage.

    Seen to fail: with a forecast a period late; with 1 % more ordered than the position lacks.
    """
    rows = bullwhip.builtin()
    assert len(rows) == 24
    assert not failures(rows)


def test_filter_of_two_stages_by_hand() -> None:
    """p = 2. Own forecasts, L = 1 twice: (1.5 − 0.5·B²)² = 2.25 − 1.5·B² + 0.25·B⁴, a period later at stage 2.
    Shared, L = 1 and 3: 1.5 − 0.5·B² at stage 1, 3 − 2·B² at stage 2, at once.

    Seen to fail: with the orders of a stage counted from the end of the chain; with the lead times in the opposite
    order where demand is shared.
    """
    own = bullwhip.filter_of(bullwhip.Cell((1.0, 1.0), window=2), shared=False)
    np.testing.assert_allclose(own[:6, 0], [1.5, 0, -0.5, 0, 0, 0], atol=1e-9)
    np.testing.assert_allclose(own[:6, 1], [0, 2.25, 0, -1.5, 0, 0.25], atol=1e-9)
    shared = bullwhip.filter_of(bullwhip.Cell((1.0, 3.0), window=2), shared=True)
    np.testing.assert_allclose(shared[:6, 0], [1.5, 0, -0.5, 0, 0, 0], atol=1e-9)
    np.testing.assert_allclose(shared[:6, 1], [3, 0, -2, 0, 0, 0], atol=1e-9)


def test_variance_ratio_of_correlated_demand_by_hand() -> None:
    """Coefficients 2, −1 at ρ = ½: 4 + 1 − 2·2·½ = 3.

    Seen to fail: with the correlation of neighbours only counted once.
    """
    assert bullwhip.variance_ratio(np.array([2.0, -1.0]), 0.5) == pytest.approx(3.0)
    assert bullwhip.variance_ratio(np.array([2.0, -1.0])) == 5.0


OWN = (49**2 + 42**2 + 9**2) / 16**2  # squares of the coefficients of (7/4 − 3/4·B⁴)²


@pytest.fixture
def exact_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without random demand."""
    monkeypatch.setattr(bullwhip, "MOST_SAMPLED", 0)


def cells() -> dict[str, Any]:
    return {
        "iid_table": [{"L": 3, "p": 4, "stages": 2, "decentral_exact_z0": OWN, "central_exact_sum": 8.5}],
        "ar1_table": [{"L": 1, "p": 1, "rho": 0.5, "exact_z0": 3.0}],
        "exp_smoothing_table": [{"L": 1, "alpha": 0.5, "exact_z0": 1 + 1 + 2 * 0.25 / 1.5}],
    }


@pytest.mark.usefixtures("exact_only")
def test_other_cells() -> None:
    """Two stages with own and with shared forecasts, correlated demand, and an exponential forecast.

    Seen to fail: with an exponential forecast that starts anew from the mean in every period.
    """
    assert not failures(bullwhip.check(cells()))


@pytest.mark.usefixtures("exact_only")
@pytest.mark.parametrize("table, key", [("iid_table", "central_exact_sum"), ("ar1_table", "exact_z0")])
def test_a_wrong_cell_is_found(table: str, key: str) -> None:
    """Seen to fail: with a tolerance of 1 % for the exact ratio."""
    data = cells()
    data[table][0][key] *= 1.001
    assert len(failures(bullwhip.check(data))) == 1


@pytest.mark.parametrize("ratio", [1.0, 0.0])
def test_a_wrong_ratio_fails_with_random_demand_too(ratio: float) -> None:
    """Random demand is as wide as the chain allows, whatever the file expects of it.

    Seen to fail: with demand as wide as the expected ratio allows (L = 1000 as 1: an order cut at 0; 0: a division by
    zero), which made the file unusable.
    """
    table = {"iid_table": [{"L": 1000, "p": 4, "decentral_exact_z0": ratio}]}
    rows = bullwhip.check(table)
    assert [row.verdict for row in rows] == ["FAIL", "FAIL"]


BROKEN: list[tuple[Any, str]] = [
    (lambda d: d.clear(), "at least one of the tables iid_table"),
    (lambda d: d.update(iid_table=3), "iid_table: found 3; a list"),
    (lambda d: d["iid_table"][0].pop("L"), r"iid_table\[0\]: the key 'L' is required"),
    (lambda d: d["iid_table"][0].update(L=[1, 2, 3]), r"iid_table\[0\].L: found a list of 3; one lead time"),
    (lambda d: d["iid_table"][0].update(p=0), r"iid_table\[0\].p: found 0; .* at least 1"),
    (lambda d: d["ar1_table"][0].update(rho=1), r"rho: found 1; a correlation above -1 and below 1"),
    (lambda d: d["exp_smoothing_table"][0].update(alpha=1.5), "alpha: found 1.5; a number from 0.001 to 1"),
    (lambda d: d["exp_smoothing_table"][0].pop("alpha"), "'alpha' is required"),
]


@pytest.mark.usefixtures("exact_only")
@pytest.mark.parametrize("spoil, message", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_table_is_refused_by_its_place(spoil: Any, message: str) -> None:
    """Seen to fail: with a correlation of 1 taken (the ratio is then 1 for every filter)."""
    data = cells()
    spoil(data)
    with pytest.raises(ValueError, match=message):
        bullwhip.check(data)


def test_orders_that_are_cut_are_no_filter() -> None:
    """Seen to fail: with the orders returned whatever they are."""
    demand = np.full((60, 1), bullwhip.MEAN)
    demand[40] = 0.0
    with pytest.raises(ValueError, match="cut at 0"):
        bullwhip.orders_placed(bullwhip.Cell((4.0, 4.0), window=2), False, demand)
