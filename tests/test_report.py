"""report.html: it asks for nothing, holds what summary.json says, and replays what was evaluated."""

from __future__ import annotations

import csv
import json
import re
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import experimenting
import numpy as np
import pytest
from browsing import chromium, drawn, opened, overflow
from experimenting import LEARNER, POLICIES, read_json, written

from agents.experiments.comparison_tables import headline
from agents.experiments.report.page import as_script
from agents.experiments.report.replay import kept_moments, record, shown, stage
from agents.experiments.report.sections import formed, unmarked
from agents.experiments.unit import read_evaluation
from agents.loading import make_policy
from agents.rollout import run
from agents.window import Window
from kaizen_env import BatchEnv, load_scenario

compare = experimenting.module("compare")

EVIL = "half </script><script>document.title = 'taken'</script><b>&amp;"
RULE = "<!--<script>&<img src=x onerror=alert(1)>"  # a policy's name may hold no slash
# Learns nothing of use, but improves, opens its twin, and orders more where it sees more: replays that differ.
IMPROVER = """
class Improver(Walk):
    def act(self, observations):
        order = (0.35 if self.setting.regime.twin == "own" else 0.6) + 0.02 * np.tanh(self.place[0])
        shares = {name: 0.3 for name in self.setting.action_names}
        return self.setting.actions(**shares | {"openness": 1.0, "order": order})
"""
RUN: dict[str, Any] = {
    "scenario": {"scenario": "electric_car", "periods": 12},
    "policy": {"name": "walk.py:Improver", "options": {"steps": 6}},
    "rules": ["order_up_to", {"name": "policies.py:Raises", "label": RULE}],
    "regimes": ["static", "isolated", "aligned", "transparent", "kaizen2", {"regime": "kaizen2", "label": EVIL}],
    "seeds": [0, 1],
    "evaluation": {"worlds": 3},
    "warm_up": 3,
    "tail": 2,
    "tensorboard": False,
}
ONE: dict[str, Any] = {
    "scenario": {"scenario": "serial", "periods": 8},
    "regimes": [{"regime": "aligned", "alignment": 0.5, "label": "half"}],
    "evaluation": {"worlds": 2},
    "warm_up": 0,
    "tail": 0,
    "tensorboard": False,
}


def made(folder: Path, config: dict[str, Any]) -> Path:
    """The run folder of a comparison that was run in this process."""
    written(folder, POLICIES, "policies.py")
    written(folder, LEARNER + IMPROVER, "walk.py")
    compare.main([str(written(folder, config)), "--output", str(folder / "run")])
    return folder / "run"


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of every kind of regime, whose names try to be HTML and one of whose rules fails."""
    return made(tmp_path_factory.mktemp("report"), RUN)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


class Read(HTMLParser):
    """The elements of a page, and the text of the number elements and of the scripts."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.numbers: dict[tuple[str, str], set[str]] = {}
        self.scripts: list[str] = []
        self.text = ""
        self._at: tuple[str, str] | None = None
        self.feed(file.read_text(encoding="utf-8"))
        ids = [attributes.get("id") for tag, attributes in self.tags if tag == "script"]
        self.data = json.loads(self.scripts[ids.index("data")])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag == "script":
            self.scripts.append("")
        if "data-from" in attributes:
            self._at = str(attributes["data-from"]), str(attributes["data-form"])

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts[-1] += data
            return
        self.text += data
        if self._at is not None:
            self.numbers.setdefault(self._at, set()).add(data)
            self._at = None


@pytest.fixture(scope="module")
def read(result: Path) -> Read:
    return Read(result / "report.html")


def at(data: Any, pointer: str) -> Any:
    """What a JSON pointer (RFC 6901) leads to."""
    for key in pointer.split("/")[1:]:
        key = key.replace("~1", "/").replace("~0", "~")
        data = data[int(key)] if isinstance(data, list) else data[key]
    return data


