"""Files that are there whole or not at all, and arrays without pickle."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np


def replace(path: Path, content: bytes) -> None:
    """Write `content` beside `path` and put it in its place in one move: a kill leaves the old file or the new."""
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Arrays by name as .npz, put in place in one move."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    replace(path, buffer.getvalue())


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """What `write_arrays` wrote; pickled objects are refused. Raises OSError, and ValueError for a broken file."""
    content = io.BytesIO(path.read_bytes())
    try:
        with np.load(content, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except Exception as error:  # NumPy, zipfile and zlib have one each for every way in which bytes may be wrong
        raise ValueError(f"no arrays in {path.name}: {type(error).__name__}: {error}") from error
