"""Figures and profiles of a comparison: they show its numbers, are the same every time, and names stay names."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import experimenting
import matplotlib as mpl
import numpy as np
import pytest
from experimenting import LEARNER, POLICIES, contents, environment, written
from matplotlib.figure import Figure

from agents.experiments import comparison_files, figures
from agents.experiments.comparison import EFFECTS, Cell
from agents.experiments.learning import Curve, curves
from agents.experiments.statistics import performance_profile, thresholds
from kaizen_env.ledger import KINDS

compare = experimenting.module("compare")
COMPARISON: dict[str, Any] = {
    "scenario": {"scenario": "cola", "periods": 8},
    "policy": {"name": "walk.py:Walk", "options": {"steps": 50, "every": 50}},
    "rules": ["policies.py:Half"],
    "evaluation": {"worlds": 4},
    "seeds": [0, 1],
    "tensorboard": False,
}
ALL = ["effects", "learning", "muda", "parties", "profiles", "timeline", "values", "waste"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished comparison of all regimes."""
    place = tmp_path_factory.mktemp("figures")
    written(place, POLICIES, "policies.py")
    written(place, LEARNER, "walk.py")
    written(place, COMPARISON)
    assert compare.main([str(place / "config.yaml"), "--output", str(place / "run")]) == 0
    return place / "run"


def interval(value: float, half: float = 1.0) -> dict[str, Any]:
    return {"value": value, "low": value - half, "high": value + half, "shown": abs(value) > half}


def invented(regimes: list[str], companies: list[str], rule: str | None = "a rule", seeds: int = 2) -> dict[str, Any]:
    """A summary with regime i worth 100 + i, company k's change k − 5, and muda of 10 · (1 + i) transport."""
    rows = [
        [{"party": name, "change": None if i == 0 else interval(k - 5.0)} for k, name in enumerate(companies)]
        for i in range(len(regimes))
    ]
    rules = {} if rule is None else {rule: interval(90.0)}
    return {
        "scenario": "costs_$5$ or more",
        "policy": "a learner",
        "seeds": list(range(seeds)),
        "worlds": 3,
        "window": {"periods": 2, "warm_up": 1, "tail": 1},
        "baseline": regimes[0],
        "foresight": None,
        "regimes": {
            regime: {"learner": interval(100.0 + i), "rules": rules, "best_rule": rule}
            for i, regime in enumerate(regimes)
        },
        "terms": EFFECTS,
        "effects": {"information": interval(0.5), "incentive": None, "interaction": None, "dividend": interval(4.0)},
        "parties": {regime: {"rows": rows[i]} for i, regime in enumerate(regimes)},
        "lean": {
            regime: {"cost": {kind: 10.0 * (1 + i) * (kind in ("value_adding", "transport")) for kind in KINDS}}
            for i, regime in enumerate(regimes)
        },
    }


def invented_tables(
    said: dict[str, Any],
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], dict[str, list[Curve]]]:
    """Waste that falls faster in later regimes, value that rises with it, profiles from 1 to 0, and learning curves."""
    waste: dict[str, list[Any]] = {"regime": [], "policy": [], "seed": [], "period": [], "waste_remaining": []}
    profiles: dict[str, list[Any]] = {name: [] for name in ("regime", "policy", "threshold", "share", "low", "high")}
    learning = {}
    for i, regime in enumerate(said["regimes"]):
        for seed in said["seeds"]:
            for period in range(4):
                row = (
                    regime,
                    said["policy"],
                    str(seed),
                    str(period - 1),
                    str(1.0 - 0.01 * (1 + i) * period - 0.001 * seed),
                )
                for column, value in zip(waste.values(), row, strict=True):
                    column.append(value)
        for policy in (said["policy"], "a rule"):
            for threshold, share in enumerate((1.0, 0.5, 0.0)):
                row = (regime, policy, str(threshold), str(share), str(max(0, share - 0.1)), str(min(1, share + 0.1)))
                for column, value in zip(profiles.values(), row, strict=True):
                    column.append(value)
        steps = np.arange(1.0, 101.0)
        learning[regime] = [Curve(seed, "reward", steps, steps, np.sqrt(steps) + seed) for seed in said["seeds"]]
    value = [100.0 - 10.0 * float(left) for left in waste["waste_remaining"]]
    timeline = {
        **waste,
        "end_customer_value": value,
        "open_twins": [1.0] * len(value),
        "alive": waste["waste_remaining"],
    }
    return waste, timeline, profiles, learning


