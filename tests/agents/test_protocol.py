"""The protocol of policies: what they are told, what is checked of what they do, how they are kept, how they train."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.files import read_arrays, replace, write_arrays
from agents.loading import find, fingerprint, load_policy, make_policy, names, options_of, save_policy
from agents.policy import PerAgent, Policy, PolicyError, Setting
from agents.rollout import SlowPolicyWarning, run
from agents.static import Static
from agents.training import Learner, Log, Task, TrainingError
from kaizen_env import BatchEnv, Scenario, load_scenario

SERIAL = {"scenario": "serial", "periods": 6}


class Cover(Policy):
    """Orders by what it sees, by lots, and by what it has learnt: all that must survive saving and batching."""

    def __init__(self, cover: float = 1.0, names: Any = None) -> None:
        self.cover, self.names = cover, names
        self.bias = np.zeros(3)

    def act(self, observations: np.ndarray) -> np.ndarray:
        seen = self.setting.feature(observations, "inventory_position")
        return self.setting.actions(order=0.5 + 0.05 * np.tanh(self.cover - seen + self.bias))

    def arrays(self) -> dict[str, np.ndarray]:
        return {"bias": self.bias}

    def restore(self, arrays: Any) -> None:
        self.bias = arrays["bias"]


class Gathers(Policy):
    def __init__(self, first: int, *, options: Any = None, **more: Any) -> None:
        self.first = first

    def act(self, observations: np.ndarray) -> np.ndarray:
        return self.setting.actions(order=0.5)


class Does(Policy):
    """Whatever the test wants it to."""

    def __init__(self, what: Any) -> None:
        self.what = what

    def act(self, observations: np.ndarray) -> Any:
        return self.what(self, observations)


def of_agent(observation: np.ndarray, agent: str) -> np.ndarray:
    return np.array([0.1 * ("factory", "wholesaler", "retailer").index(agent) + 0.01 * observation[0]])


# --- what a policy is told -------------------------------------------------------------------------------------------


def test_a_setting_tells_of_the_environment() -> None:
    env = BatchEnv("cola", "isolated", 2, periods=5)
    setting = Setting.of(env, seed=4)
    assert setting.companies == tuple(env.network.names)
    assert setting.feature_names == tuple(env.feature_names)
    assert setting.action_names == tuple(env.action_names)
    assert (setting.horizon, setting.worlds, setting.seed) == (5, 2, 4)
    np.testing.assert_allclose(setting.facts.throughput, env.network.company.throughput[:, 0])


@pytest.mark.parametrize("regime, shown", [("isolated", False), ("aligned", False), ("kaizen2", True)])
def test_the_network_is_told_only_where_the_twin_shows_it(regime: str, shown: bool) -> None:
    """Seen to fail: with the network told to all."""
    setting = Setting.of(BatchEnv("serial", regime))
    if shown:
        assert setting.network.names == list(setting.companies)
        return
    with pytest.raises(PolicyError, match=r"twin: own does not show the whole network.*e\.g\. kaizen2"):
        _ = setting.network


def test_the_planner_knows_the_network() -> None:
    assert Setting.of(BatchEnv("serial", {"control": "planner"})).network.companies == 3


def test_features_go_by_name() -> None:
    env = BatchEnv("serial", "isolated", 2)
    observations, _ = env.reset(seed=1)
    setting = Setting.of(env)
    at = env.feature_names.index("on_hand")
    np.testing.assert_array_equal(setting.feature(observations, "on_hand"), observations[..., at].astype(np.float64))
    with pytest.raises(PolicyError, match=r"'echelon_position' is not in twin: own of scenario 'serial'"):
        setting.feature(observations, "echelon_position")


def test_actions_go_by_name() -> None:
    """Shares 0 … 1 become −1 … 1, what is not given is nothing, what does not exist is ignored."""
    setting = Setting.of(BatchEnv("cola", "isolated", 2))
    actions = setting.actions(order=0.75, training=np.full((2, 10), 2.0), nonsense=1.0)
    assert actions.shape == (2, 10, len(setting.action_names))
    for k, name in enumerate(setting.action_names):
        assert (actions[..., k] == {"order": 0.5, "training": 1.0}.get(name, -1.0)).all()
    most = setting.facts.largest_order
    np.testing.assert_allclose(setting.order_share(0.25 * most), 0.25)
    assert (setting.order_share(9.0 * most) == 1.0).all()


# --- what is checked of what it does ---------------------------------------------------------------------------------


def nan_in(policy: Policy, observations: np.ndarray) -> np.ndarray:
    actions = policy.setting.actions(order=0.5)
    actions[1, 2, 0] = np.nan
    return actions


@pytest.mark.parametrize(
    "what, said",
    [
        (
            nan_in,
            "policy 'Does', period 0, company 'retailer': 'order' in world 1 is nan; a number in [-1, 1] is needed",
        ),
        (lambda p, o: np.full((2, 3, 1), -np.inf), "company 'factory': 'order' in world 0 is -inf"),
        (
            lambda p, o: np.zeros((3, 2, 1)),
            "period 0: actions of shape (3, 2, 1); allowed: (2, 3, 1), worlds × companies",
        ),
        (lambda p, o: None, "period 0: actions of type object"),
        (lambda p, o: np.zeros((2, 3, 1), complex), "period 0: actions of type complex128"),
        (lambda p, o: np.zeros((2, 3, 1), bool), "period 0: actions of type bool"),
        (lambda p, o: [["0.5"] * 3] * 2, "period 0: actions of type <U3; an array of numbers in [-1, 1] is needed"),
        (lambda p, o: [[[0], [0, 0], [0]]] * 2, "period 0: the actions are ragged"),
        (lambda p, o: o["on_hand"], "period 0: act raised IndexError"),
        (lambda p, o: p.setting.network, "twin: own does not show the whole network"),
    ],
)
def test_what_is_no_action_is_refused(what: Any, said: str) -> None:
    """By policy, period, and for numbers company, element and world. Seen to fail: with no check of finiteness."""
    with pytest.raises(PolicyError) as error:
        run(Does(what), SERIAL, "isolated", [1, 2])
    assert said in str(error.value)


def test_the_period_is_that_of_the_fault() -> None:
    def late(policy: Any, observations: np.ndarray) -> np.ndarray:
        policy.calls = getattr(policy, "calls", -1) + 1
        return policy.setting.actions(order=np.nan if policy.calls == 4 else 0.5)

    with pytest.raises(PolicyError, match=r"policy 'Does', period 4, company 'factory'"):
        run(Does(late), SERIAL, "isolated", [1])


def test_a_tensor_with_a_gradient_is_refused_with_the_reason() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(PolicyError, match="cannot be read as a NumPy array: RuntimeError"):
        run(Does(lambda p, o: torch.zeros(1, 3, 1, requires_grad=True)), SERIAL, "isolated", [1])


def test_integers_and_lists_are_actions() -> None:
    lists = run(Does(lambda p, o: [[[0]] * 3]), SERIAL, "isolated", [1])
    np.testing.assert_array_equal(lists.reward, run(Static(), SERIAL, "isolated", [1]).reward)


def test_an_error_in_reset_names_the_policy() -> None:
    class Unready(Static):
        def reset(self, setting: Setting) -> None:
            raise ValueError("no tables")

    with pytest.raises(PolicyError, match=r"policy '.*Unready': reset raised ValueError: no tables"):
        run(Unready(), SERIAL, "isolated", [1])


def test_a_slow_policy_is_warned_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.rollout.SLOW", -1.0)
    with pytest.warns(SlowPolicyWarning, match=r"policy 'static', period 0: act took \d+\.\d s for 2 worlds") as warned:
        episode = run(Static(), SERIAL, "isolated", [1, 2])
    assert len(warned) == 1
    assert episode.seconds > 0


def test_an_episode_is_the_sum_of_its_steps() -> None:
    """Money is per period; a record has every period. Seen to fail: with the last period left out."""
    episode = run(Static(), SERIAL, "kaizen2", [1, 2], record=("books",))
    assert episode.trajectory is not None
    assert episode.trajectory.books is not None
    assert episode.trajectory.books.profit.shape[0] == 6
    np.testing.assert_allclose(episode.profit, episode.trajectory.books.profit.mean(axis=0), rtol=1e-12)
    whole = episode.customer_surplus + episode.profit.sum(axis=0) + episode.platform_revenue
    np.testing.assert_allclose(episode.end_customer_value, whole, rtol=1e-12)
    with pytest.raises(ValueError, match=r"record has \['book'\]"):
        run(Static(), SERIAL, "kaizen2", [1], record=("book",))


# --- worlds and companies --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [Cover(), PerAgent(of_agent)], ids=["batch", "per agent"])
def test_a_world_of_a_batch_is_that_world_alone(policy: Policy) -> None:
    """To 1e-10. Seen to fail: with actions that depend on the mean over worlds."""
    together = run(policy, SERIAL, "kaizen2", [5, 6, 7])
    for b, seed in enumerate((5, 6, 7)):
        alone = run(policy, SERIAL, "kaizen2", [seed])
        np.testing.assert_allclose(together.profit[:, b], alone.profit[:, 0], rtol=1e-10)
        np.testing.assert_allclose(together.reward[:, b], alone.reward[:, 0], rtol=1e-10)


def test_a_function_per_agent_is_called_for_each_with_its_name() -> None:
    env = BatchEnv("serial", "isolated", 2)
    observations, _ = env.reset(seed=1)
    policy = PerAgent(of_agent)
    policy.reset(Setting.of(env))
    actions = policy.act(observations)
    assert actions.shape == (2, 3, 1)
    for world in range(2):
        for i, name in enumerate(env.network.names):
            assert actions[world, i] == of_agent(observations[world, i], name)
    assert policy.name == "of_agent"


# --- found by name ---------------------------------------------------------------------------------------------------


def test_every_agent_can_be_found() -> None:
    assert {"static", "random"} <= set(names())
    assert "experiments" not in names()
    for name in names():
        assert issubclass(find(name), Policy)


@pytest.mark.parametrize(
    "spec, options, said",
    [
        ("statik", {}, "there is no agent 'statik'; did you mean 'static'?"),
        ("policy", {}, "there is no agent 'policy'"),
        ("static", {"speed": 1}, "policy 'static' has no option 'speed'; allowed: none"),
        ("order_up_to", {"level": 1}, "no option 'level'; did you mean 'levels'?"),
        ("agents.static:Statik", {}, "has no 'Statik'; did you mean 'Static'?"),
        ("agents.nothing:Static", {}, "cannot be imported: ModuleNotFoundError"),
        ("nothing.py:Static", {}, "there is no file"),
        ("math:pi", {}, "is float; a class or a function is needed"),
        ("pathlib:Path", {}, "is no agents.policy.Policy; derive it from that class"),
        ("math:sqrt", {"x": 1}, "is a function, which takes no options; got x"),
    ],
)
def test_what_is_no_policy_is_refused(spec: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(PolicyError) as error:
        make_policy(spec, **options)
    assert said in str(error.value)


def test_a_file_is_run_once_and_a_broken_one_can_be_mended(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("1 / 0")
    with pytest.raises(PolicyError, match="cannot be imported: ZeroDivisionError"):
        make_policy(f"{file}:f")
    file.write_text("def f(observation, agent): return [0.0]")
    first, second = make_policy(f"{file}:f"), make_policy(f"{file}:f")
    assert isinstance(first, PerAgent)
    assert isinstance(second, PerAgent)
    assert first.function is second.function


def test_options_are_those_of_the_constructor() -> None:
    """However they were given. Seen to fail: with those of `**more` nested under its name."""
    assert Cover().options == {}
    assert Cover(2.0, names=["a"]).options == {"cover": 2.0, "names": ["a"]}
    assert Gathers(1, options={"a": 2}, third=3).options == {"first": 1, "options": {"a": 2}, "third": 3}
    assert Static().options == {}
    assert list(options_of(Cover)) == ["cover", "names"]
    assert options_of(Static) == {}


def test_policies_pickle_and_copy() -> None:
    policy = Cover(2.0)
    policy.bias = np.array([0.1, 0.2, 0.3])
    for other in (pickle.loads(pickle.dumps(policy)), copy.deepcopy(policy)):
        assert other.options == {"cover": 2.0}
        np.testing.assert_array_equal(other.bias, policy.bias)


# --- saved and loaded ------------------------------------------------------------------------------------------------


def in_file(tmp_path: Path) -> str:
    """The place of `Cover` and `of_agent` in a file outside the repository."""
    file = tmp_path / "elsewhere.py"
    file.write_text(
        "import numpy as np\nfrom agents.policy import Policy\n\n\n"
        + Path(__file__).read_text(encoding="utf-8").split("\n\n\n")[1].replace("Any", "object")
        + "\n\n\ndef of_agent(observation, agent):\n    return 0.01 * observation[:1]\n"
    )
    return str(file)


@pytest.mark.parametrize("attribute", ["Cover", "of_agent"])
def test_a_loaded_policy_acts_as_the_saved_to_the_last_bit(
    tmp_path: Path, attribute: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also from another folder than where its file was named from. Seen to fail: with arrays kept as float32."""
    in_file(tmp_path)
    monkeypatch.chdir(tmp_path)
    env = BatchEnv(SERIAL, "kaizen2")
    policy = make_policy(f"elsewhere.py:{attribute}", **({"cover": 1.5} if attribute == "Cover" else {}))
    if attribute == "Cover":
        policy.bias = np.random.default_rng(0).normal(size=3)  # type: ignore[attr-defined]
    save_policy(policy, tmp_path / "saved", env)
    (tmp_path / "far").mkdir()
    monkeypatch.chdir(tmp_path / "far")
    loaded = load_policy(tmp_path / "saved", env)
    assert loaded.options == policy.options
    one, other = (run(p, SERIAL, "kaizen2", [3, 4], record=("decisions",)) for p in (policy, loaded))
    assert one.trajectory is not None
    assert other.trajectory is not None
    for a, b in zip(one.trajectory.decisions or (), other.trajectory.decisions or (), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "scenario, regime, overrides, said",
    [
        ("team", "isolated", {}, "was made for another scenario: 'serial', here 'team'"),
        ("serial", "isolated", {"periods": 6, "accounting": "accrual"}, "was made for another scenario hash"),
        (
            "serial",
            "kaizen2",
            {"periods": 6},
            "another regime: {'twin': 'own', 'objective': 'own'}, here {'twin': 'network'",
        ),
        ("serial", "isolated", {"periods": 6, "twin_lag": 1}, "another regime: {'twin_lag': 0}, here {'twin_lag': 1}"),
    ],
)
def test_a_policy_made_for_another_is_refused(
    tmp_path: Path, scenario: str, regime: str, overrides: dict[str, Any], said: str
) -> None:
    save_policy(Static(), tmp_path, BatchEnv(SERIAL, "isolated"))
    with pytest.raises(PolicyError) as error:
        load_policy(tmp_path, BatchEnv(scenario, regime, **overrides))
    assert said in str(error.value)
    assert "anywhere=True" in str(error.value)


