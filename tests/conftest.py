"""What the tests of all scripts share."""

from __future__ import annotations

from pathlib import Path

import pytest
from experimenting import LEARNER, POLICIES, written


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with policies, where the command is run."""
    written(tmp_path, POLICIES, "policies.py")
    written(tmp_path, LEARNER, "walk.py")
    monkeypatch.chdir(tmp_path)
    return tmp_path