def test_a_profile_worked_by_hand() -> None:
    """Of 1, 2, 3 and 6 three exceed 1.5, two exceed 2 (itself not), none exceeds 6.

    Seen to fail: with ≥ for >; with the share below.
    """
    profile = performance_profile(np.array([[1.0, 2.0], [3.0, 6.0]]), np.array([0.0, 1.5, 2.0, 6.0]))
    assert profile.share.tolist() == [1.0, 0.75, 0.5, 0.0]
    assert (profile.low <= profile.share).all()
    assert (profile.share <= profile.high).all()
    assert (profile.low[0], profile.high[0], profile.low[-1], profile.high[-1]) == (1.0, 1.0, 0.0, 0.0)


def test_the_band_of_a_profile_is_that_of_theory() -> None:
    """Of a share p in n worlds: p ± 1.96 √(p (1 − p) / n); trainings that differ widen it.

    Seen to fail: with resamples of half as many worlds; without the part of the trainings.
    """
    worlds = np.random.default_rng(0).normal(size=(1, 400))
    profile = performance_profile(worlds, np.array([0.0, 1.0]))
    half = 1.96 * np.sqrt(profile.share * (1.0 - profile.share) / 400)
    np.testing.assert_allclose(profile.share - profile.low, half, rtol=0.12)
    np.testing.assert_allclose(profile.high - profile.share, half, rtol=0.12)
    apart = performance_profile(worlds + np.array([[-1.0], [0.0], [1.0]]), np.array([0.0]))
    assert apart.high[0] - apart.low[0] > 5 * half[0]


@pytest.mark.parametrize("values", [[3.0, 4.0, 13.0], [5.0, 5.0], [0.0], [-2.0]])
def test_thresholds_go_from_below_all_to_above_all(values: list[float]) -> None:
    """So a profile begins with 1 and ends with 0, and it does not rise. Seen to fail: from the least to the most."""
    numbers = [np.array([[value]]) for value in values]
    above = thresholds(numbers)
    assert above[0] < min(values)
    assert above[-1] > max(values)
    profile = performance_profile(np.array([values]), above)
    assert (profile.share[0], profile.share[-1]) == (1.0, 0.0)
    assert (np.diff(profile.share) <= 0.0).all()
    np.testing.assert_allclose(np.diff(above), above[1] - above[0], rtol=1e-9)


def test_the_profiles_of_a_run_are_those_of_its_evaluation(run: Path) -> None:
    """Counted from evaluation.csv. Seen to fail: with the rows of another regime; without the best rule."""
    with (run / "evaluation.csv").open(newline="") as opened:
        reached = [(r["regime"], r["policy"], float(r["end_customer_value"])) for r in csv.DictReader(opened)]
    with (run / "profiles.csv").open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert {(row["regime"], row["policy"]) for row in rows} == {(regime, policy) for regime, policy, _ in reached}
    for row in rows[::17]:
        values = [value for regime, policy, value in reached if (regime, policy) == (row["regime"], row["policy"])]
        share = np.mean([value > float(row["threshold"]) for value in values])
        assert float(row["share"]) == pytest.approx(share, abs=1e-12)


