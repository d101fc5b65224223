"""The replay as a part of a page, and a page of replays alone."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from kaizen_env import BatchEnv, DescriptionError

from ...policy import Policy, PolicyError
from ...rollout import SlowPolicyWarning
from ...window import Window
from ..comparison_tables import number
from .page import facts, page, section
from .replay import Recording, Shown, record, shown, stage

SIDE = """<div class="side" data-side="{side}">
<label>{name} <select class="which" aria-label="Regime of the {name} network"></select></label>
<p class="so-far"><span class="tag"></span> End-customer value so far: <output class="value"></output></p>
<div class="network" role="img" aria-label="The {name} network"></div>
<p class="why-not" hidden></p>
</div>"""
KEY = """<ul class="key" aria-label="What is drawn">
<li><i class="stock"></i>company; the larger, the more finished stock in periods of usual output</li>
{wastes}<li><i class="late"></i>red rim or link: orders that should have been shipped, and wait</li>
<li><i class="flow"></i>link: the wider, the more was shipped against the usual</li>
<li><i class="open"></i>halo: its twin is open to the network</li>
<li><i class="market"></i>end customers</li>
</ul>"""
WASTES = '<li><i class="waste"></i>amber: the waste that is left, of today\'s</li>\n'


def tried(
    env: BatchEnv,
    make: Any,
    luck: int,
    seed: int,
    label: str,
    called: str,
    part: Shown | None,
    window: Window,
    moments: Sequence[int],
) -> Recording:
    """A recording of the policy that `make()` gives; where it fails, one that says why."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SlowPolicyWarning)  # it was told when the policy was evaluated
            policy: Policy = make()
            found = record(env, policy, luck, seed, label, part or shown(env.network), window, moments)
    except (PolicyError, DescriptionError) as error:
        return Recording.missing(label, called, " ".join(str(error).split()))
    found.policy = called
    return found


def replay(
    part: Shown, recordings: Sequence[Recording], pair: tuple[int, int], window: Window, kept: Sequence[int]
) -> tuple[str, Any]:
    """HTML of the replay, and the data that moves it; `pair` are the recordings to begin with, left and right."""
    data = stage(part, recordings, window) | {"pair": list(pair)}
    sides = ("left", "right") if len(recordings) > 1 else ("shown",)
    told = []
    if data["left_out"]:
        companies = part.network.companies
        told.append(
            f"Of {companies:,} companies the {len(part.company)} with the largest flow of goods (by standard cost) are"
            " drawn; money counts all of them."
        )
    if len(kept) < window.length + 1:
        told.append(f"Of {window.length} periods {len(kept) - 1} are kept; sums of money count all that are counted.")
    if window.length > window.periods:
        told.append(f"Counted are {window}; what is not counted is grey.")
    told.append("Supply from outside the network is not drawn; a company's waste includes that of its purchase links.")
    html = f"""<div id="replay-box">
<div class="controls">
<button type="button" id="play">Play</button>
<label class="slide"><span class="hidden">Period</span>\
<input type="range" id="period" min="0" value="0" step="1"></label>
<output id="clock" for="period"></output>
</div>
<div class="sides">{"".join(SIDE.format(side=i, name=name) for i, name in enumerate(sides))}</div>
<p id="difference"></p>
{KEY.format(wastes=WASTES if data["wastes"] else "")}
<div class="plots"><div class="plot" id="so-far-plot"></div><div class="plot" id="difference-plot"></div></div>
<label>Look at <select id="look-at"></select></label>
<div class="wide" tabindex="0" role="region" aria-label="Numbers of the period"><table id="numbers"><thead></thead>\
<tbody></tbody></table></div>
<p class="quiet">{escape(" ".join(told))}</p>
</div>"""
    return html, data


def replay_page(
    title: str,
    part: Shown,
    recordings: Sequence[Recording],
    window: Window,
    kept: Sequence[int],
    made: Mapping[str, str],
) -> str:
    """A page of replays alone; `made` says how it was made, names and texts."""
    html, data = replay(part, recordings, (0, min(1, len(recordings) - 1)), window, kept)
    scenario = part.network.scenario
    days = f"{scenario.period_days:g} day{'' if scenario.period_days == 1 else 's'}"
    cards = "".join(
        f"<div><dt>{escape(r.label)}: value per period</dt>"
        f"<dd><b>{'—' if r.why_not else number(r.value)}</b></dd></div>"
        for r in recordings
    )
    body = "\n".join(
        (
            f"<header>\n<h1>{escape(title)}</h1>\n"
            f'<p class="quiet">{escape(scenario.title or scenario.name)}, one world, {window.periods} periods of'
            f' {days}; end-customer value</p>\n<dl class="cards">{cards}</dl>\n</header>',
            section("replay", "Replay", html),
            section("made", "How this was made", facts(made)),
        )
    )
    return page(title, body, {"replay": data})
