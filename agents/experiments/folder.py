"""The folder of a run: what was asked for, with what versions, and a place for every result.

    config.yaml          the complete config; scripts take it again
    scenarios/*.yaml     every network as it was simulated, with its demand data beside it
    versions.json        Python, packages and the state of the source, of every start

A folder serves one config: another is refused, and nothing is ever written over. Names from configs become the name
of one file or folder in it, whatever they hold.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import platform
import re
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import yaml

import kaizen_env

from ..files import replace
from .config import Experiment, as_yaml

LONGEST = 80  # characters of a file name that a label may take
LOCK = ".lock"


class RunError(RuntimeError):
    """A run folder cannot be used; what is in it stays as it is."""


class RunFolder:
    """The folder of one experiment, which this process alone works in until `close`.

    Raises RunError where it holds anything and `resume` is not set, where it holds another experiment, where another
    process is at work in it, and where nothing can be written.
    """

    def __init__(self, path: str | Path, experiment: Experiment, resume: bool = False) -> None:
        self.path = Path(path)
        self._lock: TextIO | None = None
        try:
            self._open(experiment, resume)
        except OSError as error:
            self.close()
            raise RunError(
                f"{error.filename or self.path}: cannot be read or written ({error.strerror}); name another folder with"
                " --output"
            ) from None
        except BaseException:
            self.close()
            raise

    def _open(self, experiment: Experiment, resume: bool) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path} is a file; name a folder with --output")
        holds = [entry.name for entry in self.path.iterdir() if entry.name != LOCK] if self.path.exists() else []
        begun = (self.path / "config.yaml").exists()
        if holds and not begun:
            raise RunError(f"{self.path} holds {sorted(holds)[0]} and no run; name another folder with --output")
        if begun and not resume:
            raise RunError(f"{self.path} holds a run already; go on with --resume, or begin another: --output FOLDER")
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self.path / LOCK)
        files = {f"scenarios/{file}": text for file, text in _scenario_files(experiment).items()}
        config = experiment.naming([f"scenarios/{file_name(name)}.yaml" for name in experiment.scenarios])
        if begun:
            self._same(config, files)
        (self.path / "scenarios").mkdir(exist_ok=True)
        for name, text in {"config.yaml": as_yaml(config), **files}.items():
            if not (self.path / name).exists():
                replace(self.path / name, text.encode())
        self._keep_versions(versions())

    def _same(self, config: Mapping[str, Any], files: Mapping[str, str]) -> None:
        """Raise RunError unless the folder holds this experiment."""
        mend = "name another folder with --output"
        try:
            held = yaml.safe_load((self.path / "config.yaml").read_text(encoding="utf-8"))
            now = yaml.safe_load(as_yaml(config))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise RunError(f"{self.path / 'config.yaml'} is broken ({error}); {mend}") from None
        if held != now:
            raise RunError(f"{self.path} holds another experiment: {_differences(held, now)}; {mend}")
        for name, text in files.items():
            file = self.path / name
            if file.exists() and file.read_text(encoding="utf-8") != text:
                raise RunError(f"{self.path} holds another experiment: {name} is not what it is now; {mend}")

    def _keep_versions(self, now: dict[str, Any]) -> None:
        file = self.path / "versions.json"
        starts: list[dict[str, Any]] = []
        if file.exists():
            try:
                starts = json.loads(file.read_text(encoding="utf-8"))
            except ValueError as error:
                raise RunError(f"{file} is broken ({error}); name another folder with --output") from None
        if not starts or starts[-1] != now:
            replace(file, json.dumps([*starts, now], indent=1).encode())

    @property
    def changed_versions(self) -> bool:
        """Whether it was begun with other versions than it goes on with."""
        return len(json.loads((self.path / "versions.json").read_text(encoding="utf-8"))) > 1

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def file_name(label: str) -> str:
    """One name of a file or folder for any label, different for different labels, and never a path."""
    plain = re.sub(r"[^\w+=-]+", "_", label, flags=re.ASCII).strip("_")[:LONGEST]
    if plain == label:
        return plain
    return f"{plain or 'unnamed'}.{hashlib.sha256(label.encode()).hexdigest()[:8]}"


def versions() -> dict[str, Any]:
    """Python, packages and the state of the source."""
    return {
        "kaizen_env": kaizen_env.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "git": _git(),
        "packages": dict(sorted({d.name: d.version for d in metadata.distributions() if d.name}.items())),
    }


def _git() -> dict[str, Any] | None:
    """Commit of the source and whether it differs from it; None where it is no repository."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        said = [
            subprocess.run(
                ["git", "-C", str(root), *command], capture_output=True, text=True, check=True, timeout=20
            ).stdout.strip()
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": said[0], "dirty": bool(said[1])}


def _scenario_files(experiment: Experiment) -> dict[str, str]:
    """Every network as a YAML file by its name, and the demand data that it reads as CSV beside it."""
    files: dict[str, str] = {}
    for name, scenario in experiment.scenarios.items():
        data = scenario.model_dump(mode="json", exclude_none=True)
        for market, described in zip(scenario.markets, data["markets"], strict=True):
            rows = getattr(market.demand, "_rows", None)
            if rows is not None:
                table = f"{file_name(name)}.{file_name(market.name)}.csv"
                described["demand"]["file"] = table
                files[table] = _as_csv(described["demand"]["column"], rows)
        files[f"{file_name(name)}.yaml"] = _dumped(data)
    return files


def _dumped(data: Mapping[str, Any]) -> str:
    """YAML text, by libyaml where there is one: a network of 10,000 companies is long."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return yaml.dump(dict(data), Dumper=dumper, sort_keys=False, allow_unicode=True, width=110)


def _as_csv(column: str, rows: np.ndarray) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([[column], *([repr(float(row))] for row in rows)])
    return text.getvalue()


def _locked(file: Path) -> TextIO | None:
    """The file, locked by this process as long as it is open. Raises RunError where another has it."""
    try:
        import fcntl
    except ImportError:  # not on this system: nothing guards against two runs in one folder
        return None
    opened = file.open("w")
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        opened.close()
        raise RunError(f"another process is at work in {file.parent}; wait for it, or name another folder") from None
    return opened


def _differences(held: Any, now: Any, place: str = "") -> str:
    """Where two configs differ, in a line."""
    if isinstance(held, dict) and isinstance(now, dict):
        keys = [key for key in {**held, **now} if held.get(key) != now.get(key)]
        return "; ".join(_differences(held.get(k), now.get(k), f"{place}.{k}" if place else str(k)) for k in keys)
    return f"{place or 'config.yaml'} is {_short(held)}, now {_short(now)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
