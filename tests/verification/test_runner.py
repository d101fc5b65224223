"""Files are recognised by what they hold, broken ones refused by name, and the script tells it all by its status."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from rich.console import Console

from kaizen_env.verification import bullwhip, clark_scarf, plain_loop, runner, single_node, traces
from kaizen_env.verification.results import Result, skip

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT.parent / "shared" / "reference"

EOQ = {
    "instances": [
        {
            "name": "order quantity",
            "parameters": {"K": 50, "h": 4, "demand_rate": 9},
            "Q_star": 15.0,
            "cost_star": 60.0,
        }
    ]
}
RIPPLE = {"ar1_table": [{"L": 1, "p": 1, "rho": 0.5, "exact_z0": 3.0}]}


def example() -> dict[str, Any]:
    return plain_loop.trace(plain_loop.EXAMPLE, plain_loop.EXAMPLE_DEMAND)


def written(folder: Path, data: Any, name: str = "results.json") -> Path:
    path = folder / name
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "data, name", [(example(), "plain loop"), (EOQ, "order quantity"), (RIPPLE, "bullwhip")], ids=["trace", "EOQ", "ρ"]
)
def test_a_file_is_recognised_by_its_content(tmp_path: Path, data: dict[str, Any], name: str) -> None:
    """Whatever its name. Seen to fail: with traces left out of the kinds."""
    rows = runner.check_file(written(tmp_path, data))
    assert all(row.name.startswith(name) for row in rows)
    assert all(row.passed for row in rows)


def test_every_reference_file_has_its_check() -> None:
    """Seen to fail: with `results` no sign of a beer game; with serial systems known by `S_star`."""
    if not REFERENCE.is_dir():
        pytest.skip("there is no folder `shared/reference` beside the repository")
    found = {}
    for path in sorted(REFERENCE.glob("*.json")):
        check = runner._check_of(json.loads(path.read_text(encoding="utf-8")))
        found[path.stem] = check.__module__.rsplit(".", 1)[1]
    expected = {
        "adoption": "adoption",
        "beer_game": "beer_game",
        "bullwhip": "bullwhip",
        "clark_scarf_instances": "clark_scarf",
        "cola": "value_stream",
        "inventory_game": "inventory_game",
        "kaizen_calibration": "kaizen",
        "single_node": "single_node",
        "team_kaizen": "team",
    }
    assert found == expected | {path: "traces" for path in found if path.startswith("trace_")}


BROKEN: list[tuple[Any, str]] = [
    ("{", "not valid JSON, line 1, column 2"),
    ([1], "found list at the top"),
    ({}, r"no known kind of file: found the keys \(none\); known: trace \(trace\)"),
    ({"name": 1, "traces": []}, "found the keys name, traces; known: .*serial systems"),
    ({"instances": []}, "no known kind of file"),
    ({"instances": [{"name": "x"}]}, r"instances\[0\]: found name; known: .*inventory game \(nash\)"),
    ({"ar1_table": []}, "holds nothing to check"),
    ({"ar1_table": [{"L": 1}]}, r"ar1_table\[0\]: the key 'alpha' is required"),
    ({"half_life": 3}, "half_life|another form"),
    ({"results": {}}, "the key 'parameters' is required"),
]


@pytest.mark.parametrize("data, message", BROKEN, ids=range(len(BROKEN)))
def test_an_unusable_file_is_refused_by_name_and_place(tmp_path: Path, data: Any, message: str) -> None:
    """Seen to fail: with errors of the checks passed on as they are (no path of the file)."""
    path = written(tmp_path, data)
    with pytest.raises(runner.UnusableFile, match=message) as caught:
        runner.check_file(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """Seen to fail: with FileNotFoundError passed on."""
    with pytest.raises(runner.UnusableFile, match="there is no such file"):
        runner.check_file(tmp_path / "nothing.json")
    with pytest.raises(runner.UnusableFile, match="cannot be read"):
        runner.check_file(tmp_path)


def test_all_is_what_is_built_in_and_every_file_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen to fail: with the first file of the folder only."""
    monkeypatch.setattr(runner, "BUILTIN", {"one": lambda: [Result("one", "", 1, 1, 0)]})
    written(tmp_path, EOQ, "a.json")
    written(tmp_path, RIPPLE, "b.json")
    written(tmp_path, "no results", "notes.txt")
    assert [row.name.split(":")[0] for row in runner.check_all(tmp_path)] == [
        "one",
        *["order quantity"] * 3,
        "bullwhip, 1 stage, L=1, ρ=0.5, p=1",
    ]
    assert len(runner.check_all()) == 1


