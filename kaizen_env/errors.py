"""Errors that say what was got, where, what is allowed, and how to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError


class DescriptionError(ValueError):
    """A network description, or a file that it names, cannot be used as it is.

    The message has one line per problem: `source: path: what was found; what is allowed; the mend`.
    """


class ContractWarning(UserWarning):
    """A contract of a scenario pays a company for what harms the network; the scenario is used as it is."""


def near(name: str, allowed: Iterable[str]) -> str:
    """`; did you mean 'x'?` when an allowed name is close to `name`, else an empty string."""
    close = difflib.get_close_matches(str(name), [str(a) for a in allowed], n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""


def from_validation(error: ValidationError, source: str, model: type[BaseModel]) -> DescriptionError:
    """Turn pydantic's error into one `DescriptionError` whose paths read like the file (`companies[2].name`)."""
    lines = []
    for problem in error.errors(include_url=False):
        place = [part for part in problem["loc"] if not _is_union_tag(part, problem["loc"], model)]
        path = _path(place)
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            allowed = _fields_at(model, problem["loc"][:-1])
            key = str(problem["loc"][-1])
            message = f"unknown key '{key}'{near(key, allowed)}; allowed: {', '.join(sorted(allowed))}"
        elif problem["type"] == "missing":
            message = "this key is required and is not there"
        elif problem["type"] != "value_error":
            message = _wrong_value(problem)
        lines += [f"{source}: {path + ': ' if path else ''}{line}" for line in message.split("\n")]
    return DescriptionError("\n".join(lines))


def _wrong_value(problem: Any) -> str:
    """What was got instead of a number, a choice or a name, and what is allowed."""
    got, context = problem["input"], problem.get("ctx", {})
    if problem["type"] == "union_tag_invalid":
        got = context["tag"]
        allowed = context["expected_tags"].replace("'", "").split(", ")
    elif problem["type"] == "literal_error":
        allowed = context["expected"].replace(" or ", ", ").replace("'", "").split(", ")
    elif problem["type"] == "string_pattern_mismatch":
        return f"got {_short(got)}; a name may not begin with a space or a dot, nor hold / or \\"
    else:
        return f"got {_short(got)}; {problem['msg'][0].lower()}{problem['msg'][1:]}"
    return f"got {_short(got)}{near(got, allowed)}; allowed: {', '.join(allowed)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _path(place: Iterable[Any]) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text


def _models_of(annotation: Any) -> list[type[BaseModel]]:
    """Every pydantic model that stands anywhere inside a type annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for inner in getattr(annotation, "__args__", ()) for m in _models_of(inner)]


def _descend(model: type[BaseModel], place: Iterable[Any]) -> tuple[list[type[BaseModel]], Any]:
    """The models that a location leads to, and the last part that named no field of them."""
    models: list[type[BaseModel]] = [model]
    unknown: Any = None
    for part in place:
        unknown = None
        if isinstance(part, int):
            continue
        found = [m.model_fields[part].annotation for m in models if part in m.model_fields]
        if found:
            models = [m for annotation in found for m in _models_of(annotation)]
        else:
            unknown = part
            tagged = [m for m in models if _tag(m) == part]
            models = tagged or models
    return models, unknown


def _tag(model: type[BaseModel]) -> Any:
    """The value that selects this model in a union by `process`, if it has one."""
    field = model.model_fields.get("process")
    return field.default if field is not None else None


def _is_union_tag(part: Any, place: tuple[Any, ...], model: type[BaseModel]) -> bool:
    models, unknown = _descend(model, place[: place.index(part) + 1])
    return unknown == part and any(_tag(m) == part for m in models)


def _fields_at(model: type[BaseModel], place: tuple[Any, ...]) -> set[str]:
    return {name for m in _descend(model, place)[0] for name in m.model_fields}
