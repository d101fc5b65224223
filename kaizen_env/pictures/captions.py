"""The words of a picture: names, numbers, title and legend, as many as there is room for."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection

from ..network import Network
from ..scenarios.diagrams import days
from . import glyphs
from .glyphs import DEAD_EDGE, INK, LATE, LINE, MOVING, PAPER, QUIET, SERVED, STOCK, Nodes
from .placement import room
from .snapshot import Snapshot, number, percent

POINT = 100 / 72  # pixels
LETTER = 0.58  # width of a letter, in heights of its font; a little more than the mean
MOST_NAMED = 150  # companies
STEP = 11.0  # pixels from line to line below a company

BEHIND = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.7, "pad": 0.3}  # keeps links out of the words

Line = tuple[str, str]  # text and colour


class Captions:
    """Writes on the axes of one picture. `detail` is `full` (names and numbers), `names` or `none`."""

    def __init__(self, axes: Any, network: Network, now: Snapshot, space: tuple[float, float], radius: float) -> None:
        """`space` is the least distance between companies, sideways and upwards, in pixels."""
        self.axes, self.network, self.now, self.space, self.radius = axes, network, now, space, radius
        lines = 5 + (now.waste is not None) + (now.culture is not None)
        full = space[0] >= 84 and space[1] >= 2 * radius + STEP * lines + 30
        named = space[0] >= 44 and space[1] >= 2 * radius + 16 and network.companies <= MOST_NAMED
        self.detail = "full" if full else "names" if named else "none"
        self.lift = {"full": 23.0, "names": 2.0, "none": 0.0}[self.detail]  # pixels

    def companies(self, centres: np.ndarray) -> None:
        now = self.now
        for i, (x, y) in enumerate(centres):
            late, alive = now.late[i] > 1e-9, now.alive[i] > 0
            lines = [
                (f"on hand {number(now.on_hand[i])}", STOCK),
                (f"backlog {number(now.backlog[i])}", LATE if late else QUIET),
                (f"profit {number(now.profit[i])}", QUIET),
            ]
            if now.waste is not None and not np.isnan(now.waste[i]):
                lines.append((f"waste {percent(now.waste[i])}", QUIET))
            if now.culture is not None:
                lines.append((f"culture {percent(now.culture[i])}", QUIET))
            if not alive:
                lines = [("bankrupt", DEAD_EDGE), *((text, DEAD_EDGE) for text, _ in lines[:2])]
            self._below(x, y, now.names[i], INK if alive else DEAD_EDGE, lines, 2 if self.detail == "full" else 1)

    def markets(self, centres: np.ndarray) -> None:
        now = self.now
        rows = 2 if room(centres)[1] >= 2 * self.radius + 30 else 1
        for i, (x, y) in enumerate(centres):
            lines = [
                (f"served {number(now.served[i])}", SERVED),
                (f"not served {number(now.unserved[i])}", LATE if now.unserved[i] > 1e-9 else QUIET),
                (f"new {number(now.new[i])}", QUIET),
            ]
            self._below(x, y, self.network.scenario.markets[i].name, INK, lines, rows)

    def _below(self, x: float, y: float, name: str, colour: str, lines: list[Line], rows: int) -> None:
        """A name in at most so many rows, cut to the room there is, and lines of numbers, below a node."""
        if self.detail == "none":
            return
        points = 8.5 if self.detail == "full" else 7.0
        parts = _fitted(name, int(self.space[0] / (LETTER * points * POINT)), rows)
        top = y - self.radius - 4.0
        self._text(x, top, "\n".join(parts), colour, points, bbox=BEHIND)
        if self.detail != "full":
            return
        top -= len(parts) * points * 1.2 * POINT + 2.0
        for text, shade in lines:
            self._text(x, top, text, shade, 7.5, bbox=BEHIND)
            top -= STEP

    def links(self, curves: np.ndarray, purchases: np.ndarray) -> None:
        """In transit on each link (its curve, its purchase link); the supplier's name where a supply link begins."""
        if self.detail != "full":
            return
        row = {name: i for i, name in enumerate(self.network.names)}
        suppliers = [s.supplier for s in sorted(self.network.scenario.supply_links, key=lambda s: row[s.buyer])]
        for i in np.flatnonzero(purchases >= 0):
            under_way = float(self.now.transit[:, purchases[i]].sum())
            amount = number(under_way) if under_way > 1e-9 else ""
            if i < len(suppliers):
                self._supplier(curves[i], suppliers[i], amount)
            elif amount:
                self._beside(curves[i], amount)

    def _supplier(self, curve: np.ndarray, name: str, amount: str) -> None:
        """Above the beginning of a supply link, so that it ends before the company does begin."""
        (x, y), (end, height) = curve[0], curve[-1]
        if abs(height - y) < 1.0:
            right, y = end, y + 0.2 * self.radius
        else:
            right = min(x + 0.5 * len(name) * LETTER * 7.0 * POINT, end)
        parts = _fitted(name, min(int((right - 4.0) / (LETTER * 7.0 * POINT)), 22), 2)
        self._text(right, y + 2.0, amount, STOCK, 7.0, va="bottom", ha="right", bbox=BEHIND)
        y += 13.0 if amount else 2.0
        self._text(right, y, "\n".join(parts), QUIET, 7.0, va="bottom", ha="right", bbox=BEHIND)

    def _beside(self, curve: np.ndarray, amount: str) -> None:
        middle = int(0.43 * len(curve))
        along = curve[middle + 1] - curve[middle - 1]
        across = np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1e-9)
        across *= 1.0 if across[1] >= 0 else -1.0
        # The text, a box of about this half width and height, clears the line and the dot on it.
        reach = abs(across[0]) * 2.9 * len(amount) + abs(across[1]) * 5.0 + 0.36 * self.radius
        x, y = curve[middle] + reach * across
        self._text(x, y, amount, STOCK, 7.5, va="center", bbox=BEHIND)

    def title(self, width: float, height: float) -> None:
        now = self.now
        title, regime = (textwrap.shorten(text, 64, placeholder=" …") for text in (now.title, now.regime))
        self._text(24, height - 14, title, INK, 13, ha="left", weight="bold")
        self._text(width - 24, height - 16, f"regime: {regime}", INK, 10, ha="right")
        self._text(24, height - 42, f"{now.clock} · {now.value}", QUIET, 9.5, ha="left")

    def legend(self, half: float, dotted: bool) -> None:
        """What the shapes mean, in two rows at the foot; `half` is in days."""
        now, r = self.now, 10.0
        entries = [
            ("stock", f"left: finished stock; half full = {days(half)}"),
            ("backlog", "right: backlog; red = late, pale = new"),
            *([("waste", "ring: waste left; full = today's level")] if now.waste is not None else []),
            *([("open", "open twin")] if now.open_twin is not None else []),
            *([("bankrupt", "bankrupt")] if self.network.mortal else []),
            ("market", "end customers: served, not served"),
            ("link", "sent in the last period; dashed = nothing"),
            *([("dot", "in transit")] if dotted else []),
        ]
        x = 24.0
        for column in (entries[i : i + 2] for i in range(0, len(entries), 2)):
            for row, (kind, text) in enumerate(column):
                y = 44.0 - 26.0 * row
                self._key(kind, np.array([[x + r, y]]), r)
                self._text(x + 2 * r + 8.0, y, text, QUIET, 8.0, ha="left", va="center")
            x += 58.0 + 6.3 * max(len(text) for _, text in column)

    def _key(self, kind: str, centre: np.ndarray, r: float) -> None:
        """One shape of the legend."""
        none, whole = np.zeros(1), np.ones(1)
        if kind == "market":
            glyphs.draw_markets(self.axes, centre, r, np.full(1, 0.65), whole > 0)
        elif kind == "link":
            ends = centre + np.array([[-r, 0.0], [r, 0.0]])
            self.axes.add_collection(LineCollection([ends], linewidths=3.0, colors=LINE))
        elif kind == "dot":
            glyphs.polygons(self.axes, glyphs.discs(centre, 5.0), MOVING, edge=STOCK, line=0.6)
        else:
            example = Nodes(
                centre,
                stock=np.full(1, 0.5) if kind == "stock" else none,
                backlog=np.full(1, 0.6) if kind == "backlog" else none,
                late=np.full(1, 0.35) if kind == "backlog" else none,
                waste=None if self.now.waste is None else np.full(1, 0.7) if kind == "waste" else none,
                open_twin=whole if kind == "open" else None,
                alive=none if kind == "bankrupt" else whole,
            )
            glyphs.draw_companies(self.axes, example, r)

    def _text(self, x: float, y: float, text: str, colour: str, points: float, **more: Any) -> None:
        given = {"ha": "center", "va": "top", "linespacing": 1.05, "zorder": 5} | more
        # Names are taken as they are: a $ in them begins no formula.
        self.axes.text(x, y, text, color=colour, fontsize=points, parse_math=False, **given)


def _fitted(name: str, letters: int, rows: int) -> list[str]:
    """A name in at most so many rows of so many letters, broken after _ or between words, or cut in its middle."""
    letters = max(letters, 5)
    if len(name) <= letters:
        return [name]
    for length in range(len(name), 2, -1):
        head = (length + 1) // 2
        text = name if length == len(name) else f"{name[:head]}…{name[len(name) - (length - head) :]}"
        parts = [part.replace("_ ", "_") for part in textwrap.wrap(text.replace("_", "_ "), letters + 1)]
        if len(parts) <= rows and max(map(len, parts)) <= letters:
            return parts
    return [name[:letters]]