def world_0(result: Path, regime: str, policy: str = "Improver") -> float:
    """End-customer value per period in the first world, of the first seed."""
    folder = result / "results" / "electric_car" / regime / policy / "seed_0"
    return float(read_evaluation(folder / "evaluation.csv")["end_customer_value"][0])


# --- without a browser -----------------------------------------------------------------------------------------------


def test_the_page_names_nothing_outside_itself(result: Path, read: Read) -> None:
    """Seen to fail: with a script by src."""
    for tag, attributes in read.tags:
        for name in ("src", "href", "srcset", "action", "data", "poster", "background"):
            assert attributes.get(name) in (None, "data:,"), (tag, attributes)
        assert tag not in ("iframe", "object", "embed", "base", "img", "form"), tag
    style = " ".join(re.findall(r"<style>(.*?)</style>", (result / "report.html").read_text(), re.DOTALL))
    assert "url(" not in style
    assert "@import" not in style
    (policy,) = (a["content"] for _, a in read.tags if a.get("http-equiv") == "Content-Security-Policy")
    rules = dict(part.strip().split(" ", 1) for part in str(policy).split(";"))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in rules["script-src"]
    assert set(rules) == {"default-src", "script-src", "style-src", "img-src", "base-uri", "form-action"}


def test_names_stay_text(read: Read) -> None:
    """A regime, a rule and an error that hold HTML. Seen to fail: without `escape` in tables; without it in JSON."""
    assert len(read.scripts) == 5  # data, two libraries, two of ours; no more from names
    assert "img" not in {tag for tag, _ in read.tags}
    assert not any("taken" in script for script in read.scripts[1:])
    assert "b" not in {tag for tag, a in read.tags if a.get("class") == "t"}
    assert read.text.count(EVIL) >= 6
    assert EVIL in [recording["label"] for recording in read.data["replay"]["recordings"]]
    assert f"{RULE}, electric_car, static, seed 0" in read.text  # in the list of what failed
    for text in (EVIL, "<!--<script>", "\u2028", 'a"b\\'):
        assert "<" not in as_script({"name": text})
        assert json.loads(as_script({"name": text})) == {"name": text}


def test_every_number_is_that_of_the_summary(result: Path, read: Read) -> None:
    """Seen to fail: with a mean in place of the interquartile mean."""
    said = read_json(result / "summary.json")
    assert len(read.numbers) > 200
    for (pointer, form), texts in read.numbers.items():
        assert texts == {formed(at(said, pointer), form)}, pointer
    told = {pointer for pointer, _ in read.numbers}
    for needed in (
        "/regimes/kaizen2/learner/value",
        "/regimes/static/rules/order_up_to/low",
        "/effects/dividend/high",
        "/parties/kaizen2/rows/3/change/value",
        "/lean/kaizen2/cost/transport",
        "/lean/isolated/throughput_days",
    ):
        assert needed in told
    assert unmarked(headline(said)) in read.text
    hidden = [name for name, effect in said["effects"].items() if effect is not None and not effect["shown"]]
    assert read.text.count("no effect shown") >= len(hidden)
    assert said["effects"]["interaction"] is not None


