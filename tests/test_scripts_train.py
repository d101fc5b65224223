"""scripts/train.py: what it writes, what it refuses, and that a stop at any moment changes no result."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import experimenting
import numpy as np
import pytest
import yaml
from experimenting import (
    LEARNER,
    POLICIES,
    begun,
    command,
    contents,
    numbers,
    ran,
    read_json,
    steps_done,
    until,
    written,
)

import agents.experiments.config as configs
from agents.experiments.loading import load_experiment
from agents.experiments.unit import read_evaluation
from agents.loading import load_policy
from agents.rollout import run
from kaizen_env import BatchEnv, load_scenario

train = experimenting.module("train")

WALK: dict[str, Any] = {
    "scenario": {"scenario": "serial", "periods": 10},
    "regime": "kaizen2",
    "policy": {"name": "walk.py:Walk", "options": {"steps": 30}},
    "evaluation": {"worlds": 4},
    "warm_up": 0,
    "tail": 0,
    "tensorboard": False,
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with the policies and a config, where the command is run."""
    written(tmp_path, LEARNER, "walk.py")
    written(tmp_path, POLICIES, "policies.py")
    written(tmp_path, WALK, "walk.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def changed(**changes: Any) -> dict[str, Any]:
    return WALK | changes


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What is said on standard error by a command that cannot be carried out."""
    capsys.readouterr()
    assert train.main([str(a) for a in arguments]) == 2
    return capsys.readouterr().err


# --- what it writes --------------------------------------------------------------------------------------------------


def test_a_run_folder_holds_everything(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(["walk.yaml", "--set", "seeds=[3, 5]"]) == 0
    folder = place / "runs" / "walk"
    assert {"config.yaml", "scenarios", "versions.json", "summary.json", "seed_3", "seed_5"} <= set(os.listdir(folder))
    wanted = {"training.csv", "checkpoint.npz", "policy", "evaluation.csv", "timing.json", "summary.json"}
    assert wanted <= set(os.listdir(folder / "seed_3"))
    assert len((folder / "seed_3" / "training.csv").read_text().splitlines()) == 31
    versions = read_json(folder / "versions.json")[0]
    assert {"python", "packages", "git", "kaizen_env"} <= set(versions)
    assert "numpy" in versions["packages"]
    summary = read_json(folder / "summary.json")
    each = [summary["seeds"][seed]["per_period"]["end_customer_value"] for seed in ("3", "5")]
    assert summary["end_customer_value"]["mean"] == pytest.approx(np.mean(each), rel=1e-12)
    assert str(Path("runs") / "walk") in capsys.readouterr().out


def test_what_is_saved_gives_the_numbers_that_are_reported(place: Path) -> None:
    """Money in evaluation.csv is that of the saved policy in those worlds. Seen to fail: with one world moved on."""
    assert train.main(["walk.yaml"]) == 0
    folder = place / "runs" / "walk" / "seed_0"
    table = read_evaluation(folder / "evaluation.csv")
    scenario = load_scenario(place / "runs" / "walk" / "scenarios" / "serial.yaml")
    policy = load_policy(folder / "policy", BatchEnv(scenario, "kaizen2"))
    episode = run(policy, scenario, "kaizen2", configs.Evaluation(worlds=4).seeds())
    np.testing.assert_array_equal(table["end_customer_value"], episode.end_customer_value)
    np.testing.assert_array_equal(table["profit of wholesaler"], episode.profit[1])
    value = read_json(folder / "summary.json")["per_period"]["end_customer_value"]
    assert value == pytest.approx(episode.end_customer_value.mean(), rel=1e-12)


def test_the_config_in_the_folder_begins_the_same_run_again(place: Path) -> None:
    """Even where the files that it named are gone: only the policy's own file is needed."""
    written(place, "demand\n" + "\n".join(map(str, range(1, 20))), "sales.csv")
    chain = load_scenario("serial").model_dump(mode="json", exclude_none=True)
    chain["periods"], chain["markets"][0]["demand"] = 10, {"process": "trace", "file": "sales.csv", "use": "bootstrap"}
    written(place, chain, "mine.yaml")
    written(place, changed(scenario="mine.yaml"), "walk.yaml")
    assert train.main(["walk.yaml", "--output", "first"]) == 0
    (place / "sales.csv").unlink()
    (place / "mine.yaml").unlink()
    assert train.main(["first/config.yaml", "--output", "second"]) == 0
    assert numbers(place / "first") == numbers(place / "second")
    held = [yaml.safe_load((place / name / "config.yaml").read_text()) for name in ("first", "second")]
    assert held[0] == held[1]


@pytest.mark.slow
def test_the_same_numbers_again_and_with_more_processes(place: Path) -> None:
    """Seen to fail: with the seed of a job taken from its process."""
    assert train.main(["walk.yaml", "--output", "one", "--set", "seeds=[0,1,2]"]) == 0
    done = ran("train", "walk.yaml", "--output", "two", "--set", "seeds=[0,1,2]", "--jobs", 2, cwd=place)
    assert done.returncode == 0, done.stderr
    assert numbers(place / "one") == numbers(place / "two")


def test_a_rule_is_only_evaluated(place: Path) -> None:
    assert train.main(["walk.yaml", "--set", "policy=static", "--set", "seeds=[7, 8]"]) == 0
    folder = place / "runs" / "walk"
    assert sorted(p.name for p in folder.glob("seed_*")) == ["seed_7"]  # there is one training to do: none
    assert not (folder / "seed_7" / "training.csv").exists()


def test_tensorboard_has_the_training(place: Path) -> None:
    pytest.importorskip("tensorboard")
    pytest.importorskip("torch")
    assert train.main(["walk.yaml", "--set", "tensorboard=true"]) == 0
    assert list((place / "runs" / "walk" / "seed_0" / "tensorboard").glob("events.*"))


def test_luck_of_evaluation_is_met_in_no_training() -> None:
    """Seeds of luck in training are below 2³¹ (those that BatchEnv and learners draw), those of evaluation above."""
    first, other = configs.Evaluation(worlds=1000), configs.Evaluation(worlds=1000, seed=1)
    assert min(first.seeds()) >= 2**32
    assert not set(first.seeds()) & set(other.seeds())
    last = configs.Evaluation(worlds=1, seed=2**31 - 1)
    BatchEnv("serial", periods=2).reset(seeds=last.seeds())


def test_a_dry_run_writes_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(place)
    assert train.main(["walk.yaml", "--dry-run", "--set", "policy.options.pause=0.01"]) == 0
    said = capsys.readouterr().out
    assert contents(place) == before
    assert not (place / "runs").exists()
    assert "training 1 s" in said
    shown = written(place, said.split("\n# ")[0], "shown.yaml")
    again = load_experiment(shown, configs.TrainConfig)
    assert again.config["policy"]["options"] == {"steps": 30, "pause": 0.01}
    assert again.config["evaluation"] == {"worlds": 4, "seed": 0}


def test_a_long_training_is_foretold(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """10,000 steps of 0.1 s are 17 minutes. Seen to fail: without what is left to do."""
    assert train.main(["walk.yaml", "--dry-run", "--set", "policy.options={steps: 10000, pause: 0.1}"]) == 0
    assert "training 17 min" in capsys.readouterr().out


# --- stopped and gone on ---------------------------------------------------------------------------------------------

SLOWLY = ("--set", "policy.options.pause=0.05")


def test_a_killed_training_goes_on_as_if_it_never_stopped(place: Path) -> None:
    """Seen to fail: with a learner that begins anew in place of its checkpoint."""
    process = begun("train", "walk.yaml", *SLOWLY, cwd=place)
    folder = place / "runs" / "walk"
    until(lambda: steps_done(folder / "seed_0") >= 4, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    stopped = steps_done(folder / "seed_0")
    assert 4 <= stopped < 30
    assert not (folder / "seed_0" / "policy").exists()
    assert train.main(["walk.yaml", *SLOWLY, "--resume"]) == 0
    assert train.main(["walk.yaml", *SLOWLY, "--output", "whole"]) == 0
    assert numbers(folder) == numbers(place / "whole")
    assert experimenting.same_arrays(folder / "seed_0" / "policy", place / "whole" / "seed_0" / "policy")


@pytest.mark.slow
def test_processes_end_with_the_one_that_began_them(place: Path) -> None:
    """Else they would write on beside those of --resume. Seen to fail: without their watch on it."""
    options = ("--set", "seeds=[0,1]", *SLOWLY)
    process = begun("train", "walk.yaml", *options, "--jobs", 2, cwd=place)
    folder = place / "runs" / "walk"
    until(lambda: min(steps_done(folder / f"seed_{s}") for s in (0, 1)) >= 3, process)
    process.send_signal(signal.SIGKILL)
    try:
        process.communicate(timeout=20)  # returns when the last process that has its output is gone
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert max(steps_done(folder / f"seed_{s}") for s in (0, 1)) < 30
    assert train.main(["walk.yaml", *options, "--resume"]) == 0
    assert train.main(["walk.yaml", *options, "--output", "whole"]) == 0
    assert numbers(folder) == numbers(place / "whole")


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_ctrl_c_leaves_a_run_that_goes_on(place: Path, jobs: int) -> None:
    options = ("--set", "seeds=[0,1]", *SLOWLY)
    process = begun("train", "walk.yaml", *options, "--jobs", jobs, cwd=place)
    until(lambda: steps_done(place / "runs" / "walk" / "seed_0") >= 3, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all
    _, said = process.communicate()
    assert process.returncode == 130
    assert "--resume goes on" in said
    assert "Traceback" not in said
    assert train.main(["walk.yaml", *options, "--resume"]) == 0


@pytest.mark.slow
def test_ctrl_c_is_answered_by_the_first_process_alone(place: Path) -> None:
    """The others ignore it, else each would print its trace. Seen to fail: with processes that hear it too."""
    if shutil.which("pgrep") is None:
        pytest.skip("there is no pgrep, which finds the processes of a group")
    process = begun("train", "walk.yaml", "--set", "seeds=[0,1]", *SLOWLY, "--jobs", 2, cwd=place)
    until(lambda: steps_done(place / "runs" / "walk" / "seed_0") >= 1, process)
    group = subprocess.run(["pgrep", "-g", str(process.pid)], capture_output=True, text=True, check=True).stdout.split()
    for member in set(map(int, group)) - {process.pid}:
        os.kill(member, signal.SIGINT)
    _, said = process.communicate()
    assert len(group) > 2
    assert process.returncode == 0, said


def test_what_is_finished_is_not_done_again(place: Path) -> None:
    """Seen to fail: with every seed trained again."""
    assert train.main(["walk.yaml", "--set", "seeds=[0,1]"]) == 0
    folder = place / "runs" / "walk"
    shutil.rmtree(folder / "seed_1")
    before = {name: (folder / "seed_0" / name).stat().st_mtime_ns for name in ("summary.json", "training.csv")}
    assert train.main(["walk.yaml", "--set", "seeds=[0,1]", "--resume"]) == 0
    assert {name: (folder / "seed_0" / name).stat().st_mtime_ns for name in before} == before
    assert (folder / "seed_1" / "summary.json").exists()


def test_resume_begins_where_nothing_was_begun(place: Path) -> None:
    assert train.main(["walk.yaml", "--resume"]) == 0


def test_a_full_disk_loses_nothing(place: Path) -> None:
    """A limit on the size of files stands for the disk: the log of the training outgrows it."""
    options = ("walk.yaml", "--set", "policy.options={steps: 1000, every: 50}")
    small = {"name": "few", "periods": 10, **load_scenario("serial").model_dump(mode="json", exclude_unset=True)}
    written(place, changed(scenario=small | {"description": "", "sources": []}), "walk.yaml")

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (16_000, resource.RLIM_INFINITY))

    done = subprocess.run(
        command("train", *options, "--output", "full"),
        env=experimenting.environment(),
        preexec_fn=limited,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "cannot be read or written (File too large)" in done.stderr
    assert "Traceback" not in done.stderr
    assert 100 < steps_done(place / "full" / "seed_0") < 1000
    assert train.main([*options, "--output", "full", "--resume"]) == 0
    assert train.main([*options, "--output", "whole"]) == 0
    assert numbers(place / "full") == numbers(place / "whole")


# --- what it refuses -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config, said",
    [
        (changed(polcy="static"), "walk.yaml: polcy: unknown key 'polcy'; did you mean 'policy'?"),
        (changed(evaluation={"world": 3}), "evaluation.world: unknown key 'world'; did you mean 'worlds'?"),
        (changed(policy={"nam": "static"}), "policy.nam: unknown key 'nam'; did you mean 'name'?"),
        (changed(policy={"name": "static", "saved": "x"}), "either a name or a folder"),
        (changed(policy={}), "either a name or a folder"),
        (changed(seeds=[]), "walk.yaml: seeds: got []"),
        (changed(seeds=[1, 1]), "given twice"),
        (changed(seeds=[-1]), "seeds[0]: got -1"),
        (changed(seeds=[True]), "seeds[0]: got True"),
        (changed(evaluation={"worlds": 0}), "evaluation.worlds: got 0"),
        (changed(scenario="seriel"), "scenario: there is no built-in scenario 'seriel'; did you mean 'serial'?"),
        (changed(scenario=5), "scenario: got 5"),
        (changed(scenario={"scenario": "serial", "period": 3}), "unknown key 'period'; did you mean"),
        (changed(regime="kaizen"), "regime: there is no regime 'kaizen'; did you mean 'kaizen2'?"),
        (changed(regime={"twinn": "own"}), "unknown key 'twinn'; did you mean 'twin'?"),
        (changed(regime={"twin": "netwrok"}), "did you mean 'network'?"),
        (changed(policy="statics"), "there is no agent 'statics'; did you mean 'static'?"),
        (changed(policy="nowhere.py:Mine"), "there is no file"),
        (changed(policy="policies.py:Hulf"), "has no 'Hulf'; did you mean 'Half'?"),
        (changed(policy="policies.py:nothing"), "is int; a class or a function is needed"),
        (changed(policy="no_such_package.module:Mine"), "cannot be imported: ModuleNotFoundError"),
        (
            changed(policy={"name": "policies.py:Half", "options": {"ordr": 1}}),
            "no option 'ordr'; did you mean 'order'?",
        ),
        (changed(policy={"name": "static", "options": {"order": 1}}), "no option 'order'; allowed: none"),
        (changed(policy="policies.py:Unmakeable"), "cannot be made: RuntimeError: not today"),
        (changed(policy={"saved": "nowhere"}), "no policy is saved in nowhere"),
        (changed(name="../elsewhere"), "name: got '../elsewhere'"),
        (changed(name="/elsewhere"), "name: got '/elsewhere'"),
        (changed(policy={"name": "static", "label": "../../up"}), "policy.label: got '../../up'"),
        ({"scenario": "serial"}, "walk.yaml: regime: this key is required"),
        ("- a\n- b", "found list; a config is a mapping"),
        ("", "found NoneType"),
        ("a: [", "not valid YAML"),
        ("regime: own\nregime: own", "line 2: 'regime' is given twice"),
    ],
)
def test_a_config_that_cannot_be_used(place: Path, capsys: pytest.CaptureFixture[str], config: Any, said: str) -> None:
    written(place, config, "walk.yaml")
    before = contents(place)
    text = refused(capsys, "walk.yaml")
    assert said in text
    assert all(line.startswith("train: ") for line in text.splitlines())
    assert contents(place) == before
    assert not (place / "runs").exists()


def test_every_problem_of_a_config_is_told_at_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(place, changed(seeds=[], evaluation={"worlds": "many"}), "walk.yaml")
    assert len(refused(capsys, "walk.yaml").splitlines()) == 2


@pytest.mark.parametrize(
    "change, said",
    [
        ("seeds", "a change is key=value"),
        ("=3", "a change is key=value"),
        ("seeds.x=3", "'x' is no place in a list of 1"),
        ("seeds.1=3", "'1' is no place in a list of 1"),
        ("name.first=3", "'name' is 'a', which has no 'first'"),
        ("evaluation.wrlds=3", "did you mean 'worlds'?"),
        ("seeds=[", "not valid YAML"),
    ],
)
def test_a_change_that_leads_nowhere(place: Path, capsys: pytest.CaptureFixture[str], change: str, said: str) -> None:
    written(place, changed(seeds=[1], name="a"), "walk.yaml")
    assert said in refused(capsys, "walk.yaml", "--set", change)


def test_changes_reach_into_what_is_said_in_a_word(place: Path) -> None:
    """Numbers may be written as 1e-3. Seen to fail: with PyYAML's own idea of a number, which takes it for text."""
    written(place, changed(scenario="serial", policy="policies.py:Half", seeds=[4, 5]), "walk.yaml")
    changes = ["scenario.periods=7", "regime.alignment=5e-1", "policy.options.order=1e-3", "seeds.1=6"]
    experiment = load_experiment("walk.yaml", configs.TrainConfig, changes)
    assert experiment.scenarios["serial"].periods == 7
    assert next(iter(experiment.regimes.values())).alignment == 0.5
    assert next(iter(experiment.regimes.values())).twin == "network"
    assert experiment.policies["Half"].options == {"order": 1e-3}
    assert experiment.seeds == (4, 6)


def test_a_missing_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing.yaml: there is no such file" in refused(capsys, "nothing.yaml")


def test_paths_start_at_the_config(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    assert train.main([str(place / "walk.yaml")]) == 0
    assert (place / "elsewhere" / "runs" / "walk" / "summary.json").exists()


def test_a_folder_is_never_written_over(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Seen to fail: with the comparison of configs left out."""
    assert train.main(["walk.yaml"]) == 0
    before = contents(place)
    assert "holds a run already" in refused(capsys, "walk.yaml")
    other = ("walk.yaml", "--set", "policy.options.steps=31", "--resume")
    assert "holds another experiment: policy.options.steps is 30, now 31" in refused(capsys, *other)
    smaller = ("walk.yaml", "--set", "scenario.periods=11", "--resume")
    assert "scenarios/serial.yaml is not what it is now" in refused(capsys, *smaller)
    (place / "mine").mkdir()
    written(place / "mine", "dear", "letter.txt")
    assert "holds letter.txt and no run" in refused(capsys, "walk.yaml", "--output", "mine")
    assert "holds letter.txt and no run" in refused(capsys, "walk.yaml", "--output", "mine", "--resume")
    assert "is a file" in refused(capsys, "walk.yaml", "--output", "mine/letter.txt")
    (place / "mine" / "letter.txt").unlink()
    assert contents(place) == before


def test_a_broken_config_in_the_folder(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(["walk.yaml"]) == 0
    (place / "runs" / "walk" / "config.yaml").write_text("a: [")
    assert "config.yaml is broken" in refused(capsys, "walk.yaml", "--resume")


def test_a_folder_that_cannot_be_written(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(place, "", "file")
    assert "cannot be read or written" in refused(capsys, "walk.yaml", "--output", "file/below")
    shut = place / "shut"
    shut.mkdir(mode=0o555)
    if os.access(shut, os.W_OK):
        pytest.skip("this user may write everywhere")
    assert "cannot be read or written" in refused(capsys, "walk.yaml", "--output", "shut/run")


def test_two_runs_in_one_folder_at_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process = begun("train", "walk.yaml", *SLOWLY, cwd=place)
    until(lambda: steps_done(place / "runs" / "walk" / "seed_0") >= 1, process)
    assert "another process is at work" in refused(capsys, "walk.yaml", *SLOWLY, "--resume")
    process.kill()
    process.communicate()


def test_a_seed_that_fails_stops_no_other(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failing = ("walk.yaml", "--set", "seeds=[0,1,2]", "--set", "policy.options.fails_with_seed=1")
    assert train.main(list(failing)) == 1
    said = capsys.readouterr().err
    assert "Walk, serial, kaizen2, seed 1: policy 'Walk': Walk diverged in step 5; take fewer steps" in said
    folder = place / "runs" / "walk"
    assert "TrainingError" in (folder / "seed_1" / "error.txt").read_text()
    summary = read_json(folder / "summary.json")["seeds"]
    assert "diverged" in summary["1"]["error"]
    assert "per_period" in summary["2"]


@pytest.mark.parametrize(
    "file, content", [("checkpoint.npz", b"PK broken"), ("checkpoint.npz", b""), ("training.csv", b"step\nmany\n")]
)
def test_a_broken_checkpoint(place: Path, capsys: pytest.CaptureFixture[str], file: str, content: bytes) -> None:
    """Said with its mend; what is finished stays, and is not done again."""
    assert train.main(["walk.yaml", "--set", "seeds=[0,1]"]) == 0
    folder = place / "runs" / "walk"
    wanted = numbers(folder)
    shutil.rmtree(folder / "seed_1" / "policy")
    (folder / "seed_1" / "summary.json").unlink()
    (folder / "seed_1" / file).write_bytes(content)
    assert train.main(["walk.yaml", "--set", "seeds=[0,1]", "--resume"]) == 1
    said = capsys.readouterr().err
    assert "checkpoint.npz is broken" in said
    assert "remove it to begin anew" in said
    assert (folder / "seed_1" / file).read_bytes() == content
    (folder / "seed_1" / "checkpoint.npz").unlink()
    assert train.main(["walk.yaml", "--set", "seeds=[0,1]", "--resume"]) == 0
    assert numbers(folder) == wanted


def test_a_broken_result(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(["walk.yaml"]) == 0
    folder = place / "runs" / "walk" / "seed_0"
    wanted = numbers(place / "runs")
    (folder / "summary.json").write_text("{")
    assert train.main(["walk.yaml", "--resume"]) == 1
    assert "is broken" in capsys.readouterr().err
    (folder / "summary.json").unlink()
    assert train.main(["walk.yaml", "--resume"]) == 0
    assert numbers(place / "runs") == wanted


def test_a_policy_whose_file_has_changed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Results of two policies would be told as one. Seen to fail: without the hash of the file."""
    assert train.main(["walk.yaml"]) == 0
    before = contents(place / "runs" / "walk" / "seed_0")
    written(place, LEARNER.replace("0.9", "0.8"), "walk.py")
    assert train.main(["walk.yaml", "--resume"]) == 1
    assert "walk.py has changed since" in capsys.readouterr().err
    after = contents(place / "runs" / "walk" / "seed_0")
    assert {name: after[name] for name in before} == before
