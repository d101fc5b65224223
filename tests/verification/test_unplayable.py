"""A result that the model cannot play costs its own row of a file; what is broken costs the file."""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path
from typing import Any

import pytest
from test_runner import EOQ, written

from kaizen_env.description import Company
from kaizen_env.verification import bullwhip, inventory_game, runner
from kaizen_env.verification.results import Result, Unplayable, played

TREE = [[0, 1], [1, 2], [2, 3]]
SPREAD = {"graph": "line", "edges": TREE, "seed": [0], "threshold": 0.5, "final_adopters": [0, 1, 2, 3], "steps": 3}
CORE = {"graph": "line", "edges": TREE, "k": 1, "max_equilibrium_adopters": [0, 1, 2, 3]}
LOOP = [[0, 1], [1, 1]]
BASE_STOCK = {"parameters": {"h": 1, "p": 4, "pmf": {"0": 0.4, "2": 0.4, "3": 0.2}}, "S_star": 2, "cost_star": 1.6}
SERIAL = {
    "parameters": {
        "echelon_holding_cost": [2],
        "lead_time": [1],
        "stockout_cost_stage1": 9,
        "demand": {"type": "normal", "mean": 4, "sd": 2},  # too often below 0: one row, skipped at once
    },
    "optimal_echelon_base_stock": [7],
    "C_star_exact": 10,
}
CAPITAL = {"gamma": 0.9, "delta": 0.2, "share": 0.5, "v": 0.7, "c": 0.5, "e_closed": 2.25, "x_steady": None}
CAPITAL["e_closed"] = 0.5 * 1.4 * 0.9 / (1 - 0.9 * 0.8)
POLICY = {"by_stage": [34.0, 38.0, 42.0, 44.0], "total": 158.0, "peak": [12.0, 8.0, 8.0, 8.0]}
BOARD = {"weeks": 36, "initial_inventory": 12, "pipeline_initial": 4, "holding": 0.5, "backlog": 1.0}


def beer_game(averages: list[str], view: str = "shared_twin_echelon_position") -> dict[str, Any]:
    results = {average: {"shared_twin_echelon_position": POLICY} for average in averages[:1]}
    results |= {average: {view: POLICY} for average in averages[1:]}
    return {
        "parameters": BOARD | {"shipping_delay_weeks": 2},
        "results": {"order_up_to_local_vs_shared": {"results": results}},
    }


def months(*half_lives: float) -> dict[str, Any]:
    return {f"process {i}": {"half_life_months": h, "reduction_per_month": 0.5} for i, h in enumerate(half_lives)}


def equilibrium(lead_time: float, share: float) -> dict[str, Any]:
    return {
        "parameters": {"lam": 5, "L1": lead_time, "L2": 1, "h1_local": 2, "h2_local": 1, "p": 15},
        "optimal_local_base_stock": {"s1": 9, "s2": 5},
        "C_star": 15.6,
        "nash": [{"retailer_share": share, "nash_local_base_stock": [{"s1": 9, "s2": 5, "total": 15.6, "ratio": 1}]}],
    }


