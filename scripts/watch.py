"""Watch a policy on a scenario: a page with a replay of one world, alone or against another policy or regime.

    python scripts/watch.py order_up_to electric_car
    python scripts/watch.py order_up_to electric_car --against worst_network_waste@kaizen2
    python scripts/watch.py runs/quickstart/results/serial/kaizen2/pathwise/seed_0/policy serial --against @isolated
    python scripts/watch.py path/to/mine.py:Mine path/to/network.yaml --seed 7 --periods 52

POLICY is the name of a rule, path/to/file.py:Class, or the folder of a saved policy; SCENARIO a built-in name or a YAML
file. A regime is a name (static, isolated, transparent, aligned, kaizen2, super_enterprise) or its axes, such as
"{twin: network, alignment: 0.5, objective: network}"; by default a saved policy has that for which it was trained, all
others isolated. Both sides meet the same luck, which --seed fixes. The page is one HTML file for any browser.

Exit status: 0 the page is written; 1 it cannot be, or an episode failed; 2 the command cannot be used; 130 stopped by
Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from agents.experiments.command import UNUSABLE, contract_warnings_printed
from agents.experiments.folder import file_name, versions
from agents.experiments.report.replay import Recording, kept_moments, record, shown
from agents.experiments.report.replay_page import replay_page
from agents.files import replace
from agents.loading import load_policy, make_policy
from agents.policy import Policy, PolicyError, Setting
from agents.rollout import Guard
from agents.training import Learner
from agents.window import Window
from kaizen_env import REGIMES, BatchEnv, DescriptionError, Regime, Scenario, load_regime, load_scenario, scenarios
from kaizen_env.pictures.snapshot import regime_name

MOST_SEED = 2**63


class Side(NamedTuple):
    """A policy under a regime, found and fit for the scenario."""

    called: str
    regime: Regime  # as it was asked for; `env` also waits for the warm-up to pass
    policy: Policy
    env: BatchEnv
    note: str  # of a saved policy that was made for something else

    @property
    def regime_called(self) -> str:
        return regime_name(self.regime)

    @property
    def label(self) -> str:
        return f"{self.called} @ {self.regime_called}"


def parser() -> argparse.ArgumentParser:
    head, _, more = (__doc__ or "").partition("\n")
    made = argparse.ArgumentParser(
        prog="watch", description=head, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("policy", metavar="POLICY", help="a name, path/to/file.py:Class, or the folder of a saved policy")
    made.add_argument("scenario", metavar="SCENARIO", help="a built-in name, or a YAML file")
    made.add_argument("--regime", metavar="R", help="a name or axes (default: see below)")
    made.add_argument("--against", metavar="POLICY[@R]", help="what to show beside it; @R alone: the same policy")
    made.add_argument("--seed", metavar="N", type=_whole, default=0, help="of the luck (default 0)")
    made.add_argument("--periods", metavar="N", type=_whole, help="length of the episode (default: the scenario's)")
    for name, what in (("warm-up", "before"), ("tail", "after")):
        made.add_argument(
            f"--{name}", metavar="N", type=_whole, default=0, help=f"periods {what} it that do not count (default 0)"
        )
    made.add_argument("--output", metavar="FILE.html", type=Path, help="where to write (default: beside you)")
    made.add_argument("--force", action="store_true", help="write over a file that is there")
    return made


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) >= MOST_SEED:
        raise argparse.ArgumentTypeError(f"got '{text}'; allowed: a whole number from 0 on")
    return int(text)


def main(arguments: list[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    sys.path.append(os.getcwd())  # so that package.module:Class is found where the command is run
    try:
        with contract_warnings_printed("watch"):
            counted = _scenario(given.scenario, given.periods)
        window = Window(counted.periods, given.warm_up, given.tail)
        scenario = window.simulated(counted)
        sides = [_side(given.policy, given.regime, scenario, window)]
        if given.against is not None:
            name, regime = _against(given.against, given.policy)
            # Beside another regime of the same policy stands the regime of the left side, unless one is named.
            sides.append(_side(name, regime or given.regime, scenario, window))
        output = given.output or Path(_default_name(sides, scenario))
        _may_write(output, given.force)
    except UNUSABLE as error:
        for line in str(error).split("\n"):
            print(f"watch: {line}", file=sys.stderr)
        return 2
    try:
        text = _page(sides, scenario, window, given.seed)
        replace(output, text.encode())
    except PolicyError as error:
        print(f"watch: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"watch: {error.filename or output}: cannot be written ({error.strerror})", file=sys.stderr)
        return 1
    for side in sides:
        if side.note:
            print(f"watch: {side.note}", file=sys.stderr)
    print(output)
    return 0


def _scenario(text: str, periods: int | None) -> Scenario:
    """The scenario, of so many periods where they are given."""
    found = load_scenario(text) if text in scenarios() else load_scenario(Path(text))
    if periods is None:
        return found
    fields = {name: getattr(found, name) for name in found.model_fields_set}
    return load_scenario(fields | {"periods": periods})


def _against(text: str, policy: str) -> tuple[str, str | None]:
    """Policy and regime of POLICY@REGIME. An @ before what is neither a regime nor axes belongs to the policy."""
    name, at, regime = text.rpartition("@")
    if not at or ("/" in regime and not regime.lstrip().startswith("{")):
        return text, None
    return name or policy, regime


def _regime(text: str) -> Regime:
    """A regime by name or by axes in YAML."""
    if not text.lstrip().startswith("{"):
        return load_regime(text)
    try:
        axes = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DescriptionError(f"regime: not valid YAML: {' '.join(str(error).split())}") from None
    base = axes.pop("regime", None)
    return load_regime(axes) if base is None else load_regime(base, **axes)


def _side(spec: str, regime: str | None, scenario: Scenario, window: Window) -> Side:
    """A policy that can play `scenario`. Raises DescriptionError, PolicyError."""
    saved = Path(spec) if Path(spec).is_dir() else None
    made_for = _made_for(saved) if saved is not None else {}
    if regime is None and made_for:
        axes = load_regime(made_for["regime"])
    else:
        axes = REGIMES["isolated"] if regime is None else _regime(regime)
    env, note = BatchEnv(scenario, window.waiting(axes), 1, auto_reset=False), ""
    if saved is None:
        policy = make_policy(spec)
        if isinstance(policy, Learner):
            raise PolicyError(
                f"'{spec}' learns, and has learnt nothing yet: train it (scripts/train.py) and name the folder policy/"
                " of the run"
            )
    else:
        # It need only see and do what it was made for: a longer episode or another network are worth watching too.
        policy = load_policy(saved, env, anywhere=True)
        if made_for["scenario"] != scenario.name:
            note = f"{saved} was made for scenario '{made_for['scenario']}', and plays '{scenario.name}' here"
    Guard(policy, Setting.of(env, 0))  # says at once where a regime shows it too little
    return Side(_called(spec, saved, made_for), axes, policy, env, note)


def _made_for(folder: Path) -> dict[str, Any]:
    """What a saved policy says of itself. Raises PolicyError."""
    try:
        told = json.loads((folder / "policy.json").read_text(encoding="utf-8"))
        made_for = dict(told["made_for"])
        return {"policy": str(told["policy"]), "scenario": str(made_for["scenario"]), "regime": made_for["regime"]}
    except FileNotFoundError:
        raise PolicyError(f"{folder} is a folder and holds no saved policy: policy.json is missing") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PolicyError(f"the policy saved in {folder} is broken ({type(error).__name__}: {error})") from None


def _called(spec: str, saved: Path | None, made_for: dict[str, Any]) -> str:
    name = spec if saved is None else made_for["policy"]
    return name.rpartition(":")[2]


def _default_name(sides: list[Side], scenario: Scenario) -> str:
    parts = [scenario.name] + [part for side in sides for part in (side.called, side.regime_called)]
    return f"{file_name('-'.join(parts))}.html"


def _may_write(output: Path, force: bool) -> None:
    """Raise PolicyError where the page would take the place of something, or has no place."""
    if output.is_dir():
        raise PolicyError(f"{output} is a folder; name a file, e.g. --output {output / 'replay.html'}")
    if output.exists() and not force:
        raise PolicyError(f"{output} is there already; name another file with --output, or write over it with --force")
    if not output.parent.is_dir():
        raise PolicyError(f"{output.parent}: there is no such folder; make it, or name another file with --output")


def _page(sides: list[Side], scenario: Scenario, window: Window, luck: int) -> str:
    """The page. Raises PolicyError."""
    part = shown(sides[0].env.network)
    kept = kept_moments(window.length, part, len(sides))
    recordings: list[Recording] = []
    one_policy, one_regime = (len({getattr(side, of) for side in sides}) == 1 for of in ("called", "regime_called"))
    for side in sides:
        # What both have in common need not be said twice.
        label = side.regime_called if one_policy else side.called if one_regime else side.label
        found = record(side.env, side.policy, luck, 0, label, part, window, kept)
        found.policy = side.called
        recordings.append(found)
    told = versions()
    made = {
        "scenario": f"{scenario.name}: {len(scenario.companies)} companies",
        "counted": str(window),
        **{
            name: f"{side.label}; memory: {side.policy.memory}" + (f"; {side.note}" if side.note else "")
            for name, side in zip(("left", "right") if len(sides) > 1 else ("policy",), sides, strict=True)
        },
        "luck": f"seed {luck}, the same for both" if len(sides) > 1 else f"seed {luck}",
        "kaizen_env": told["kaizen_env"] + (f", commit {told['git']['commit'][:12]}" if told["git"] else ""),
        "Python": told["python"],
    }
    title = " against ".join(side.label for side in sides)
    return replay_page(title, part, recordings, window, kept, made)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nwatch: stopped; nothing was written", file=sys.stderr)
        sys.exit(130)