def test_what_is_drawn_over_time_is_what_the_files_say(result: Path, read: Read) -> None:
    """Learning curves row by row, and waste as the mean over seeds."""
    folder = result / "results" / "electric_car" / "kaizen2" / "Improver"
    curves = [c for c in read.data["learning"] if c["regime"] == "kaizen2"]
    assert [c["seed"] for c in curves] == [0, 1]
    for curve in curves:
        with (folder / f"seed_{curve['seed']}" / "training.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert curve["columns"]["step"] == [float(row["step"]) for row in rows]
        assert curve["columns"]["length"] == pytest.approx([float(row["length"]) for row in rows], rel=1e-4)
    left = [read_evaluation(folder / f"seed_{seed}" / "waste.csv")["waste_remaining"] for seed in (0, 1)]
    drawn_waste = read.data["waste"]["regimes"]["kaizen2"]["waste_remaining"]
    assert drawn_waste == pytest.approx(np.mean(left, axis=0), rel=1e-4)
    assert drawn_waste[0] == 1.0 > drawn_waste[-1]
    assert read.data["waste"]["periods"] == list(range(-3, 15))
    assert read.data["waste"]["counted"] == 12


def test_the_replay_is_the_first_world_of_the_evaluation(result: Path, read: Read) -> None:
    """Seen to fail: with the second seed of the evaluation; with the policy of another training."""
    recordings = {recording["label"]: recording for recording in read.data["replay"]["recordings"]}
    assert set(recordings) == {"static", "isolated", "aligned", "transparent", "kaizen2", EVIL}
    for regime in ("static", "isolated", "kaizen2"):
        recording, value = recordings[regime], world_0(result, regime)
        assert recording["mean"] == pytest.approx(value, rel=1e-9)
        frames = recording["frames"]
        assert [frame["period"] for frame in frames] == list(range(-3, 15))
        assert frames[-1]["so_far"] == pytest.approx(12 * value, rel=1e-8)
        counted = [frame["value"] * (0 < frame["period"] <= 12) for frame in frames]  # a frame is the end of a period
        assert np.cumsum(counted) == pytest.approx([f["so_far"] for f in frames], rel=1e-7)
    assert recordings["isolated"]["frames"] != recordings["kaizen2"]["frames"]
    assert recordings["static"]["frames"][-1]["waste_left"] == 1.0
    assert set(recordings["kaizen2"]["frames"][-1]["open_twin"]) == {1}
    assert read.data["replay"]["pair"] == [1, 4]


def test_a_frame_is_the_state_of_its_period() -> None:
    """Against an episode that is recorded whole. Seen to fail: without work in process; with the links of markets
    before those of trade."""
    env = BatchEnv("electric_car", "kaizen2", 1, auto_reset=False, periods=9)
    part = shown(env.network)
    frames = record(env, make_policy("order_up_to"), 5, 0, "a", part, Window(9)).frames
    whole = run(make_policy("order_up_to"), env.scenario, "kaizen2", [5], record=("states", "flows")).trajectory
    assert whole is not None
    states, flows, network = whole.states, whole.flows, whole.network
    for t in range(1, 9):
        frame = frames[t]
        assert frame["on_hand"] == pytest.approx(states.on_hand[t, :, 0])
        assert frame["in_process"] == pytest.approx(states.work_in_process[t, :, :, 0].sum(axis=0))
        for i, trade in enumerate(part.trade):
            sale, purchase = part.sale[i], part.purchase[i]
            assert frame["shipped"][i] == pytest.approx(flows.shipped[t - 1, sale, 0])
            assert frame["in_transit"][i] == pytest.approx(states.in_transit[t, :, purchase, 0].sum())
            assert network.sale.seller[sale] == network.trade.seller[trade]
            assert network.purchase.buyer[purchase] == network.trade.buyer[trade]
        # What a company is late with is what it is late with on its links.
        sellers = network.sale.seller[part.sale]
        assert frame["late"] == pytest.approx(np.bincount(sellers, frame["backlog"], network.companies))


def test_large_networks_and_long_episodes_are_thinned_out() -> None:
    scenario = load_scenario({"random": {"companies": 60, "seed": 2}}).changed(periods=30)
    env = BatchEnv(scenario, {"twin": "echelon"}, 1, auto_reset=False)
    part = shown(env.network, most=20)
    worth = (env.network.company.throughput * env.network.company.standard_cost)[:, 0]
    assert worth[part.company].min() >= np.delete(worth, part.company).max()
    kept = kept_moments(30, part, 2, most=4000)
    assert kept[0] == 0
    assert kept[-1] == 30
    assert 2 < len(kept) < 31
    found = record(env, make_policy("order_up_to"), 0, 0, "a", part, Window(30), kept)
    assert [frame["period"] for frame in found.frames] == kept
    data = stage(part, [found], Window(30))
    assert data["left_out"] == 40
    assert {len(data["recordings"][0]["frames"][0][name]) for name in ("on_hand", "late", "waste")} == {20}
    numbers = sum(np.size(v) for frame in found.frames for v in frame.values())
    assert numbers <= 4000 / 2 + numbers / len(kept)  # the last period comes on top
    whole = run(make_policy("order_up_to"), scenario, {"twin": "echelon"}, [0])
    assert found.frames[-1]["so_far"] == pytest.approx(30 * whole.end_customer_value[0])  # of all companies


@pytest.fixture(scope="module", params=["a rule", "a learner that fails"])
def little(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of which little came: one regime that is none of the named ones, and a rule, or a learner that fails."""
    policy = "order_up_to" if request.param == "a rule" else "policies.py:Raises"
    changes = {"policy": policy, "rules": ["static"]}
    return made(tmp_path_factory.mktemp("little"), ONE | changes)


def test_a_page_of_little(little: Path) -> None:
    read = Read(little / "report.html")
    said = read_json(little / "summary.json")
    assert said["effects"]["dividend"] is None
    assert read.data["learning"] == []
    (recording,) = read.data["replay"]["recordings"]
    assert recording["policy"] == ("order_up_to" if not said["failed"] else "static")
    assert len(recording["frames"]) == 9
    assert ("1 failed" in read.text) == bool(said["failed"])


# --- in a browser ----------------------------------------------------------------------------------------------------


def clock(page: Any) -> str:
    return page.inner_text("#clock")


def until(page: Any, start: str) -> None:
    """Wait until the clock of the replay begins so: from outside, because the page allows no script but its own."""
    end = time.monotonic() + 10.0
    while not clock(page).startswith(start):
        assert time.monotonic() < end, clock(page)
        time.sleep(0.02)


def slide(page: Any, period: int) -> None:
    page.evaluate(
        "n => { const s = document.getElementById('period'); s.value = n; s.dispatchEvent(new Event('input')); }",
        period,
    )


@pytest.mark.parametrize("width", [1280, 400])
def test_it_loads_and_fits(browser: Any, result: Path, width: int) -> None:
    """Without a complaint or a request. Seen to fail: with a wrong hash of a script; with a request; with tables that
    do not scroll in their box."""
    with opened(browser, result / "report.html", width) as page:
        assert overflow(page) <= 0
        assert page.title() == "config: report"
        said = read_json(result / "summary.json")
        found = page.evaluate(
            "[...document.querySelectorAll('[data-from]')].map(e => [e.dataset.from, e.dataset.form, e.textContent])"
        )
        assert len(found) > 200
        for pointer, form, text in found:
            assert text == formed(at(said, pointer), form), pointer
        for chart in ("#values-chart .whisker", "#curves canvas", "#muda-bars .bars", "#waste-plot canvas"):
            assert page.locator(chart).count() >= 1, chart
        assert page.locator("#curves canvas").count() == 6
        sizes = page.evaluate(
            "[...document.querySelectorAll('main *')].filter(e => e.childNodes.length && e.innerText)"
            ".map(e => parseFloat(getComputedStyle(e).fontSize))"
        )
        assert min(sizes) >= 12
        tops = page.evaluate("[...document.querySelectorAll('.network')].map(e => e.getBoundingClientRect().top)")
        assert (tops[0] == tops[1]) == (width == 1280)  # beside each other, or stacked
        names = page.evaluate("document.querySelector('.network')._cyreg.cy.nodes().map(n => n.style('label'))")
        assert "assembly" in names


def test_play_pause_and_slide(browser: Any, result: Path) -> None:
    """Seen to fail: with a pause that does not stop; with a picture that stays; with a slider without effect."""
    with opened(browser, result / "report.html") as page:
        assert clock(page) == "start, 0 of 12 periods"
        before = drawn(page, 0), drawn(page, 1)
        page.locator("#play").focus()
        page.keyboard.press("Space")  # by the keyboard
        until(page, "period 2 ")
        assert page.inner_text("#play") == "Pause"
        page.click("#play")
        stopped = clock(page)
        assert page.inner_text("#play") == "Play"
        assert (drawn(page, 0), drawn(page, 1)) != before
        time.sleep(1.3)  # two periods
        assert clock(page) == stopped
        slide(page, 15)
        assert clock(page) == "period 12 of 12, day 84"
        slide(page, 0)
        assert clock(page) == "warm-up, 3 before the start (not counted)"
        slide(page, 17)
        assert clock(page) == "tail, 2 after the end (not counted)"
        for side, regime in enumerate(("isolated", "kaizen2")):
            shown_value = page.locator(".value").nth(side).inner_text()
            assert shown_value == formed(12 * world_0(result, regime), "number")
        more = 12 * (world_0(result, "kaizen2") - world_0(result, "isolated"))
        assert page.inner_text("#difference b") == formed(more, "signed")
        page.click("#play")  # at the end it begins anew
        until(page, "period 1 ")


def test_the_picture_is_that_of_the_period(browser: Any, result: Path, read: Read) -> None:
    """Waste in the slices, open twins in the halos, late orders in red, on both sides."""
    with opened(browser, result / "report.html") as page:
        slide(page, 9)
        for side, place in enumerate(read.data["replay"]["pair"]):
            frame = read.data["replay"]["recordings"][place]["frames"][9]
            nodes = {data["id"]: data for data in drawn(page, side)}
            for i, waste in enumerate(frame["waste"]):
                assert nodes[f"c{i}"]["waste"] == pytest.approx(100 * waste)
                assert (nodes[f"c{i}"]["halo"] > 0) == bool(frame["open_twin"][i])
            late = page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--late').trim()")
            trades = read.data["replay"]["trades"]
            for i, link in enumerate(trades):
                assert (nodes[f"t{i}"]["colour"] == late) == (frame["backlog"][i] > 0.001 * link["usual"])
        page.select_option("#look-at", label="assembly")
        row = page.locator("#numbers tbody tr").first.inner_text().split("\t")
        pair = [read.data["replay"]["recordings"][place] for place in read.data["replay"]["pair"]]
        names = [company["name"] for company in read.data["replay"]["companies"]]
        on_hand = [recording["frames"][9]["on_hand"][names.index("assembly")] for recording in pair]
        assert row == ["on hand, units", *(formed(value, "number") for value in on_hand)]


def test_another_regime_another_replay(browser: Any, result: Path) -> None:
    with opened(browser, result / "report.html") as page:
        slide(page, 15)  # the end of what is counted
        left, right = drawn(page, 0), drawn(page, 1)
        page.locator(".which").nth(1).select_option(label="static (Improver)")
        assert drawn(page, 1) != right
        assert drawn(page, 0) == left
        assert page.locator(".value").nth(1).inner_text() == formed(12 * world_0(result, "static"), "number")
        assert page.inner_text("#difference").startswith("static less isolated")
        page.locator(".which").nth(1).select_option(label=f"{EVIL} (Improver)")
        assert page.title() == "config: report"
        assert EVIL in page.inner_text("#difference")


def test_charts_tell_what_is_under_the_pointer(browser: Any, result: Path) -> None:
    said = read_json(result / "summary.json")
    with opened(browser, result / "report.html") as page:
        page.locator("#values-chart .whisker").first.hover()
        assert formed(said["regimes"]["static"]["learner"]["value"], "number") in page.inner_text("#tip")
        page.select_option("#before", label="static")
        page.locator("#muda-bars .bars").first.hover()
        costs = [formed(said["lean"][regime]["cost"]["transport"], "number") for regime in ("static", "kaizen2")]
        assert page.inner_text("#tip").startswith(f"transport: {costs[0]} under static, {costs[1]} under kaizen2")
        page.locator("#waste-plot .u-over").hover()
        assert "—" not in page.inner_text("#waste-plot .u-legend")


@pytest.mark.parametrize("width", [1280, 400])
def test_a_page_of_little_loads_and_plays(browser: Any, little: Path, width: int) -> None:
    with opened(browser, little / "report.html", width) as page:
        assert overflow(page) <= 0
        slide(page, 8)
        assert clock(page).startswith("period 8 of 8")
        assert page.locator(".network").count() == 1