# Good rows and one that the model cannot play; how many rows are skipped; the reason.
FILES: dict[str, tuple[dict[str, Any], int, str]] = {
    "bullwhip, i.i.d.": (
        {
            "iid_table": [
                {"L": 1, "p": 4, "decentral_exact_z0": 1 + 1 / 2 + 1 / 8},
                {"L": 20, "p": 1, "stages": 3, "decentral_exact_z0": bullwhip.own_forecasts([20] * 3, 1)},
                {"L": 2, "p": 4, "decentral_exact_z0": 1 + 1 + 1 / 2},
            ]
        },
        2,  # the cell, and the same with random demand
        "cut at 0",
    ),
    "bullwhip, AR(1)": (
        {
            "ar1_table": [
                {"L": 1, "p": 1, "rho": 0.5, "exact_z0": 3.0},
                {"L": [20, 20, 20], "p": 1, "rho": 0.5, "exact_z0": 3.0},
                {"L": 1, "p": 1, "rho": 0.5, "exact_z0": 3.0},
            ]
        },
        1,
        "cut at 0",
    ),
    "bullwhip, smoothed": (
        {"exp_smoothing_table": [{"L": x, "alpha": 0.5, "exact_z0": 7 / 3} for x in (1, [40, 40, 40], 1)]},
        1,
        "cut at 0",
    ),
    "single node": (
        {
            "instances": [
                *EOQ["instances"],
                BASE_STOCK | {"parameters": BASE_STOCK["parameters"] | {"lead_time": 1.5}},
                *EOQ["instances"],
            ]
        },
        1,
        "lead_time: 1.5; the check plays whole periods",
    ),
    "kaizen, reductions": ({"half_life": months(1, 0, 1)}, 1, "half_life"),
    "kaizen, matrix": (
        {"half_life": {"memory": {"matrix_months_rows_org_low_med_high_cols_tech_low_med_high": [[1, 0], [3, 1]]}}},
        1,
        "half_life",
    ),
    "kaizen, backsliding": (
        {
            "half_life": {},
            "forgetting": {
                "examples": [{"half_life_months": h, "delta_month": 0, "w_inf_over_w0": 0.0} for h in (1, 0, 1)]
            },
        },
        1,
        "half_life",
    ),
    "adoption, Bass": (
        {
            "granovetter": [],
            "bass": [{"p": p, "q": 0.4, "discrete_map_period1": {"1": p}} for p in (0.03, -0.1, 0.02)],
        },
        1,
        "innovation",
    ),
    "adoption, crowds": (
        {
            "granovetter": [
                {"mean": 0.25, "sd": sd, "final_N100_quantile_thresholds": n, "final_fraction_infinite": x}
                for sd, n, x in ((0.1, 1, 0.007695512701891928), (0, 0, 0), (0.1, 1, 0.007695512701891928))
            ]
        },
        1,
        "standard deviation of 0",
    ),
    "adoption, thresholds": (
        {"granovetter": [], "network_threshold": [SPREAD, SPREAD | {"edges": LOOP, "final_adopters": [0]}, SPREAD]},
        1,
        "company 0001",
    ),
    "adoption, cores": ({"kcore": [CORE, CORE | {"edges": LOOP}, CORE]}, 1, "company 0001"),
    "beer game, average": (beer_game(["MA1", "ES1"]), 1, "no 'ES1'"),
    "beer game, view": (beer_game(["MA1", "MA2"], "seen_by_the_moon"), 1, "no view 'seen_by_the_moon'"),
}
TEAM: dict[str, tuple[dict[str, Any], int, str]] = {
    "additive": (
        {
            "additive": [
                {"N": 2, "share": share, "e_nash": 2 * share * 0.7, "welfare_ratio": share * (2 - share)}
                for share in (0.5, 0.75, 0.25)
            ]
        },
        1,
        "share",
    ),
    "edge": (
        {
            "additive": [],
            "edge": [{"share_each": 0.3, "e_social": e, "e_nash": 0.3 * e, "welfare_ratio": 0.51} for e in (0.7, 0, 1)],
        },
        1,
        "no effort to choose",
    ),
    "dynamic": ({"additive": [], "dynamic": [CAPITAL, CAPITAL | {"gamma": 1, "delta": 0}, CAPITAL]}, 1, "gains fade"),
}


def skipped(rows: list[Result], number: int, reason: str) -> None:
    """So many rows are skipped for this reason, with a name; there are others, and all of them pass."""
    found = [row for row in rows if row.skipped]
    assert len(found) == number
    assert all(reason in row.skipped and "\n" not in row.skipped and row.name for row in found)
    assert all(row.passed for row in rows)
    assert len(rows) > number


@pytest.mark.parametrize("kind", FILES)
def test_what_the_model_cannot_play_costs_its_own_row(tmp_path: Path, kind: str) -> None:
    """Seen to fail: with each of these the whole file was unusable (the crowds ended the run by a division by zero),
    but for the view, which was played as another.
    """
    data, number, reason = FILES[kind]
    skipped(runner.check_file(written(tmp_path, data)), number, reason)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="slopes need PyTorch")
@pytest.mark.parametrize("kind", TEAM)
def test_a_game_that_the_model_cannot_play_costs_its_own_row(tmp_path: Path, kind: str) -> None:
    """Seen to fail: with each of these the whole file was unusable (`dynamic` ended the run by a division by zero)."""
    data, number, reason = TEAM[kind]
    skipped(runner.check_file(written(tmp_path, {"parameters": {"v": 0.7, "c": 0.5, "A": 1}} | data)), number, reason)


SERIES = [
    ({"lead_time": [0]}, "lead_time: 0; the check plays whole periods from 1 on"),
    ({"lead_time": [1.5]}, "lead_time: 1.5; the check plays whole periods from 1 on"),
    ({"demand": {"type": "gamma", "mean": 4}}, "demand.type: found 'gamma'"),
]


