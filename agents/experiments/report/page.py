"""One HTML file from texts, data and libraries. Whatever a name or a config holds, it stays text.

The page asks for nothing: its content security policy forbids every request and every script but those that are in
it, which are told by their hash.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import Any

HERE = Path(__file__).parent
SCRIPTS = ("vendor/cytoscape.min.js", "vendor/uPlot.iife.min.js", "report.js", "replay.js")
STYLES = ("vendor/uPlot.min.css", "report.css")


def page(title: str, body: str, data: Mapping[str, Any]) -> str:
    """The page: `title` is text, `body` HTML, `data` plain data for `report.js`."""
    scripts = [_read(name) for name in SCRIPTS]
    return Template(_read("template.html")).substitute(
        policy=escape(_policy(scripts)),
        title=escape(title),
        style="\n".join(_read(name) for name in STYLES),
        body=body,
        data=as_script(data),
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )


def as_script(data: Any) -> str:
    """JSON that can stand in a script element: nothing in it ends the element or begins a comment.

    Raises ValueError for numbers that JSON has no word for.
    """
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))  # ASCII alone
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def section(name: str, heading: str, *parts: str) -> str:
    """A section with a heading; `heading` is text, `parts` HTML. Nothing where all parts are empty."""
    content = "\n".join(part for part in parts if part)
    if not content:
        return ""
    title = f'<h2 id="{name}-h">{escape(heading)}</h2>'
    return f'<section id="{name}" aria-labelledby="{name}-h">\n{title}\n{content}\n</section>'


def facts(rows: Mapping[str, str]) -> str:
    """Names and what they are, both text, as a list."""
    told = "".join(f"<dt>{escape(name)}</dt><dd>{escape(what)}</dd>" for name, what in rows.items())
    return f'<dl class="facts">{told}</dl>'


def _policy(scripts: list[str]) -> str:
    # Styles are not told by hash: cytoscape adds one of its own, and without images and fonts a style can ask for
    # nothing.
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; base-uri 'none';"
        " form-action 'none'"
    )


def _read(name: str) -> str:
    text = (HERE / name).read_text(encoding="utf-8")
    return text.replace("\r\n", "\n")  # as browsers read it, which the hashes have to fit
