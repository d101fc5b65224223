"""Experiments as data: what a config file may say, and what it stands for once all that it names has been found.

A file is YAML with only what differs from the defaults. Unknown keys and impossible values are refused with their
place. A path in it starts at the file, or else where the command is run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import yaml
from pydantic import Field, field_validator, model_validator

from kaizen_env import BatchEnv, Regime, Scenario
from kaizen_env.description import Name, Part

from ..loading import load_policy, make_policy
from ..policy import Policy
from ..window import Window

REFERENCE = "static"  # what every policy is compared with
COMPARED = ("static", "isolated", "transparent", "aligned", "kaizen2")
MOST_WORLDS = 1_000_000
EVALUATION = 2**40  # luck of evaluation has seeds from here on; that of training has smaller ones
Weight = Annotated[float, Field(allow_inf_nan=False)]
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

    kind: ClassVar[str] = "experiment"
    name: Name | None = None  # by default the name of the file
    seeds: Annotated[list[Seed], Field(min_length=1, default_factory=lambda: [0])]  # one training each
    evaluation: Evaluation = Evaluation()
    # Periods that are simulated before and after what is counted; by default those of the scenario, or the rule of
    # `agents.window`.
    warm_up: Annotated[int, Field(ge=0, strict=True)] | None = None
    tail: Annotated[int, Field(ge=0, strict=True)] | None = None
    tensorboard: bool = True

    @field_validator("seeds")
    @classmethod
    def _different(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"seeds are given twice: {seeds}; each stands for one training")
        return seeds


class TrainConfig(Config):
    """One policy in one regime of one network, with any seeds."""

    kind: ClassVar[str] = "train"

    scenario: Any  # what load_scenario takes
    regime: Any  # a name, axes, or {regime: NAME, axes …}; with a label where wanted
    policy: PolicyChoice

    def more(self) -> dict[str, Any]:
        """What a config built on this one says beyond it, as plain data."""
        return {}


class BenchmarkConfig(Config):
    """Policies × scenarios × regimes; learners are trained first, with every seed."""

    kind: ClassVar[str] = "benchmark"

    scenarios: Annotated[list[Any], Field(min_length=1)]
    regimes: Annotated[list[Any], Field(min_length=1)]
    policies: Annotated[list[PolicyChoice], Field(min_length=1)]
    foresight: bool = False  # whether results are also told as shares of what foresight reaches


class CompareConfig(Config):
    """One network under several regimes, all served by one policy, which is trained for each with every seed."""

    kind: ClassVar[str] = "compare"
    scenario: Any
    # As for a training; `scenario: {field: value, …}` in one changes the network under this regime alone.
    regimes: Annotated[list[Any], Field(min_length=1, default_factory=lambda: list(COMPARED))]
    baseline: str | None = None  # the regime that gains are counted from; by default isolated, or else the first
    effects: dict[Name, dict[str, Weight]] | None = None  # what is added and taken away; by default `EFFECTS`
    policy: PolicyChoice
    rules: list[PolicyChoice] = Field(default_factory=list)  # also run, wherever the regime shows them enough
    foresight: bool = False  # whether results are also told as shares of what foresight reaches

    @model_validator(mode="after")
    def _serves_all(self) -> Self:
        if self.policy.regimes is not None:
            raise ValueError("policy serves every regime; leave out its regimes, and list others under rules")
        return self


@dataclass(frozen=True)
class Experiment:
    """A config with everything found that it names, by label."""

    name: str
    kind: str  # train, benchmark or compare
    scenarios: dict[str, Scenario]
    regimes: dict[str, Regime]
    policies: dict[str, PolicyChoice]
    seeds: tuple[int, ...]
    evaluation: Evaluation
    tensorboard: bool
    config: dict[str, Any]  # complete, as plain data; scenarios as they were given
    windows: dict[str, Window]  # what is counted of an episode, by scenario
    cases: dict[str, Scenario] = field(default_factory=dict)  # networks of regimes that have one of their own

    def naming(self, places: Sequence[str]) -> dict[str, Any]:
        """The complete config with these places of scenarios."""
        which = {"scenario": places[0]} if "scenario" in self.config else {"scenarios": list(places)}
        return self.config | which


def as_yaml(data: Mapping[str, Any]) -> str:
    """Plain data as YAML text, keys in their order."""
    return yaml.safe_dump(dict(data), sort_keys=False, allow_unicode=True, width=110)
