"""scripts/side_by_side.py: the numbers of finished comparisons in one table, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import experimenting
import pytest

side_by_side = experimenting.module("side_by_side")


def summary(folder: Path, dividend: float, steps: int) -> Path:
    said: dict[str, Any] = {
        "baseline": "isolated",
        "budget": {"isolated": [steps, steps], "kaizen2": [steps]},
        "window": {"periods": 52, "warm_up": 31, "tail": 48},
        "regimes": {"isolated": {"learner": {"value": -200.0}}},
        "effects": {
            "incentive": None,
            "dividend": {"value": dividend, "low": dividend - 1.0, "high": dividend + 1.0},
        },
    }
    folder.mkdir()
    (folder / "summary.json").write_text(json.dumps(said))
    return folder


def test_effects_are_shares_of_each_runs_own_baseline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Seen to fail: with the baseline of the first run; with its sign."""
    folders = [summary(tmp_path / "a", 2.0, 36), summary(tmp_path / "b", 3.0, 150)]
    assert side_by_side.main([str(folder) for folder in folders]) == 0
    printed = capsys.readouterr().out
    assert "+1.00 (+0.50 … +1.50)" in printed
    assert "+1.50 (+1.00 … +2.00)" in printed
    assert "31 + 52 + 48" in printed
    assert "incentive" not in printed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "there is no summary.json; finish it with scripts/compare.py --resume"),
        ("{", "is not that of a comparison"),
        ("{}", "is not that of a comparison"),
        ("[]", "is not that of a comparison"),
        ('{"effects": {}, "baseline": "isolated"}', "has no effects"),
    ],
)
def test_what_is_not_a_comparison_is_refused(
    tmp_path: Path, text: str | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        (tmp_path / "summary.json").write_text(text)
    assert side_by_side.main([str(tmp_path)]) == 2
    assert said in capsys.readouterr().err


def test_an_effect_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = summary(tmp_path / "a", 2.0, 36)
    assert side_by_side.main([str(folder), "--effect", "divident"]) == 2
    assert "did you mean 'dividend'?" in capsys.readouterr().err