def test_a_run_has_its_figures_and_they_are_the_same_every_time(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Drawn again to the last bit, under whatever style the user has. Seen to fail: with a date in the file."""
    assert sorted(file.name for file in (run / "figures").iterdir()) == [f"{name}.png" for name in ALL]
    before = contents(run)
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "red", "lines.linewidth": 7}):
        assert compare.main([str(run / "config.yaml"), "--output", str(run), "--resume"]) == 0
    assert contents(run) == before
    assert capsys.readouterr().err.count("figures") == 0


def test_without_matplotlib_a_line_says_so(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing fails. Seen to fail: with the import at the head of the file."""
    monkeypatch.setattr(comparison_files, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "agents.experiments.figures", None)
    without = tmp_path / "without"
    shutil.copytree(run, without)
    shutil.rmtree(without / "figures")
    assert compare.main([str(run / "config.yaml"), "--output", str(without), "--resume"]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "figures" in line]
    assert told == ["figures are left out: they need matplotlib; pip install 'kaizen-env[pictures]'"]
    fresh = "import sys; sys.modules['matplotlib'] = None; import agents.experiments.comparison_files"
    assert subprocess.run([sys.executable, "-c", fresh], env=environment(), check=False).returncode == 0
    assert not (without / "figures").exists()
    assert (without / "summary.json").read_bytes() == (run / "summary.json").read_bytes()


@pytest.mark.parametrize("many", [1, 5, 12])
def test_names_stay_names(tmp_path: Path, many: int) -> None:
    """From one regime to a sweep, with 20 companies; `$`, `_`, letters that the font lacks, long names.

    Seen to fail: with `$` left as it is (matplotlib refuses `$\\frac$`); without the filter of warnings.
    """
    odd = ["_hidden", r"$\frac$ of $it$", "三", "a name that is so very long that nobody reads its end, number 1"]
    said = invented([f"regime {i}" for i in range(many - 1)] + odd[1:2], [*odd, *(f"firm {k}" for k in range(16))])
    if many == 12:
        regimes = dict(zip([*list(said["regimes"])[:-3], *odd[:1], *odd[2:]], said["regimes"].values(), strict=True))
        said = invented(list(regimes), [*odd, *(f"firm {k}" for k in range(16))], odd[1])
    drawn = figures.write_figures(tmp_path / "f", said, *invented_tables(said))
    assert sorted(path.stem for path in drawn) == [name for name in ALL if many > 1 or name != "parties"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(mpl.text.Text) if text.get_text()]  # type: ignore[attr-defined]


def test_figures_show_the_numbers() -> None:
    """Dots, lines and bars stand at what the summary says, and what is not shown says so.

    Seen to fail: low taken for the value; the smallest parties for the largest; kinds not on each other; the
    baseline's change drawn; the first training for all.
    """
    regimes = ["isolated", "transparent", "kaizen2"]
    said = invented(regimes, [f"firm {k}" for k in range(20)])
    waste, timeline, profiles, learning = invented_tables(said)

    axes: Any = figures.values(said).axes[0]  # type: ignore[union-attr]
    dots = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]
    assert dots == [100.0, 101.0, 102.0]
    assert [label.get_text() for label in axes.get_yticklabels()] == regimes
    assert list(axes.lines[0].get_xdata()) == [99.0, 101.0]

    drawn: Any = figures.effects(said)
    assert "no effect shown" in texts(drawn)
    assert "+4.00" in texts(drawn)
    assert len([line for line in drawn.axes[0].lines if line.get_marker() == "o"]) == 2
    assert list(drawn.axes[0].lines[0].get_xdata()) == [0.0, 0.0]

    drawn = figures.parties(said)
    assert [panel.get_title() for panel in drawn.axes] == regimes[1:]
    changes = [line.get_xdata()[0] for line in drawn.axes[0].lines if line.get_marker() == "o"]
    assert changes == [float(x) for x in (-5, -4, *range(5, 15))]  # of −5 … 14 the 12 largest, in their order
    assert "the 12 largest of 20 parties" in " ".join(texts(drawn))

    drawn = figures.muda(said)
    ends = [bar.get_x() + bar.get_width() for bar in drawn.axes[1].patches]
    assert ends == [10.0, 20.0, 30.0]
    said["lean"]["kaizen2"]["cost"]["defects"] = 5.0
    ends = [bar.get_x() + bar.get_width() for bar in figures.muda(said).axes[1].patches]  # type: ignore[union-attr]
    assert max(ends) == 35.0

    drawn = figures.waste_lines(said, waste)
    last = [line.get_ydata()[-1] for line in drawn.axes[0].lines]
    assert last == pytest.approx([1.0 - 0.03 * (1 + i) - 0.0005 for i in range(3)])

    drawn = figures.timelines(said, timeline)
    assert [panel.get_title() for panel in drawn.axes] == ["end-customer value per period", "companies alive"]
    last = [line.get_ydata()[-1] for line in drawn.axes[0].lines]
    assert last == pytest.approx([90.0 + 0.3 * (1 + i) + 0.005 for i in range(3)])

    drawn = figures.training(said, learning)
    assert [panel.get_title() for panel in drawn.axes] == regimes
    raw = [line.get_ydata() for line in drawn.axes[0].lines if len(line.get_ydata()) == 100]
    np.testing.assert_array_equal(raw, [curve.values for curve in learning["isolated"]])
    assert len(drawn.axes[0].lines) == 4  # each as it is, and smoothed

    lines: Any = figures.profile_lines(said, profiles).axes[0].lines  # type: ignore[union-attr]
    assert [list(line.get_ydata()) for line in lines] == [[1.0, 0.5, 0.0]] * 4
    assert len({line.get_color() for line in lines}) == 4


