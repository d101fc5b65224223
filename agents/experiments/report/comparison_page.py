"""`report.html` of a comparison: gathered from its summary, the files of its units, and a replay of one world."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from kaizen_env import BatchEnv
from kaizen_env.checks import pays_for_lateness
from kaizen_env.ledger import MUDA

from ...files import replace
from ...loading import load_policy
from ..comparison import finite
from ..comparison_tables import budget
from ..config import Experiment
from ..unit import Outcome, Unit, one_thread, read_evaluation, read_table
from . import sections
from .page import facts, page, section
from .replay import Recording, kept_moments, shown
from .replay_page import replay, tried

MOST_POINTS = 300  # of a learning curve
NAMED = ("numpy", "scipy", "torch", "stable_baselines3", "cma", "gymnasium", "pettingzoo")  # packages worth a line


def write_report(folder: Path, experiment: Experiment, outcomes: Sequence[Outcome], said: dict[str, Any]) -> Path:
    """Write `report.html` of a comparison into its run folder; the path of the file. Raises OSError.

    `said` is its summary; units that failed are named and left out.
    """
    done = [outcome for outcome in outcomes if outcome.values is not None]
    (scenario,) = experiment.scenarios.values()
    replayed, data = _replay(experiment, done, said)
    curves, waste = learning_curves(done), waste_curves(done, said["policy"])
    lean = {regime: of["cost"] for regime, of in said["lean"].items()}
    target = sections.target(said)
    body = (
        sections.opening(said, f"{scenario.title or scenario.name}: kaizen alone and together"),
        section("regimes", "Regimes", sections.regimes(said)),
        section("effects", "Effects", sections.effects(said)),
        section("learning", "Learning curves", LEARNING if curves else f"<p>{sections.plain(budget(said))}.</p>"),
        section("parties", "Who gains, who loses", sections.parties(said)),
        section("muda", "Where the muda went", MUDA_BARS if lean else "", sections.ledger(said), sections.flow(said)),
        section("waste", "Waste remaining over time", WASTE if waste["regimes"] else ""),
        section("replay", "Replay of one world", replayed),
        section("made", "How this was made", _made(folder, experiment, said)),
    )
    content = {
        "replay": data,
        "learning": curves,
        "waste": waste,
        "ledger": {"muda": list(MUDA), "cost": lean, "pair": [said["baseline"], target]},
        "baseline": said["baseline"],
        "policy": said["policy"],
    }
    written = folder / "report.html"
    replace(written, page(f"{said['name']}: report", "\n".join(body), finite(content)).encode())
    return written


LEARNING = """<label>Show <select id="curve"></select></label>
<div id="curves" class="grid"></div>
<p class="quiet">A line for each training seed. Regimes pay for different things, so that heights may be compared within
a regime alone; a curve that still rises belongs to a learner that is not trained to the end.</p>"""
MUDA_BARS = """<div class="pick"><label>Before <select id="before"></select></label>
<label>After <select id="after"></select></label></div>
<div id="muda-bars" class="chart"></div>"""
WASTE = """<label>Show <select id="waste-kind"></select></label>
<div class="plot" id="waste-plot"></div>
<p class="quiet">Mean over seeds and worlds; 1 = as at the start, 0 = none. Grey: simulated and not counted.</p>"""


def learning_curves(done: Sequence[Outcome]) -> list[dict[str, Any]]:
    """The log of every training: regime, seed, and columns of at most `MOST_POINTS` rows, the last among them."""
    found = []
    for outcome in done:
        unit = outcome.unit
        try:
            table = read_evaluation(unit.folder / "training.csv")
        except (OSError, ValueError):  # not trained, or trained by what logs no numbers
            continue
        rows = len(table.get("step", ()))
        if not rows:
            continue
        kept = np.unique(np.linspace(0, rows - 1, min(rows, MOST_POINTS)).round().astype(int))
        columns = {name: [_short(value) for value in column[kept]] for name, column in table.items()}
        label = {"regime": unit.regime_label, "policy": unit.policy.called, "seed": unit.seed}
        found.append({**label, "columns": columns})
    return found


def waste_curves(done: Sequence[Outcome], policy: str) -> dict[str, Any]:
    """Waste at the start of every period and at the end, of the policy under each regime, mean over seeds."""
    tables: dict[str, list[dict[str, np.ndarray]]] = {}
    for outcome in done:
        if outcome.unit.policy.called == policy:
            table = read_table(outcome.unit.folder / "waste.csv")
            numbers = {name: column.astype(np.float64) for name, column in table.items()}
            tables.setdefault(outcome.unit.regime_label, []).append(numbers)
    regimes = {
        regime: {
            name: [_short(v) for v in np.mean([t[name] for t in of], axis=0)] for name in of[0] if name != "period"
        }
        for regime, of in tables.items()
    }
    periods = max((of[0]["period"].tolist() for of in tables.values()), key=len, default=[])
    counted = max((outcome.unit.window.periods for outcome in done), default=0)
    return {"periods": periods, "regimes": regimes, "counted": counted}


def _replay(experiment: Experiment, done: Sequence[Outcome], said: Mapping[str, Any]) -> tuple[str, Any]:
    """The first world of the evaluation under every regime: by the policy, or where it failed by the best rule."""
    chosen: list[Unit] = []
    for regime, of in said["regimes"].items():
        called = said["policy"] if of["learner"] is not None else of["best_rule"]
        units = [o.unit for o in done if (o.unit.regime_label, o.unit.policy.called) == (regime, called)]
        chosen += units[:1]
    if not chosen:
        return "", None
    (window,) = experiment.windows.values()
    part = shown(_env(chosen[0]).network)
    kept = kept_moments(window.length, part, len(chosen))
    luck = experiment.evaluation.seeds()[0]
    one_thread()
    recordings: list[Recording] = []
    for unit in chosen:
        env = _env(unit)
        label = unit.regime_label
        make = partial(_policy, unit, env)
        recordings.append(tried(env, make, luck, unit.seed, label, unit.policy.called, part, window, kept))
    labels = [r.label for r in recordings]
    target = sections.target(said)
    left = labels.index(said["baseline"]) if said["baseline"] in labels else 0
    right = labels.index(target) if target in labels else len(labels) - 1
    html, data = replay(part, recordings, (left, right), window, kept)
    trained = f", training seed {chosen[0].seed}" if any(said["budget"].values()) else ""
    about = (
        f"The first world of the evaluation (luck {luck}){trained}: the same luck under every regime."
        " One world is an example; the tables above count all of them."
    )
    return f'<p class="quiet">{escape(about)}</p>\n{html}', data


def _env(unit: Unit) -> BatchEnv:
    return BatchEnv(unit.scenario, unit.regime, 1, auto_reset=False)


def _policy(unit: Unit, env: BatchEnv) -> Any:
    saved = unit.folder / "policy"
    return load_policy(saved, env) if (saved / "policy.json").exists() else unit.policy.make(env)


def _made(folder: Path, experiment: Experiment, said: Mapping[str, Any]) -> str:
    """Config, versions, seeds and budget."""
    (scenario,), (window,) = experiment.scenarios.values(), experiment.windows.values()
    rows = {
        "scenario": f"{scenario.name}: {len(scenario.companies)} companies, {scenario.periods} periods of"
        f" {scenario.period_days:g} days",
        "counted": str(window),
        "accounting": scenario.accounting,
        "policy": f"{said['policy']}, memory: {said['memory'] or 'unknown'}",
        "training seeds": ", ".join(map(str, said["seeds"])),
        "budget": sections.unmarked(budget(said)),
        "evaluation": f"{said['worlds']} worlds, luck from seed {experiment.evaluation.seed}",
        "rules": ", ".join(list(experiment.policies)[1:]) or "none",
        "allocation": scenario.allocation,
    }
    networks = (scenario, *experiment.cases.values())
    if paying := list(dict.fromkeys(line for network in networks for line in pays_for_lateness(network))):
        rows["contracts that pay for lateness"] = "; ".join(paying)
    try:
        version = json.loads((folder / "versions.json").read_text(encoding="utf-8"))[-1]
        rows["kaizen_env"] = _source(version)
        rows["Python"] = f"{version['python']}, {version['platform']}"
        packages = {name.replace("-", "_").lower(): v for name, v in version["packages"].items()}
        rows["packages"] = ", ".join(f"{name} {packages[name]}" for name in NAMED if name in packages)
    except (OSError, ValueError, LookupError, TypeError):
        rows["versions"] = "not known: versions.json cannot be read"
    try:
        config = (folder / "config.yaml").read_text(encoding="utf-8")
    except OSError as error:
        config = f"config.yaml cannot be read ({error.strerror})"
    return f"{facts(rows)}<details><summary>The complete config</summary><pre>{escape(config)}</pre></details>"


def _source(version: Mapping[str, Any]) -> str:
    git = version["git"]
    told = f", commit {git['commit'][:12]}{' with changes' if git['dirty'] else ''}" if git else ""
    return f"{version['kaizen_env']}{told}"


def _short(value: float) -> float:
    return float(f"{value:.5g}")
