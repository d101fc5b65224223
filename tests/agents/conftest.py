"""The file of known results that a module of tests is about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2].parent / "shared" / "reference"


@pytest.fixture(scope="module")
def reference(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The content of the file that the module names as `REFERENCE`; skips where the folder is not there."""
    file = FOLDER / request.module.REFERENCE
    if not file.is_file():
        pytest.skip(f"{file.name} is not in the folder `shared` beside the repository")
    return json.loads(file.read_text(encoding="utf-8"))