def test_what_would_show_nothing_is_left_out(tmp_path: Path) -> None:
    """Rules alone, one regime, a learner that came through nowhere. Seen to fail: an empty figure for each."""
    said = invented(["isolated"], ["shop"], None)
    said["effects"] = dict.fromkeys(said["effects"])
    waste, timeline, profiles, _ = invented_tables(said)
    drawn = figures.write_figures(tmp_path / "f", said, waste, timeline, profiles, {"isolated": []})
    assert [path.stem for path in drawn] == ["values", "profiles", "muda", "waste", "timeline"]
    said = invented(["isolated"], ["shop"]) | {"policy": "nobody", "lean": {}, "parties": {}, "baseline": None}
    said["regimes"]["isolated"]["learner"] = None
    said["effects"] = dict.fromkeys(said["effects"])
    drawn = figures.write_figures(tmp_path / "g", said, waste, timeline, profiles, {})
    assert [path.stem for path in drawn] == ["values"]


def test_a_curve_is_the_log_of_a_training(tmp_path: Path) -> None:
    """Its reward, or else its first number; steps that diverged are left out, and a log without rows is none.

    Seen to fail: the first column always; infinite rewards kept.
    """

    def curve(text: str) -> list[Curve]:
        (tmp_path / "training.csv").write_text(text)
        unit: Any = SimpleNamespace(folder=tmp_path, seed=7)
        return curves(Cell((SimpleNamespace(unit=unit),)))  # type: ignore[arg-type]

    (found,) = curve("step,agent_steps,loss,reward\n1,10,9,0.5\n2,20,8,inf\n3,30,nan,0.75\n")
    assert (found.seed, found.quantity) == (7, "reward")
    assert (found.steps.tolist(), found.counts.tolist(), found.values.tolist()) == ([1, 3], [10, 30], [0.5, 0.75])
    (found,) = curve("step,best,mean\n1,4,2\n")
    assert (found.quantity, found.counts.tolist(), found.values.tolist()) == ("best", [1.0], [4.0])
    assert curve("step,reward\n") == curve("") == curve("step\n1\n") == curve("step,reward\n1,nan\n") == []


def test_the_summary_and_the_figures_are_of_one_run(run: Path) -> None:
    """Every training of the learner under every regime has a curve with the steps of the budget."""
    budget = json.loads((run / "summary.json").read_text())["budget"]
    logs = sorted(run.glob("results/cola/*/Walk/seed_*/training.csv"))
    assert len(logs) == sum(map(len, budget.values())) == 10
