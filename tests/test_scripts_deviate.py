"""scripts/deviate.py: every company tried under every contract, from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import experimenting
import pytest

from agents.experiments.unit import read_table

pytest.importorskip("torch", reason="torch is not installed: pip install 'kaizen-env[training]'")

deviate = experimenting.module("deviate")

CONFIG: dict[str, Any] = {
    "scenario": {"scenario": "team", "periods": 4},
    "companies": ["company_1", "company_2"],
    "regime": "kaizen2",
    "policy": {"name": "pathwise", "options": {"worlds": 1, "iterations": 2, "hidden": [2]}},
    "deviation": {"iterations": 3, "constant_rate": 0.3},
    "contracts": {
        "none": {},
        "whole": {"gain_share": [{"shares": {f"company_{i}": 1}} for i in (1, 2)]},
    },
    "evaluation": {"worlds": 2},
    "seeds": [0, 1],
    "tensorboard": False,
}


def test_a_run_and_its_resumption(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Gains are those of the evaluations in common luck; resumed, nothing is done again and all is the same.

    Seen to fail: the gain of the profits of all.
    """
    config, out = experimenting.written(tmp_path, CONFIG), tmp_path / "out"
    assert deviate.main([str(config), "--output", str(out)]) == 0
    said = experimenting.read_json(out / "summary.json")
    assert set(said["contracts"]) == {"none", "whole"}
    assert said["contracts"]["none"]["pays_for"] == ["company_1", "company_2"]  # effort that nobody is paid for
    rows = read_table(out / "deviations.csv")
    assert list(rows["company"]) == ["company_1", "company_2"] * 2
    assert (out / "deviations.png").stat().st_size > 5000
    folder = next((out / "none").rglob("pathwise")).parent
    for place, company in enumerate(("company_1", "company_2")):
        before, after = (
            [
                float(read_table(folder / who / f"seed_{s}" / "evaluation.csv")[f"profit of {company}"][0])
                for s in (0, 1)
            ]
            for who in ("pathwise", next(f.name for f in folder.iterdir() if company in f.name))
        )
        assert float(rows["gain value"][place]) == pytest.approx((sum(after) - sum(before)) / 2)
    kept = experimenting.numbers(out)
    assert "leaving pays for company_1, company_2" in capsys.readouterr().out
    assert deviate.main([str(config), "--output", str(out)]) == 2
    (folder / "pathwise" / "seed_1" / "summary.json").unlink()
    assert deviate.main([str(config), "--output", str(out), "--resume"]) == 0
    assert experimenting.numbers(out) == kept


def test_learning_on_for_the_network_is_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At the best effort of all, leaving gains; learning on for the network gains nothing, and is no leaving.

    Seen to fail: with the control paid its own profit.
    """
    options = {"worlds": 1, "iterations": 60, "hidden": [2], "constant_rate": 0.3, "learning_rate": 1e-9}
    data = CONFIG | {"contracts": {"none": {}}, "control": True, "policy": {"name": "pathwise", "options": options}}
    data |= {"companies": ["company_1"], "deviation": {"iterations": 10}, "seeds": [0]}
    assert deviate.main([str(experimenting.written(tmp_path, data)), "--output", str(tmp_path / "out")]) == 0
    told = experimenting.read_json(tmp_path / "out" / "summary.json")["contracts"]["none"]
    leaving, learning = told["companies"]
    assert (leaving["company"], learning["company"]) == ("company_1", "company_1, for all")
    assert leaving["pays"]
    assert not learning["pays"]
    assert leaving["network_loss"]["value"] > 0.01
    assert abs(learning["network_loss"]["value"]) < 0.01 * leaving["network_loss"]["value"]  # 60 steps are not the end
    difference = leaving["gain"]["value"] - learning["gain"]["value"]
    assert leaving["beyond_learning_on"]["value"] == pytest.approx(difference)
    assert "gain of leaving beyond that of learning on" in capsys.readouterr().out


def test_what_cannot_be_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is begun, with the place and the mend. Seen to fail: without the check of companies."""
    shared = {"name": "pathwise", "options": {"shared": True}}
    for change, said in (
        ({"contracts": {"half": {"gain_share": [{"shares": {"company_1": 0.5}}]}}}, "shares sum to 0.5; they must sum"),
        ({"contracts": {"odd": {"gain_share": [{"shares": {"company_1": 1.5}}]}}}, "shares.company_1"),
        ({"contracts": {"odd": {"gain_share": [{"shares": {"company_9": 1}}]}}}, "contracts.odd: "),
        ({"companies": ["company_9"]}, "companies: there is no company 'company_9'"),
        ({"closing": True}, "closing: there is no twin to close"),
        ({"policy": "order_up_to"}, "policy: got order_up_to"),
        ({"policy": shared}, "policy: got pathwise with shared: true"),
        ({"material": -1}, "material"),
    ):
        config = experimenting.written(tmp_path, CONFIG | change)
        assert deviate.main([str(config), "--output", str(tmp_path / "out")]) == 2, change
        assert said in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
    config = experimenting.written(tmp_path, CONFIG)
    assert deviate.main([str(config), "--dry-run"]) == 0
    assert "and 8 units that begin with what those have learnt" in capsys.readouterr().out
