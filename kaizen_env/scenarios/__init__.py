"""Scenarios by name, from YAML files, and from data: one way in, `load_scenario`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ..checks import pays_for_lateness
from ..description import Part, Scenario
from ..errors import ContractWarning, DescriptionError, from_validation, near
from .grouping import grouped
from .lateness import with_lateness
from .random_network import random_network
from .rivals import rivals
from .team import team
from .willems import load_willems

LOADERS = {"willems": load_willems, "random": random_network, "team": team, "rivals": rivals}
"""Keys that make a mapping a call of a loader; the other keys are its arguments."""


def scenarios() -> list[str]:
    """Names of the built-in scenarios."""
    return sorted(entry.name[:-5] for entry in resources.files(__name__).iterdir() if entry.name.endswith(".yaml"))


def load_scenario(spec: str | Path | Mapping[str, Any] | Scenario, folder: str | Path = "") -> Scenario:
    """A validated scenario from what the user gave.

    `spec` is a built-in name (`serial`), the path of a YAML file, a mapping with the fields of `Scenario`, or a
    mapping for a loader: `{willems: PATH, chain: 7, period_days: 7}`, `{random: {companies: 100, seed: 1}}`,
    `{rivals: {scenario: electric_car, sensitivity: 0.005}}`.
    `{scenario: NAME_OR_PATH, period_days: 7, …}` takes a scenario (also one that is there already) and changes fields
    of it, of `improvement`, `culture` and `contracts` those keys alone that are given, and with
    `groups: {company: owner, …}` who owns whom, with `lateness: none` what companies pay each other for being late (see
    `lateness.CONTRACTS`). Paths inside a mapping start at `folder`.
    Raises `DescriptionError` with one line per problem; a partial network is never returned. Warns (`ContractWarning`)
    where a trade link pays its buyer more for being served late than waiting costs it.
    """
    if isinstance(spec, Scenario):
        return spec
    scenario = _read(spec, folder)
    base = spec.get("scenario") if isinstance(spec, Mapping) else None
    known = pays_for_lateness(base) if isinstance(base, Scenario) else ()  # what the base had was told when it was read
    for line in pays_for_lateness(scenario):
        if line in known:
            continue
        warnings.warn(f"{scenario.name}: {line}", ContractWarning, stacklevel=2)
    return scenario


def _read(spec: str | Path | Mapping[str, Any], folder: str | Path = "") -> Scenario:
    if isinstance(spec, Mapping):
        return _from_mapping(dict(spec), "the scenario given", Path(folder))
    name = str(spec)
    if name in scenarios():
        with resources.as_file(resources.files(__name__) / f"{name}.yaml") as path:
            return _from_file(path)
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return _from_file(path)
    raise DescriptionError(
        f"there is no built-in scenario '{name}'{near(name, scenarios())}; built in: {', '.join(scenarios())};"
        " or give the path of a .yaml file"
    )


def _from_file(path: Path) -> Scenario:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DescriptionError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DescriptionError(f"{path}: cannot be read as UTF-8 text ({error})") from None
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DescriptionError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, Mapping):
        raise DescriptionError(f"{path}: found {type(data).__name__}; a scenario is a mapping of keys to values")
    return _from_mapping(dict(data), str(path), path.parent)


def _from_mapping(data: dict[str, Any], source: str, folder: Path) -> Scenario:
    for key, loader in LOADERS.items():
        if key in data:
            argument = data.pop(key)
            options = dict(argument) if isinstance(argument, Mapping) else {"path": argument}
            if "path" in options:  # beside the file that names it
                options["path"] = folder / str(options["path"])
            return loader(**_known(loader, options | data, f"{source}: {key}"))
    if "scenario" in data:
        base = data.pop("scenario")
        if not isinstance(base, Scenario):
            inside = folder / str(base)
            base = _read(inside if inside.is_file() else str(base))
        if "groups" in data:
            base = grouped(base, data.pop("groups"))
        if "lateness" in data:
            base = with_lateness(base, data.pop("lateness"))
        data = {name: getattr(base, name) for name in base.model_fields_set} | {
            name: _changed(getattr(base, name, None), given) for name, given in data.items()
        }
    try:
        return Scenario.model_validate(data, context={"folder": str(folder)})
    except ValidationError as error:
        raise from_validation(error, source, Scenario) from None
    except DescriptionError as error:
        raise DescriptionError(f"{source}: {error}") from None


def _changed(part: Any, given: Any) -> Any:
    """What is given for a field; where both are mappings, the part with these keys changed."""
    if isinstance(part, Part) and isinstance(given, Mapping):
        return {name: getattr(part, name) for name in part.model_fields_set} | dict(given)
    return given


def _known(loader: Any, options: dict[str, Any], source: str) -> dict[str, Any]:
    """The options of a loader, refused where it has no such parameter or lacks one."""
    import inspect

    parameters = inspect.signature(loader).parameters
    for name in options:
        if name not in parameters:
            raise DescriptionError(
                f"{source}: unknown key '{name}'{near(name, parameters)}; allowed: {', '.join(parameters)}"
            )
    for name, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty and name not in options:
            raise DescriptionError(f"{source}: '{name}' is required and is not there")
    return options
