"""What the documentation shows is run: Python blocks of the README, and the commands that print its tables."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from kaizen_env import load_scenario, scenarios

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def runnable() -> list[object]:
    return [
        pytest.param(page, block, id=f"{page.stem}-{i}")
        for page in PAGES
        for i, block in enumerate(blocks(page, "python"))
    ]


@pytest.mark.parametrize(("page", "block"), runnable())
def test_python_blocks_run(page: Path, block: str, tmp_path: Path) -> None:
    """In an empty folder that holds the README's own scenario. Seen to fail: with a misspelt name in a block."""
    (tmp_path / "bread.yaml").write_text(next(b for b in blocks(ROOT / "README.md", "yaml") if "bread" in b))
    done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_readme_shows_the_can_of_cola(tmp_path: Path) -> None:
    """The numbers that the text names come out of the block above it."""
    block = next(b for b in blocks(ROOT / "README.md", "python") if '"cola"' in b)
    done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, check=True)
    numbers = dict(re.findall(r"^(\w+) +(\S+)$", done.stdout, re.MULTILINE))
    assert float(numbers["throughput_days"]) == pytest.approx(319, abs=0.5)
    assert float(numbers["value_adding_days"]) * 24 == pytest.approx(3, abs=0.05)


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_scenario_is_in_the_docs() -> None:
    text = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
    for name in scenarios():
        assert f"`{name}`" in text or f"## {name}" in text
        assert load_scenario(name).sources


def test_commands_behind_the_tables_exist() -> None:
    """Each names a script or a module of this repository, and options that it has."""
    docs = [sys.executable, "scripts/docs.py", "--list"]
    done = subprocess.run(docs, cwd=ROOT, capture_output=True, text=True, check=True)
    commands = [line.split(": ", 1)[1] for line in done.stdout.splitlines()]
    assert commands
    for command in commands:
        words = command.split()[1:]
        module = words[0] == "-m"
        file = ROOT / (words[1].replace(".", "/") + ".py" if module else words[0])
        text = file.read_text(encoding="utf-8")
        if "carry_out" in text:  # the command line that scripts share
            text += (ROOT / "agents" / "experiments" / "command.py").read_text(encoding="utf-8")
        for option in words[1:]:
            assert module or not option.startswith("--") or f'"{option}"' in text
