"""scripts/own_pay.py: what it measures, by hand; a run, its repetition, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import experimenting
import pytest
from experimenting import written

own_pay = experimenting.module("own_pay")

LINE: dict[str, Any] = {
    "name": "line",
    "periods": 5,
    "warm_up_days": 1,
    "tail_days": 1,
    "companies": [{"name": "maker", "holding_cost": 0.1, "initial_on_hand": 9}, {"name": "shop", "initial_on_hand": 9}],
    "supply_links": [{"buyer": "maker", "lead_time": 1}],
    "trade_links": [{"seller": "maker", "buyer": "shop", "price": 2, "penalty": 0.5}],
    "market_links": [{"seller": "shop", "market": "town", "price": 9, "penalty": 1, "waiting_cost": 1}],
    "markets": [{"name": "town", "demand": {"process": "poisson", "mean": 5}}],
}


def row(step: int, reward: float, **variation: float) -> dict[str, Any]:
    rewards = [reward - 1.0, reward + 1.0, reward + 0.01 * step]  # of worlds that differ far more than trainings do
    return {"step": step, "reward": reward, "rewards": rewards, "value": 1.0, "variation": variation}


@pytest.mark.parametrize(
    ("late", "suspected"),
    [
        (row(4, 1.0, maker=0.3, shop=0.3), False),
        (row(4, 1.0, maker=0.3, shop=0.41), True),  # orders of the shop have doubled their variation
        (row(4, 0.9, maker=0.3, shop=0.3), True),  # all earn less than before
        (row(4, 0.98, maker=0.3, shop=0.3), False),  # within three standard errors of the differences
    ],
)
def test_a_verdict_by_hand(late: dict[str, Any], suspected: bool) -> None:
    """Seen to fail: with the first company for the one that grows most; with errors as if worlds were not common."""
    found = own_pay.verdict([row(1, 1.0, maker=0.2, shop=0.2), row(2, 5.0, maker=9, shop=9), late])
    assert found["suspected"] is suspected
    assert found["growth"] == pytest.approx(max(late["variation"].values()) / 0.2)


def test_orders_that_are_as_good_as_constant_do_not_double() -> None:
    found = own_pay.verdict([row(1, 1.0, maker=1e-6), row(4, 1.0, maker=0.04)])
    assert not found["suspected"]


def test_a_run_and_its_repetition(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file per scenario, which is not trained again. Seen to fail: always trained again."""
    pytest.importorskip("torch", reason="PyTorch is not installed")
    asked = [str(written(tmp_path, LINE, "line.yaml")), "--steps", "4", "--worlds", "2", "--output", str(tmp_path)]
    status = own_pay.main(asked)
    printed = capsys.readouterr().out
    (file,) = tmp_path.glob("line*.json")
    rows = json.loads(file.read_text())
    assert [r["step"] for r in rows] == [1, 2, 3, 4]  # each tenth, but at least a step
    assert set(rows[0]["variation"]) == {"maker", "shop"}
    assert "1 → 4" in printed
    assert all(len(line.rstrip()) <= 100 for line in printed.splitlines())
    before = file.stat().st_mtime_ns
    assert own_pay.main(asked) == status
    assert capsys.readouterr().out == printed
    assert file.stat().st_mtime_ns == before


def test_another_network_of_the_same_name_is_measured_itself(tmp_path: Path) -> None:
    """Seen to fail: with files by name alone."""
    pytest.importorskip("torch", reason="PyTorch is not installed")
    for price in (2, 3):
        link = LINE["trade_links"][0] | {"price": price}
        file = written(tmp_path, LINE | {"trade_links": [link]}, "line.yaml")
        own_pay.main([str(file), "--steps", "4", "--worlds", "2", "--output", str(tmp_path)])
    assert len(list(tmp_path.glob("line*.json"))) == 2


@pytest.mark.parametrize("steps", ["0", "3", "-3", "many"])
def test_steps_that_show_nothing_are_refused(steps: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        own_pay.main(["serial", "--steps", steps])
    assert "allowed: a whole number from 4 on" in capsys.readouterr().err


def test_an_output_that_is_a_file_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert own_pay.main(["serial", "--output", str(tmp_path / "file")]) == 2
    assert "cannot be used" in capsys.readouterr().err


def test_what_cannot_be_used_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert own_pay.main(["seriel"]) == 2
    assert "did you mean 'serial'?" in capsys.readouterr().err
