"""Experiments as data: what a config file may say, and what it stands for once all that it names has been found.

A file is YAML with only what differs from the defaults. Unknown keys and impossible values are refused with their
place. A path in it starts at the file, or else where the command is run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from kaizen_env import REGIMES, BatchEnv, DescriptionError, Regime, Scenario, load_regime, load_scenario, scenarios
from kaizen_env.description import Name, Part
from kaizen_env.errors import from_validation, near

from ..loading import load_policy, make_policy
from ..policy import Policy
from .reading import changed, read_yaml

REFERENCE = "static"  # what every policy is compared with
MOST_WORLDS = 1_000_000
EVALUATION = 2**40  # luck of evaluation has seeds from here on; that of training has smaller ones
Seed = Annotated[int, Field(ge=0, lt=2**31, strict=True)]


class Evaluation(Part):
    """The worlds in which policies are compared: the same luck for all."""

    worlds: Annotated[int, Field(ge=1, le=MOST_WORLDS, strict=True)] = 100
    seed: Seed = 0  # another number, other worlds

    def seeds(self) -> list[int]:
        """One seed of luck per world. No training meets them, and no other evaluation seed shares one."""
        first = EVALUATION + self.seed * MOST_WORLDS
        return list(range(first, first + self.worlds))


class PolicyChoice(Part):
    """A policy to make, by name or place, or one that is saved in a folder."""

    name: str | None = None  # order_up_to, package.module:Class, path/to/file.py:Class
    saved: str | None = None  # a folder that save_policy wrote, in place of a name
    options: dict[str, Any] = Field(default_factory=dict)
    label: Name | None = None  # in tables and folders; by default its name
    scenarios: list[str] | None = None  # where it takes part; by default everywhere
    regimes: list[str] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, given: Any) -> Any:
        return {"name": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.name is None) == (self.saved is None):
            raise ValueError("a policy has either a name or a folder where it is saved, e.g. name: order_up_to")
        if self.saved is not None and self.options:
            raise ValueError("a saved policy brings its own options; leave them out")
        return self

    @property
    def called(self) -> str:
        """Its label, or else the last part of its name or folder."""
        if self.label is not None:
            return self.label
        return self.saved if self.saved is not None else str(self.name).rpartition(":")[2]

    @property
    def file(self) -> Path | None:
        """The file of its class, where it is named by file."""
        place = (self.name or "").rpartition(":")[0]
        return Path(place) if place.endswith(".py") else None

    def make(self, env: BatchEnv | None = None) -> Policy:
        """The policy. Raises PolicyError; with `env` also for a saved one that was made for another."""
        if self.saved is not None:
            return load_policy(self.saved, env)
        return make_policy(str(self.name), **self.options)

    def takes_part(self, scenario: str, regime: str) -> bool:
        return scenario in (self.scenarios or [scenario]) and regime in (self.regimes or [regime])


class Config(Part):
    """What every experiment may say."""

    name: Name | None = None  # by default the name of the file
    seeds: Annotated[list[Seed], Field(min_length=1, default_factory=lambda: [0])]  # one training each
    evaluation: Evaluation = Evaluation()
    tensorboard: bool = True

    @field_validator("seeds")
    @classmethod
    def _different(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"seeds are given twice: {seeds}; each stands for one training")
        return seeds


class TrainConfig(Config):
    """One policy in one regime of one network, with any seeds."""

    scenario: Any  # what load_scenario takes
    regime: Any  # a name, axes, or {regime: NAME, axes …}; with a label where wanted
    policy: PolicyChoice


class BenchmarkConfig(Config):
    """Policies × scenarios × regimes; learners are trained first, with every seed."""

    scenarios: Annotated[list[Any], Field(min_length=1)]
    regimes: Annotated[list[Any], Field(min_length=1)]
    policies: Annotated[list[PolicyChoice], Field(min_length=1)]


@dataclass(frozen=True)
class Experiment:
    """A config with everything found that it names, by label."""

    name: str
    scenarios: dict[str, Scenario]
    regimes: dict[str, Regime]
    policies: dict[str, PolicyChoice]
    seeds: tuple[int, ...]
    evaluation: Evaluation
    tensorboard: bool
    config: dict[str, Any]  # complete, as plain data; scenarios as they were given

    def naming(self, places: Sequence[str]) -> dict[str, Any]:
        """The complete config with these places of scenarios."""
        which = {"scenario": places[0]} if "scenario" in self.config else {"scenarios": list(places)}
        return self.config | which


def load_experiment(
    path: str | Path, kind: type[TrainConfig] | type[BenchmarkConfig], changes: Sequence[str] = (), more: Any = ()
) -> Experiment:
    """The experiment of a config file, with `changes` (`key.key=value`) and `more` policies (of a benchmark).

    Raises DescriptionError with one line per problem: file, place, what was got, what is allowed, the mend.
    """
    file = Path(path)
    data = read_yaml(file)
    for change in changes:
        data = changed(data, change)
    if more and isinstance(data.get("policies", []), list):
        data["policies"] = [*data.get("policies", []), *map(_named_on_command_line, more)]
    try:
        config = kind.model_validate(data)
    except ValidationError as error:
        raise from_validation(error, str(file), kind) from None
    one = isinstance(config, TrainConfig)
    parts = _Parts(file)
    given = [config.scenario] if one else config.scenarios
    found = parts.scenarios(given, "scenario" if one else "scenarios[{}]")
    regimes = parts.regimes([config.regime] if one else config.regimes, "regime" if one else "regimes[{}]")
    choices = [config.policy] if one else config.policies
    if not one and not any(choice.called == REFERENCE for choice in choices):
        choices = [*choices, PolicyChoice(name=REFERENCE)]
    policies = parts.policies(choices, found, regimes, "policy" if one else "policies[{}]")
    name = config.name or file.stem

    axes = [{"label": label, **regime.model_dump()} for label, regime in regimes.items()]
    chosen = [choice.model_dump(mode="json", exclude_none=True) for choice in policies.values()]
    if one:
        what = {"scenario": given[0], "regime": axes[0], "policy": chosen[0]}
    else:
        what = {"scenarios": given, "regimes": axes, "policies": chosen}
    rest = {
        "seeds": config.seeds,
        "evaluation": config.evaluation.model_dump(),
        "tensorboard": config.tensorboard,
    }
    return Experiment(
        name=name,
        scenarios=found,
        regimes=regimes,
        policies=policies,
        seeds=tuple(config.seeds),
        evaluation=config.evaluation,
        tensorboard=config.tensorboard,
        config={"name": name, **what, **rest},
    )


def _named_on_command_line(text: str) -> dict[str, str]:
    """A policy given as a word: the folder of a saved one, or a name."""
    return {"saved": text} if (Path(text) / "policy.json").is_file() else {"name": text}


class _Parts:
    """Finds what a config file names; errors begin with the file and the place in it."""

    def __init__(self, file: Path) -> None:
        self.file, self.folder = file, file.resolve().parent

    def scenarios(self, given: Sequence[Any], place: str) -> dict[str, Scenario]:
        found: dict[str, Scenario] = {}
        for i, spec in enumerate(given):
            scenario = self._tried(place.format(i), lambda spec=spec: self._scenario(spec))
            self._new(found, scenario.name, place.format(i), f"{{scenario: {scenario.name}, name: another}}")
            found[scenario.name] = scenario
        return found

    def _scenario(self, spec: Any) -> Scenario:
        if isinstance(spec, str):
            return load_scenario(spec if spec in scenarios() else self.path(spec))
        if not isinstance(spec, Mapping):
            raise DescriptionError(f"got {spec!r}; allowed: a built-in name, the path of a YAML file, or a mapping")
        fields = dict(spec)
        for key in ("scenario", "willems"):
            if isinstance(fields.get(key), str) and fields[key] not in scenarios():
                fields[key] = self.path(fields[key])
        return load_scenario(fields, self.folder)

    def regimes(self, given: Sequence[Any], place: str) -> dict[str, Regime]:
        found: dict[str, Regime] = {}
        for i, spec in enumerate(given):
            label, regime = self._tried(place.format(i), lambda spec=spec: _regime(spec))
            self._new(found, label, place.format(i), "{regime: kaizen2, alignment: 0.5, label: half}")
            found[label] = regime
        return found

    def policies(
        self, given: Sequence[PolicyChoice], found: Mapping[str, Any], regimes: Mapping[str, Any], place: str
    ) -> dict[str, PolicyChoice]:
        chosen: dict[str, PolicyChoice] = {}
        for i, choice in enumerate(given):
            where, label = place.format(i), choice.called
            self._new(chosen, label, where, f"{{name: {choice.name or 'another'}, label: another}}")
            for key, allowed in (("scenarios", found), ("regimes", regimes)):
                for name in getattr(choice, key) or ():
                    if name not in allowed:
                        raise DescriptionError(
                            f"{self.file}: {where}.{key}: there is no '{name}' here{near(name, allowed)}; allowed:"
                            f" {', '.join(allowed)}"
                        )
            changes: dict[str, Any] = {"label": label}
            if choice.saved is not None:
                changes["saved"] = self.path(choice.saved)
            elif choice.file is not None:
                changes["name"] = f"{self.path(str(choice.file))}:{str(choice.name).rpartition(':')[2]}"
            chosen[label] = choice.model_copy(update=changes)
        return chosen

    def path(self, text: str) -> str:
        """Beside the config file, or else where the command is run; as it is where there is neither."""
        for start in (self.folder, Path.cwd()):
            if (start / Path(text).expanduser()).exists():
                return str((start / Path(text).expanduser()).resolve())
        return text

    def _new(self, found: Mapping[str, Any], label: str, where: str, example: str) -> None:
        if label in found:
            raise DescriptionError(
                f"{self.file}: {where}: '{label}' is there already; call one of them otherwise, e.g. {example}"
            )

    def _tried(self, where: str, find: Callable[[], Any]) -> Any:
        try:
            return find()
        except DescriptionError as error:
            lines = str(error).split("\n")
            raise DescriptionError("\n".join(f"{self.file}: {where}: {line}" for line in lines)) from None


def _regime(spec: Any) -> tuple[str, Regime]:
    """Label and regime of a name, of axes, or of a named regime with some axes changed."""
    if not isinstance(spec, Mapping):
        regime = load_regime(spec)
        return str(spec), regime
    axes = dict(spec)
    label, base = axes.pop("label", None), axes.pop("regime", None)
    regime = load_regime(axes) if base is None else load_regime(base, **axes)
    if label is None:
        label = next((name for name, named in REGIMES.items() if named == regime), None) or _axes_in_words(regime)
    if not isinstance(label, str) or not label:
        raise DescriptionError(f"label: got {label!r}; a word is needed")
    return label, regime


def _axes_in_words(regime: Regime) -> str:
    return ", ".join(f"{axis} {value}" for axis, value in regime.model_dump(exclude_defaults=True).items())


def as_yaml(data: Mapping[str, Any]) -> str:
    """Plain data as YAML text, keys in their order."""
    return yaml.safe_dump(dict(data), sort_keys=False, allow_unicode=True, width=110)