@pytest.mark.parametrize("change, reason", SERIES)
def test_a_serial_system_that_the_model_cannot_play_costs_its_own_row(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    """Seen to fail: with each of these the whole file was unusable."""
    other = copy.deepcopy(SERIAL)
    other["parameters"] |= change
    rows = runner.check_file(written(tmp_path, {"instances": [SERIAL, other, SERIAL]}))
    assert [reason in row.skipped for row in rows] == [False, True, False]


def test_an_inventory_game_that_the_model_cannot_play_costs_its_own_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An instance without transit time; an equilibrium at a share that no contract has.

    Seen to fail: with a share of 1.5 the whole file was unusable.
    """
    for name in ("COST_SIZE", "DEVIATION_SIZE"):
        monkeypatch.setattr(inventory_game, name, (20, 20))
    data = {"instances": [equilibrium(1, 0.5), equilibrium(0, 0.5), equilibrium(1, 1.5)]}
    rows = runner.check_file(written(tmp_path, data))
    found = [row for row in rows if row.skipped]
    assert ["one period between companies" in found[0].skipped, "share" in found[1].skipped] == [True, True]
    assert len(found) == 2
    assert "at retailer's share 1.5" in found[1].name
    assert sum("cost at the optimum" in row.name for row in rows if not row.skipped) == 2


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"kcore": [CORE, CORE | {"k": "two"}]}, r"kcore\[1\].k: found 'two'; a number"),
    ({"kcore": [CORE, CORE | {"edges": [[0]]}]}, r"kcore\[1\].edges\[0\]: found a list of 1; a pair"),
    ({"kcore": [], "network_threshold": [SPREAD | {"seed": [9]}]}, r"seed: found a list of 1; companies from 0 to 3"),
    ({"kcore": [], "bass": [{"p": 0.1, "q": 0.1, "F": {"x": 1}}]}, r"bass\[0\].F: the key 'x' is not a whole"),
    ({"half_life": {"a": {"half_life_months": "x", "reduction_per_week": 1}}}, "a.half_life_months: found 'x'"),
    ({"results": {}, "parameters": BOARD | {"shipping_delay_weeks": "two"}}, "shipping_delay_weeks: found 'two'"),
    ({"instances": [equilibrium(1, 0.5) | {"C_star": "x"}]}, r"instances\[0\].C_star: found 'x'; a number"),
    ({"stages_upstream_to_downstream": [], "totals": {"throughput_days": 0, "processing_hours": 3}}, "above 0"),
    ({"additive": [{"N": 2, "share": 0.5}], "parameters": {"v": 0, "c": 1}}, "parameters.v: found 0; a number above"),
    ({"additive": [{"N": "2", "share": 0.5}], "parameters": {"v": 1, "c": 1}}, r"additive\[0\].N: found '2'"),
]


@pytest.mark.parametrize("data, message", BROKEN, ids=range(len(BROKEN)))
def test_what_is_broken_is_refused_by_its_place(tmp_path: Path, data: dict[str, Any], message: str) -> None:
    """A mistake in a file is to be mended, and not to be skipped in silence, whatever other rows there are.

    Seen to fail: with values taken as they come, and refused without their place by what they broke.
    """
    if "additive" in data and importlib.util.find_spec("torch") is None:
        pytest.skip("slopes need PyTorch")
    with pytest.raises(runner.UnusableFile, match=message):
        runner.check_file(written(tmp_path, data))


def test_cases_are_played_together_unless_one_cannot_be() -> None:
    """Seen to fail: with all cases of a batch skipped; with errors of any kind taken for a limit of the model."""
    batches = []

    def play(cases: Any) -> list[Result]:
        batches.append(list(cases))
        if 3 in cases:
            raise Unplayable("three\nis too many")
        if 4 in cases:
            Company(name="company", holding_cost=-1)
        if 5 in cases:
            raise ValueError("a mistake")
        return [Result(f"case {case}", "", case, case, 0.0) for case in cases]

    def name(case: int) -> str:
        return f"case {case}"

    assert [row.verdict for row in played([1, 2], play, name, "")] == ["pass"] * 2
    assert batches == [[1, 2]]
    rows = played([1, 3, 2, 4], play, name, "")
    assert [row.name for row in rows] == ["case 1", "case 3", "case 2", "case 4"]
    assert [row.verdict for row in rows] == ["pass", "skipped", "pass", "skipped"]
    assert rows[1].skipped == "three; is too many"
    assert "holding_cost: got -1" in rows[3].skipped
    with pytest.raises(ValueError, match="a mistake"):
        played([1, 5], play, name, "")