def test_anywhere_asks_for_the_same_eyes_and_hands(tmp_path: Path) -> None:
    save_policy(Static(), tmp_path, BatchEnv(SERIAL, "isolated"))
    load_policy(tmp_path, BatchEnv("serial", "isolated", periods=9), anywhere=True)
    with pytest.raises(PolicyError, match=r"made for another features: 16 \(on_hand, .* train it for this one$"):
        load_policy(tmp_path, BatchEnv("serial", "kaizen2"), anywhere=True)


def test_demand_data_count_by_their_numbers(tmp_path: Path) -> None:
    """And not by the place of their file. Seen to fail: with the hash of the file's name alone."""

    def chain(name: str, sales: int) -> Scenario:
        (tmp_path / name).write_text(f"demand\n1\n{sales}\n")
        data = load_scenario("serial").model_dump(mode="json", exclude_none=True)
        data["markets"][0]["demand"] = {"process": "trace", "file": str(tmp_path / name)}
        return load_scenario(data)

    assert fingerprint(chain("a.csv", 2)) == fingerprint(chain("b.csv", 2)) != fingerprint(chain("a.csv", 3))


class Harm:
    """Code that would run if its pickle were read."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("harmed"),))


def test_arrays_are_read_without_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen to fail: with allow_pickle=True, which makes the file `harmed`."""
    monkeypatch.chdir(tmp_path)
    save_policy(Static(), tmp_path, BatchEnv(SERIAL, "isolated"))
    np.savez(tmp_path / "arrays.npz", bias=np.array([Harm()], dtype=object))
    with pytest.raises(PolicyError, match=r"is broken .*allow_pickle=False"):
        load_policy(tmp_path)
    (tmp_path / "arrays.npz").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(PolicyError, match="is broken"):
        load_policy(tmp_path)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize(
    "file, content, said",
    [
        ("policy.json", None, "no policy is saved in"),
        ("arrays.npz", None, "arrays.npz is missing"),
        ("policy.json", "{", "is broken (JSONDecodeError"),
        ("policy.json", "[]", "is broken (TypeError"),
        ("policy.json", "{}", "is broken (KeyError: 'policy')"),
        ("policy.json", {"options": 3}, "is broken (TypeError"),
        ("policy.json", {"format": 9}, "has format 9"),
        ("policy.json", {"policy": "statik"}, "there is no agent 'statik'"),
        ("policy.json", {"options": {"x": 1}}, "has no option 'x'"),
        ("policy.json", {"made_for": {}}, "was made for another scenario"),
        ("arrays.npz", "", "is broken"),
        ("arrays.npz", "PK\x03\x04 and so on", "is broken"),
    ],
)
def test_a_broken_policy_is_refused(tmp_path: Path, file: str, content: Any, said: str) -> None:
    env = BatchEnv(SERIAL, "isolated")
    save_policy(Static(), tmp_path, env)
    path = tmp_path / file
    if content is None:
        path.unlink()
    elif isinstance(content, dict):
        path.write_text(json.dumps(json.loads(path.read_text()) | content))
    else:
        path.write_text(content)
    with pytest.raises(PolicyError) as error:
        load_policy(tmp_path, env)
    assert said in str(error.value)


