"""scripts/watch.py: a page with a replay of any policy on any scenario, and clear words where that cannot be."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import experimenting
import pytest
import yaml
from browsing import chromium, drawn, opened, overflow

from agents.loading import make_policy, save_policy
from agents.rollout import run
from kaizen_env import BatchEnv, load_scenario

watch = experimenting.module("watch")


def page_data(file: Path) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', file.read_text(), re.DOTALL)
    assert found is not None
    return json.loads(found[1])["replay"]


def test_two_policies_in_the_same_luck(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Seen to fail: with another seed on the right."""
    asked = ["order_up_to", "electric_car", "--against", "worst_network_waste@kaizen2", "--seed", "7", "--periods", "9"]
    assert watch.main([*asked, "--output", "a.html"]) == 0
    assert capsys.readouterr().out == "a.html\n"
    recordings = page_data(place / "a.html")["recordings"]
    assert [r["label"] for r in recordings] == ["order_up_to @ isolated", "worst_network_waste @ kaizen2"]
    for recording, (policy, regime) in zip(
        recordings, (("order_up_to", "isolated"), ("worst_network_waste", "kaizen2")), strict=True
    ):
        assert len(recording["frames"]) == 10
        value = run(make_policy(policy), "electric_car", regime, [7], periods=9).end_customer_value[0]
        assert recording["mean"] == pytest.approx(value, rel=1e-9)


def test_a_saved_policy_has_the_regime_it_was_made_for(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And may play longer than it was made for. Seen to fail: with isolated for all."""
    env = BatchEnv("electric_car", "transparent", auto_reset=False)
    save_policy(make_policy("worst_network_waste"), place / "saved", env)
    assert watch.main(["saved", "electric_car", "--periods", "5", "--output", "a.html"]) == 0
    (recording,) = page_data(place / "a.html")["recordings"]
    assert recording["label"] == "transparent"
    assert recording["policy"] == "worst_network_waste"
    other = ["saved", "electric_car", "--periods", "5", "--against", "@kaizen2", "--output", "b.html"]
    assert watch.main(other) == 0
    assert [r["label"] for r in page_data(place / "b.html")["recordings"]] == ["transparent", "kaizen2"]
    axes = ["policies.py:Half", "serial", "--regime", "{twin: network, twin_lag: 2}", "--periods", "5"]
    assert watch.main([*axes, "--output", "c.html"]) == 0
    assert page_data(place / "c.html")["recordings"][0]["label"] == "twin network, objective own, twin lag 2"


def test_a_network_from_a_file(place: Path) -> None:
    (place / "mine.yaml").write_text(yaml.safe_dump(load_scenario("serial").model_dump(mode="json", exclude_none=True)))
    assert watch.main(["policies.py:as_ever", "mine.yaml", "--periods", "4"]) == 0
    (made,) = place.glob("*.html")
    assert len(page_data(made)["companies"]) == len(load_scenario("serial").companies)


def test_what_is_there_stays(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Seen to fail: without the look before writing."""
    (place / "notes.html").write_text("mine")
    asked = ["policies.py:Half", "serial", "--periods", "4", "--output", "notes.html"]
    assert watch.main(asked) == 2
    assert "notes.html is there already" in capsys.readouterr().err
    assert (place / "notes.html").read_text() == "mine"
    assert watch.main([*asked, "--force"]) == 0
    assert page_data(place / "notes.html")["horizon"] == 4


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["order_up_too", "serial"], "did you mean 'order_up_to'?"),
        (["order_up_to", "seriel"], "did you mean 'serial'?"),
        (["order_up_to", "none.yaml"], "none.yaml"),
        (["order_up_to", "serial", "--regime", "isolatd"], "did you mean 'isolated'?"),
        (["order_up_to", "serial", "--regime", "{twin: none}"], "regime: twin"),
        (["order_up_to", "serial", "--regime", "{twin: [}"], "regime: not valid YAML"),
        (["order_up_to", "serial", "--against", "@nowhere"], "there is no regime 'nowhere'"),
        (["order_up_to", "serial", "--against", "nobody@kaizen2"], "there is no agent 'nobody'"),
        (["walk.py:Walk", "serial"], "learns, and has learnt nothing yet: train it"),
        (["policies.py:RaisesInReset", "serial"], "policy 'RaisesInReset': reset raised ZeroDivisionError"),
        (["worst_network_waste", "electric_car"], "twin: own does not show"),
        ([".", "serial"], "holds no saved policy: policy.json is missing"),
        (["order_up_to", "serial", "--periods", "0"], "periods"),
        (["order_up_to", "serial", "--output", "."], "is a folder; name a file"),
        (["order_up_to", "serial", "--output", "none/a.html"], "there is no such folder"),
    ],
)
def test_what_cannot_be_used_is_said(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert watch.main(arguments) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert all(line.startswith("watch: ") for line in told.err.splitlines())
    assert not list(place.glob("*.html"))


def test_an_episode_that_fails_leaves_no_page(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert watch.main(["policies.py:Raises", "serial"]) == 1
    assert "policy 'Raises', period 0: act raised KeyError" in capsys.readouterr().err
    assert not list(place.glob("*.html"))


@pytest.mark.parametrize("against", [[], ["--against", "static"]])
def test_the_page_plays(place: Path, against: list[str]) -> None:
    assert watch.main(["order_up_to", "serial", *against, "--periods", "6", "--output", "a.html"]) == 0
    with chromium() as browser:
        for width in (1280, 400):
            with opened(browser, place / "a.html", width) as page:
                assert overflow(page) <= 0
                assert page.locator(".network").count() == 1 + bool(against)
                before = drawn(page, 0)
                page.locator("#period").focus()
                page.keyboard.press("End")  # the slider, by the keyboard
                assert page.inner_text("#clock").startswith("period 6 of 6")
                assert drawn(page, 0) != before