def test_every_module_brings_what_needs_no_file() -> None:
    """Seen to fail: with a module left out of the list."""
    ours = {traces.builtin, clark_scarf.builtin, single_node.builtin, bullwhip.builtin}
    assert ours <= set(runner.BUILTIN.values())
    modules = {check.__module__ for *_, check in [*runner.KINDS, *runner.INSTANCES]}
    assert {run.__module__ for run in runner.BUILTIN.values()} == modules


def verify(*arguments: Any) -> subprocess.CompletedProcess[str]:
    script = [sys.executable, str(ROOT / "scripts" / "verify.py"), *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(script, capture_output=True, text=True, check=False, env=env, encoding="utf-8")


@pytest.mark.parametrize(
    "factor, status, summary", [(1, 0, "3 reproduced, 0 FAILED"), (1.01, 1, "1 reproduced, 2 FAILED")]
)
def test_the_script_ends_with_status_1_where_a_result_fails(
    tmp_path: Path, factor: float, status: int, summary: str
) -> None:
    """The piped table is 120 wide, and every result has its verdict.

    Seen to fail: with status 0 always; with the width left to the library (80: verdicts cut).
    """
    data = json.loads(json.dumps(EOQ))
    data["instances"][0]["cost_star"] *= factor
    done = verify(written(tmp_path, data))
    assert done.returncode == status, done.stderr
    assert f"3 known results: {summary}, 0 skipped" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) == 120
    verdicts = [line.split()[-1] for line in done.stdout.splitlines() if line.rstrip().endswith(("pass", "FAIL"))]
    assert sorted(verdicts) == sorted(["pass"] * int(summary.split()[0]) + ["FAIL"] * int(summary.split()[2]))


def test_the_script_ends_with_status_2_for_an_unusable_file(tmp_path: Path) -> None:
    """One line on standard error for each; the others are checked all the same.

    Seen to fail: with the exception passed on (a traceback, status 1).
    """
    good, bad = written(tmp_path, EOQ), written(tmp_path, "{", "bad.json")
    done = verify(bad, good, tmp_path / "none.json")
    assert done.returncode == 2
    assert [line.split(": ")[0:3] for line in done.stderr.splitlines()] == [
        ["verify", str(bad), "not valid JSON, line 1, column 2"],
        ["verify", str(tmp_path / "none.json"), "there is no such file"],
    ]
    assert "3 known results: 3 reproduced" in done.stdout


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("verify", ROOT / "scripts" / "verify.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_fits_a_narrow_terminal(script: ModuleType) -> None:
    """100 columns hold every number and verdict whole; a source stands once, but beside every failure.

    Seen to fail: with numbers of 17 digits; with the source in every row; with names read as markup.
    """
    rows = [
        Result(
            "a long name of a result [bold] that takes more than a line", "Somebody (1999)", -1e-300 / 3, 1 / 3, 1e-9
        ),
        Result("second", "Somebody (1999)", 2 / 3e-9, 2 / 3e-9, 1e-9, bound="at_least"),
        Result("third", "Somebody (1999)", float("nan"), 1.0, 1e-9),
        skip("fourth", "Somebody else", "too long"),
    ]
    out = io.StringIO()
    Console(file=out, width=100).print(script.table([("a.json", rows)]))
    text = out.getvalue()
    assert max(len(line) for line in text.splitlines()) <= 100
    assert "…" not in text
    assert "[bold]" in text
    for number in ("-3.333333e-301", "0.3333333", "≥6.666667e+08", "nan", "1e-09"):
        assert f" {number} " in text
    assert [text.count(word) for word in ("FAIL", "pass", "skipped")] == [2, 1, 1]
    assert text.count("(1999)") == 2
    assert "(too long)" in " ".join(text.split())
    assert script.summary(rows) == "4 known results: 1 reproduced, 2 FAILED, 1 skipped"


def test_without_files_the_script_takes_what_is_built_in_and_the_folder(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seen to fail: with the folder looked for inside the repository; with `--builtin` ignored."""
    monkeypatch.setattr(runner, "BUILTIN", {"one": lambda: [Result("one", "", 1, 1, 0)]})
    assert script.REFERENCE == REFERENCE
    written(tmp_path, EOQ)
    monkeypatch.setattr(script, "REFERENCE", tmp_path)
    assert script.main([]) == 0
    assert "4 known results: 4 reproduced" in capsys.readouterr().out
    assert script.main(["--summary"]) == 0
    overview = capsys.readouterr().out
    assert "4 known results: 4 reproduced" in overview
    assert "results.json" in overview
    assert "order quantity: simulated" not in overview
    assert script.main(["--builtin"]) == 0
    assert "1 known results: 1 reproduced" in capsys.readouterr().out
    monkeypatch.setattr(script, "REFERENCE", tmp_path / "none")
    assert script.main([]) == 0
    assert "no folder shared/reference" in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        script.main(["--builtin", "x.json"])
    assert caught.value.code == 2