def test_any_flipped_byte_is_refused_or_harmless(tmp_path: Path) -> None:
    """Never another error than ValueError, and never other numbers: the format has a checksum."""
    file, values = tmp_path / "a.npz", np.arange(5.0)
    write_arrays(file, {"a": values})
    whole = file.read_bytes()
    for at in range(len(whole)):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            read = read_arrays(file)
        except ValueError:
            continue
        assert all(np.array_equal(array, values) for array in read.values())


def test_arrays_that_are_not_its_own_are_refused(tmp_path: Path) -> None:
    env = BatchEnv(SERIAL, "isolated")
    save_policy(Static(), tmp_path, env)
    write_arrays(tmp_path / "arrays.npz", {"bias": np.zeros(3)})
    with pytest.raises(PolicyError, match="learns nothing, but was saved with bias"):
        load_policy(tmp_path, env)
    saved = save_policy(make_policy(f"{in_file(tmp_path)}:Cover"), tmp_path / "cover", env)
    write_arrays(saved / "arrays.npz", {})
    with pytest.raises(PolicyError, match=r"arrays in .* are not those of policy .*KeyError"):
        load_policy(saved, env)


def test_options_that_are_no_data_cannot_be_saved(tmp_path: Path) -> None:
    for names_ in (object(), float("nan")):
        with pytest.raises(PolicyError, match="its options are not plain data"):
            save_policy(Cover(names=names_), tmp_path / "saved", BatchEnv(SERIAL, "isolated"))
    assert not (tmp_path / "saved").exists()


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen to fail: with `write_bytes` in place of `replace`."""
    file = tmp_path / "summary.json"
    replace(file, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("agents.files.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace(file, b"new")
    assert file.read_bytes() == b"old"


# --- the log of a training -------------------------------------------------------------------------------------------


class Count(Learner):
    def __init__(self, rate: float = 1.0) -> None:
        self.rate = rate

    def train(self, task: Task, seed: int, log: Log) -> None: ...

    def act(self, observations: np.ndarray) -> np.ndarray:
        return self.setting.actions(order=0.5)


def begun(folder: Path, steps: int, checkpoint: int, seed: int = 0, **options: Any) -> None:
    log = Log(folder)
    log.start(Count(**options), Task.of(SERIAL), seed)
    for step in range(1, steps + 1):
        log.record(step, 10, length=step / 3)
        if step == checkpoint:
            log.checkpoint(step, {"total": np.array([step * 0.1])})
    log.close()


def test_a_log_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    """Rows after the checkpoint are done again; what was is as it was. Seen to fail: with all rows kept."""
    begun(tmp_path, 5, 3)
    rows = (tmp_path / "training.csv").read_bytes().splitlines()
    assert len(rows) == 6
    told: list[Any] = []
    log = Log(tmp_path, resume=True, progress=lambda *given: told.append(given))
    step, arrays = log.start(Count(), Task.of(SERIAL), 0)
    assert step == 3
    assert arrays["total"] == [3 * 0.1]
    assert (tmp_path / "training.csv").read_bytes().splitlines() == rows[:4]
    log.record(4, 10, length=4 / 3)
    assert (tmp_path / "training.csv").read_bytes().splitlines() == rows[:5]
    assert told == [(4, 10, {"length": 4 / 3})]


def test_a_row_that_a_full_disk_has_cut_is_done_again(tmp_path: Path) -> None:
    """Even where what is left of it looks like an earlier step. Seen to fail: with the last line read as the others."""
    begun(tmp_path, 3, 3)
    with (tmp_path / "training.csv").open("a") as file:
        file.write("1")  # of 10,3.33
    log = Log(tmp_path, resume=True)
    assert log.start(Count(), Task.of(SERIAL), 0)[0] == 3
    assert [row["step"] for row in log.rows] == [1, 2, 3]


@pytest.mark.parametrize(
    "learner, scenario, seed, said",
    [
        (Count(rate=2.0), SERIAL, 0, "is of another options ({}, now {'rate': 2.0})"),
        (Count(), SERIAL, 1, "is of another seed (0, now 1)"),
        (Count(), SERIAL | {"accounting": "accrual"}, 0, "is of another made for"),
        (Count(), SERIAL | {"periods": 7}, 0, "is of another episode ([6, 0, 0], now [7, 0, 0])"),
    ],
)
def test_the_checkpoint_of_another_is_refused(
    tmp_path: Path, learner: Learner, scenario: Any, seed: int, said: str
) -> None:
    begun(tmp_path, 3, 3)
    with pytest.raises(TrainingError) as error:
        Log(tmp_path, resume=True).start(learner, Task.of(scenario), seed)
    assert said in str(error.value)
    assert "train into another folder" in str(error.value)


def test_a_log_writes_over_no_checkpoint(tmp_path: Path) -> None:
    begun(tmp_path, 3, 3)
    before = (tmp_path / "training.csv").read_bytes()
    with pytest.raises(TrainingError, match=r"holds a checkpoint; go on from it with resume=True"):
        Log(tmp_path)
    assert (tmp_path / "training.csv").read_bytes() == before


def test_a_log_without_a_folder_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    log = Log()
    assert log.start(Count(), Task.of(SERIAL), 0) == (0, {})
    log.record(1, 2, length=0.5)
    log.checkpoint(1, {"total": np.zeros(1)})
    assert log.rows == [{"step": 1, "length": 0.5}]
    assert not list(tmp_path.iterdir())
