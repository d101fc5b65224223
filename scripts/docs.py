"""Write the output of commands into the README and the docs, so that no number there is typed by hand.

    python scripts/docs.py            run every command and rewrite the files
    python scripts/docs.py PAGE ...   those of these pages only, e.g. README.md docs/speed.md
    python scripts/docs.py --list     only say which commands there are

A block begins with a line `<!-- output of: COMMAND -->` and ends with `<!-- end of output -->`; COMMAND is run from
the repository with this Python, and what it prints stands between the two, as a code block unless it is a Markdown
table or block itself.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"(<!-- output of: (?P<command>.+?) -->\n).*?(<!-- end of output -->)", re.DOTALL)


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands() -> list[tuple[Path, str]]:
    """Every page and command, in order."""
    return [(page, m["command"]) for page in pages() for m in BLOCK.finditer(page.read_text(encoding="utf-8"))]


def output_of(command: str) -> str:
    """What the command prints. Raises SystemExit with its error where it fails."""
    words = shlex.split(command)
    run = [sys.executable, *words[1:]] if words[0] == "python" else words
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{command}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    text = "\n".join(line.rstrip() for line in done.stdout.strip("\n").splitlines())
    return f"\n{text}\n\n" if text.startswith(("|", "```")) else f"\n```text\n{text}\n```\n\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("pages", nargs="*", metavar="PAGE", type=Path, help="a page; by default all of them")
    parser.add_argument("--list", action="store_true", help="only say which commands there are")
    given = parser.parse_args(arguments)
    if given.list:
        for page, command in commands():
            print(f"{page.relative_to(ROOT)}: {command}")
        return 0
    wanted = [page.resolve() for page in given.pages] or pages()
    if unknown := [str(page) for page in wanted if page not in pages()]:
        parser.error(f"no such page: {', '.join(unknown)}; pages: {', '.join(p.name for p in pages())}")
    for page in wanted:
        text = page.read_text(encoding="utf-8")
        written = BLOCK.sub(lambda m: m[1] + output_of(m["command"]) + m[3], text)
        if written != text:
            page.write_text(written, encoding="utf-8")
            print(f"rewrote {page.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\ndocs: stopped; nothing was left half done", file=sys.stderr)
        sys.exit(130)
