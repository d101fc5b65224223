"""YAML as the configs need it, and `key.key=value` changes of what was read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from kaizen_env import DescriptionError

SHORT = {"scenario": "scenario", "regime": "regime", "policy": "name", "rule": "name"}
"""Keys whose value may be one word, and where that word stands in the mapping that it is short for."""


class _Loader(yaml.SafeLoader):
    """Safe YAML that reads 1e-3 as the number it is (YAML 1.1 takes it for text), and refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in seen:
                    line = key.start_mark.line + 1
                    raise yaml.constructor.ConstructorError(None, None, f"line {line}: '{key.value}' is given twice")
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def read_yaml(file: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises DescriptionError."""
    try:
        data = yaml.load(file.read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError:
        raise DescriptionError(f"{file}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DescriptionError(f"{file}: cannot be read as UTF-8 text ({error})") from None
    except yaml.YAMLError as error:
        raise DescriptionError(f"{file}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        raise DescriptionError(f"{file}: found {type(data).__name__}; a config is a mapping of keys to values")
    return data


def changed(data: dict[str, Any], change: str) -> dict[str, Any]:
    """`data` with `key.key=value` set; the value is YAML, a number among the keys a place in a list.

    A word that is short for a mapping becomes that mapping: `scenario.periods=20` works on `scenario: serial` too.
    Raises DescriptionError for what is no such change, or leads nowhere.
    """
    path, equals, text = change.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise DescriptionError(f"--set {change}: a change is key=value or key.key=value, e.g. evaluation.worlds=20")
    try:
        value = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise DescriptionError(f"--set {change}: not valid YAML: {' '.join(str(error).split())}") from None
    return _put(data, keys, value, f"--set {change}", "")


def _put(container: Any, keys: list[str], value: Any, source: str, above: str) -> Any:
    """A copy of `container` with `value` at `keys`; `above` is the key that led here."""
    if not keys:
        return value
    key, rest = keys[0], keys[1:]
    if isinstance(container, str) and (word := SHORT.get(above)):
        container = {word: container}
    if container is None:
        container = {}
    if isinstance(container, list):
        if not key.isdigit() or int(key) >= len(container):
            raise DescriptionError(f"{source}: '{key}' is no place in a list of {len(container)}; they count from 0")
        singular = {"policies": "policy"}.get(above, above.removesuffix("s"))
        i = int(key)
        return [*container[:i], _put(container[i], rest, value, source, singular), *container[i + 1 :]]
    if not isinstance(container, dict):
        raise DescriptionError(f"{source}: '{above}' is {container!r}, which has no '{key}'")
    return container | {key: _put(container.get(key), rest, value, source, key)}
