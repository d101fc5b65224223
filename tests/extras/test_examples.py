"""Blocks of the documentation that need RLlib or TorchRL: ```python extras. `tests/test_docs.py` runs the others."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCKS = [
    pytest.param(block, id=f"{page.stem}-{i}")
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    for i, block in enumerate(
        re.findall(r"^```python extras\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    )
]


def test_there_are_blocks() -> None:
    """Seen to fail: with the word `extra`, which nothing runs."""
    text = "".join(block.values[0] for block in BLOCKS)  # type: ignore[misc]
    assert "import ray" in text
    assert "torchrl" in text


@pytest.mark.parametrize("block", BLOCKS)
def test_blocks_run(block: str, tmp_path: Path) -> None:
    """In an empty folder that is home, so that what Ray writes goes with it. Seen to fail: with a misspelt name."""
    for library in ("ray", "torchrl"):
        if re.search(rf"\b{library}\b", block) and importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed: make extras")
    home = os.environ | {"HOME": str(tmp_path)}
    run = [sys.executable, "-c", block]
    done = subprocess.run(run, cwd=tmp_path, env=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
