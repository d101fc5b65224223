"""Find a policy by name or place, save it, load it. Nothing is registered, and no file that is loaded is trusted.

A saved policy is a folder: `policy.json` (what it is, its options, what it was made for) and `arrays.npz` (what it has
learnt). Both are data: loading them runs no code but that of the policy's own class, which is named in the file.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import json
import pkgutil
import re
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import kaizen_env
from kaizen_env import BatchEnv, Scenario
from kaizen_env.errors import near

from .files import read_arrays, replace, write_arrays
from .policy import PerAgent, Policy, PolicyError

FORMAT = 1  # of a saved policy


def names() -> list[str]:
    """The agents that this package brings."""
    return sorted(
        m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if not m.ispkg and _is_agent(m.name)
    )


def make_policy(spec: str, /, **options: Any) -> Policy:
    """The policy that `spec` names, made with `options`.

    `spec` is the name of an agent here (`order_up_to`), `package.module:Class`, or `path/to/file.py:Class`; instead of
    a class, a function f(observation, agent). Raises PolicyError that says what is missing.
    """
    found = find(spec)
    if not inspect.isclass(found):
        if options:
            raise PolicyError(f"policy '{spec}' is a function, which takes no options; got {', '.join(options)}")
        return _found_by(spec, PerAgent(found))
    allowed = options_of(found)
    if not any(p.kind is p.VAR_KEYWORD for p in allowed.values()):
        for name in options:
            if name not in allowed:
                known = ", ".join(allowed) or "none"
                raise PolicyError(f"policy '{spec}' has no option '{name}'{near(name, allowed)}; allowed: {known}")
    try:
        policy = found(**options)
    except PolicyError:
        raise
    except (Exception, SystemExit) as error:
        raise PolicyError(f"policy '{spec}' cannot be made: {type(error).__name__}: {error}") from error
    if not isinstance(policy, Policy):
        raise PolicyError(f"policy '{spec}' is no agents.policy.Policy; derive it from that class, or give a function")
    return _found_by(spec, policy)


def _found_by(spec: str, policy: Policy) -> Policy:
    """The policy, which remembers how it was found: a file by its whole path, so that it is found from anywhere."""
    place, _, attribute = spec.rpartition(":")
    policy.spec = f"{Path(place).expanduser().resolve()}:{attribute}" if place.endswith(".py") else spec
    return policy


def options_of(kind: Any) -> dict[str, inspect.Parameter]:
    """The options of a class of policies, by name."""
    if kind.__init__ is object.__init__:
        return {}
    return dict(list(inspect.signature(kind.__init__).parameters.items())[1:])  # all but the policy itself


def find(spec: str) -> Any:
    """The class or function that `spec` names. Raises PolicyError."""
    place, _, attribute = str(spec).rpartition(":")
    if not place:
        if attribute not in names():
            raise PolicyError(
                f"there is no agent '{spec}'{near(spec, names())}; here: {', '.join(names())}; your own:"
                " package.module:Class or path/to/file.py:Class"
            )
        return _agent_class(attribute)
    module = _module(place, spec)
    if not hasattr(module, attribute):
        have = [n for n, v in vars(module).items() if callable(v) and getattr(v, "__module__", "") == module.__name__]
        raise PolicyError(f"policy '{spec}': {place} has no '{attribute}'{near(attribute, have)}; it has: {have}")
    found = getattr(module, attribute)
    if not callable(found):
        raise PolicyError(f"policy '{spec}' is {type(found).__name__}; a class or a function is needed")
    return found


def _module(place: str, spec: str) -> ModuleType:
    try:
        if place.endswith(".py"):
            path = Path(place).expanduser().resolve()
            if not path.is_file():
                raise PolicyError(f"policy '{spec}': there is no file {path}; paths start where the command is run")
            name = f"policy_file_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
            if name in sys.modules:
                return sys.modules[name]
            description = importlib.util.spec_from_file_location(name, path)
            assert description is not None
            assert description.loader is not None
            module = importlib.util.module_from_spec(description)
            sys.modules[name] = module  # so that what it defines can be pickled
            try:
                description.loader.exec_module(module)
            except BaseException:
                del sys.modules[name]
                raise
            return module
        return importlib.import_module(place)
    except PolicyError:
        raise
    except (Exception, SystemExit) as error:
        raise PolicyError(f"policy '{spec}' cannot be imported: {type(error).__name__}: {error}") from error


def _is_agent(module: str) -> bool:
    """Whether a module of this package is an agent: it has one class of policies, named as the file is."""
    text = (Path(__file__).parent / f"{module}.py").read_text(encoding="utf-8") if not module.startswith("_") else ""
    return re.search(rf"^class {_class_name(module)}\((Policy|Learner)\)", text, re.MULTILINE) is not None


def _class_name(module: str) -> str:
    return "".join(part.capitalize() for part in module.split("_"))


def _agent_class(name: str) -> Any:
    try:
        return getattr(importlib.import_module(f"agents.{name}"), _class_name(name))
    except ImportError as error:
        raise PolicyError(
            f"agent '{name}' needs a library that is not installed ({error}); pip install 'kaizen-env[training]'"
        ) from None


# --- save and load -----------------------------------------------------------------------------------------------


EPISODE = ("periods", "warm_up_days", "tail_days")  # fields of a scenario that say how long an episode is
DATES = ("at", "phase", "first_day")  # of demand: what `Window.simulated` moves


def made_for(env: BatchEnv) -> dict[str, Any]:
    """What a policy that was trained in `env` fits: its scenario, regime and the names of what it sees and does.

    Not the length of its episodes, nor when in them improvement begins.
    """
    return {
        "scenario": env.scenario.name,
        "scenario_hash": fingerprint(env.scenario),
        "regime": env.regime.model_dump(exclude={"warm_up", "kaizen_delay"}),
        "features": env.feature_names,
        "actions": env.action_names,
    }


def fingerprint(scenario: Scenario) -> str:
    """A short hash of a network, whatever the length and dates of an episode; of demand data it takes the numbers."""
    described = scenario.model_dump(mode="json", exclude={"title", "description", "sources", *EPISODE})
    for market, data in zip(scenario.markets, described["markets"], strict=True):
        for date in DATES:
            data["demand"].pop(date, None)
        rows = getattr(market.demand, "_rows", None)
        if rows is not None:
            data["demand"]["file"] = hashlib.sha256(rows.tobytes()).hexdigest()
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:16]


def dates(scenario: Scenario) -> list[float]:
    """What `fingerprint` leaves out of demand: the days on which something happens."""
    return [getattr(m.demand, date) for m in scenario.markets for date in DATES if hasattr(m.demand, date)]


def save_policy(policy: Policy, folder: str | Path, env: BatchEnv, spec: str | None = None) -> Path:
    """Write `policy`, made for `env`, to `folder`, which is created; a policy saved there is replaced, file by file.

    `spec` is how `make_policy` finds it; by default as it found this one, or by the place of its class.
    Raises PolicyError for options that are no data.
    """
    spec = spec or policy.spec or _place_of(policy)
    written = {
        "format": FORMAT,
        "kaizen_env": kaizen_env.__version__,
        "policy": spec,
        "options": policy.options,
        "made_for": made_for(env),
    }
    try:
        text = json.dumps(written, indent=1, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise PolicyError(f"policy '{policy.name}' cannot be saved: its options are not plain data ({error})") from None
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    write_arrays(path / "arrays.npz", policy.arrays())
    replace(path / "policy.json", text.encode())
    return path


def _place_of(policy: Policy) -> str:
    kind = policy.function if isinstance(policy, PerAgent) else type(policy)
    if kind.__module__.startswith("agents."):
        return policy.name
    return f"{kind.__module__}:{getattr(kind, '__qualname__', type(kind).__qualname__)}"


def load_policy(folder: str | Path, env: BatchEnv | None = None, *, anywhere: bool = False) -> Policy:
    """The policy saved in `folder`; with `env`, checked to have been made for it.

    With `anywhere` it need only see and do what it was made for. What is trusted: the class that `policy.json` names is
    imported; its numbers are read without pickle. Raises PolicyError for what is missing, broken, or does not fit.
    """
    path = Path(folder)
    file = path / "policy.json"
    try:
        saved = json.loads(file.read_text())
        spec, options, fits = saved["policy"], dict(saved["options"]), dict(saved["made_for"])
        arrays = read_arrays(path / "arrays.npz")
    except FileNotFoundError as error:
        raise PolicyError(f"no policy is saved in {path}: {error.filename} is missing") from None
    except (KeyError, TypeError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise PolicyError(
            f"the policy saved in {path} is broken ({type(error).__name__}: {error}); save it anew"
        ) from None
    if saved.get("format") != FORMAT:
        raise PolicyError(
            f"the policy in {path} has format {saved.get('format')} (kaizen_env {saved.get('kaizen_env')}); this"
            f" version reads format {FORMAT}; train it again, or use the version that wrote it"
        )
    if env is not None:
        check_fits(fits, env, f"the policy in {path} ('{spec}')", anywhere=anywhere)
    policy = make_policy(spec, **options)
    try:
        policy.restore(arrays)
    except PolicyError:
        raise
    except Exception as error:
        raise PolicyError(
            f"the arrays in {path} are not those of policy '{spec}' ({type(error).__name__}: {error}); save it anew"
        ) from error
    return policy


def check_fits(fits: Mapping[str, Any], env: BatchEnv, what: str, *, anywhere: bool = False) -> None:
    """Raise PolicyError unless what `made_for` said of a policy fits `env`."""
    here = made_for(env)
    for key in ("features", "actions") if anywhere else tuple(here):
        if fits.get(key) != here[key]:
            there, now = _differing(fits.get(key), here[key])
            mend = "train it for this one" + ("" if anywhere else ", or load it with anywhere=True to try it as it is")
            raise PolicyError(f"{what} was made for another {key.replace('_', ' ')}: {there}, here {now}; {mend}")


def _differing(there: Any, here: Any) -> tuple[str, str]:
    """The parts in which two descriptions differ, in short."""
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        keys = [k for k in here if there.get(k) != here[k]]
        return str({k: there.get(k) for k in keys}), str({k: here[k] for k in keys})
    if isinstance(there, list) and isinstance(here, list):
        return f"{len(there)} ({', '.join(map(str, there[:3]))}, …)", f"{len(here)} ({', '.join(here[:3])}, …)"
    return f"'{there}'", f"'{here}'"
