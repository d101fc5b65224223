"""Companies, markets and what moves, as shapes that many of can be drawn at once; all in pixels.

Shapes are arrays of points (number, points, 2).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection

INK, QUIET, FAINT, PAPER = "#1F2933", "#6B7785", "#D5DBE1", "#FFFFFF"
LINE, IDLE = "#A9B4BF", "#C3CBD3"
STOCK, MOVING, LATE, NEW = "#2F74B5", "#7FBCE6", "#C62828", "#F2A7A0"
WASTE, SERVED, OPEN = "#E39A1D", "#3A9A6B", "#0E8F8B"
INSIDE, DEAD, DEAD_EDGE = "#F3F5F7", "#C9CDD2", "#9AA1A9"

LARGEST_RADIUS = 32.0  # pixels, of a company
CIRCLE = np.linspace(0.0, 2.0 * np.pi, 48)
HALF = np.linspace(-0.5 * np.pi, 0.5 * np.pi, 24)
BENDS = (0.0, 0.25, -0.25, 0.4, -0.4, 0.6, -0.6)  # height of a curve over its chord, as a share of it
MOST_BENT = 200  # links; more are drawn straight


class Nodes(NamedTuple):
    """What is drawn in the companies; shares of the full scale."""

    centre: np.ndarray  # (companies, 2) pixels
    stock: np.ndarray  # (companies,)
    backlog: np.ndarray  # (companies,) all orders that wait
    late: np.ndarray  # (companies,)
    waste: np.ndarray | None  # (companies,)
    open_twin: np.ndarray | None  # (companies,)
    alive: np.ndarray  # (companies,)


def draw_companies(axes: Any, nodes: Nodes, r: float) -> None:
    """Companies of radius r: stock on the left, backlog on the right, waste as a ring; the bankrupt grey."""
    alive = nodes.alive > 0
    inner = r * (0.80 if nodes.waste is not None else 0.95)
    thin = max(0.4, r / LARGEST_RADIUS)
    outline = np.where(alive, QUIET, DEAD_EDGE)
    body = np.where(alive, FAINT if nodes.waste is not None else INSIDE, DEAD)
    polygons(axes, discs(nodes.centre, r), body, edge=outline, line=0.9 * thin, zorder=3)
    if nodes.waste is not None:
        gauge = alive & (nodes.waste > 0)  # not where there is no waste to speak of
        polygons(axes, rings(nodes.centre, inner, r, nodes.waste)[gauge], WASTE, zorder=3.1)
    polygons(axes, discs(nodes.centre, inner)[alive], INSIDE, edge=QUIET, line=0.6 * thin, zorder=3.2)
    inner *= 0.97
    polygons(axes, halves(nodes.centre, inner, "left", nodes.stock)[alive], STOCK, zorder=3.3)
    polygons(axes, halves(nodes.centre, inner, "right", nodes.backlog)[alive], NEW, zorder=3.3)
    polygons(axes, halves(nodes.centre, inner, "right", nodes.late)[alive], LATE, zorder=3.4)
    middle = nodes.centre[alive][:, None] + np.array([[0.0, -inner], [0.0, inner]])
    axes.add_collection(LineCollection(list(middle), colors=PAPER, linewidths=1.4 * thin, zorder=3.5))
    cross = np.array([[[-1.0, -1.0], [1.0, 1.0]], [[-1.0, 1.0], [1.0, -1.0]]]) * 0.45 * r
    crosses = (nodes.centre[~alive][:, None, None] + cross).reshape(-1, 2, 2)
    axes.add_collection(LineCollection(list(crosses), colors=DEAD_EDGE, linewidths=2.5 * thin, zorder=3.5))
    if nodes.open_twin is not None and r >= 5:
        centre = nodes.centre + 0.78 * r * np.array([1.0, 1.0])
        colour = np.where(nodes.open_twin > 0, OPEN, PAPER)
        polygons(axes, discs(centre, 0.2 * r)[alive], colour[alive], edge=OPEN, line=1.0 * thin, zorder=3.6)


def draw_markets(axes: Any, centre: np.ndarray, r: float, share: np.ndarray, known: np.ndarray) -> None:
    """Diamonds, green for the share that was served and red for the rest; blank where nothing is known."""
    thin = max(0.4, r / LARGEST_RADIUS)
    colour = np.where(known & (share < 1), LATE, INSIDE)
    polygons(axes, diamonds(centre, r, np.ones(len(centre))), colour, edge=QUIET, line=1.0 * thin, zorder=3)
    polygons(axes, diamonds(centre, 0.95 * r, share)[known & (share > 0)], SERVED, zorder=3.1)


def polygons(axes: Any, points: np.ndarray, colour: Any, edge: Any = "none", line: float = 0.0, **more: Any) -> None:
    """Draw shapes in one colour, or one each."""
    if len(points):
        drawn = PolyCollection(list(points), facecolors=colour, edgecolors=edge, linewidths=line, **more)
        axes.add_collection(drawn)


# --- shapes and curves ------------------------------------------------------------------------------------------


def discs(centre: np.ndarray, radius: Any) -> np.ndarray:
    """Discs of one radius, or of one each."""
    circle = np.stack((np.cos(CIRCLE), np.sin(CIRCLE)), axis=1)
    return centre[:, None] + np.reshape(np.broadcast_to(radius, len(centre)), (-1, 1, 1)) * circle


def halves(centre: np.ndarray, radius: float, side: str, filled: np.ndarray) -> np.ndarray:
    """Left or right half discs, filled from below to a share of their height."""
    y = np.minimum(np.sin(HALF), 2.0 * np.clip(filled, 0.0, 1.0)[:, None] - 1.0)
    # Along the cut the outline runs straight from the arc to the middle.
    x = np.minimum(np.cos(HALF), np.sqrt(np.maximum(1.0 - y**2, 0.0)))
    return centre[:, None] + radius * np.stack((-x if side == "left" else x, y), axis=-1)


def rings(centre: np.ndarray, inner: float, outer: float, share: np.ndarray) -> np.ndarray:
    """Gauges: the part of a ring that starts at the top and runs clockwise."""
    turn = np.clip(share, 0.0, 1.0)[:, None] * CIRCLE
    arc = np.stack((np.sin(turn), np.cos(turn)), axis=-1)
    return centre[:, None] + np.concatenate((outer * arc, inner * arc[:, ::-1]), axis=1)


def diamonds(centre: np.ndarray, radius: float, filled: np.ndarray) -> np.ndarray:
    """Diamonds, filled from below to a share of their height."""
    y = np.concatenate((np.linspace(-1.0, 1.0, 21), np.linspace(1.0, -1.0, 21)))
    side = np.where(np.arange(42) < 21, 1.0, -1.0)
    cut = np.minimum(y, 2.0 * np.clip(filled, 0.0, 1.0)[:, None] - 1.0)
    return centre[:, None] + radius * np.stack((side * (1.0 - np.abs(cut)), cut), axis=-1)


def curves(
    start: np.ndarray, end: np.ndarray, gaps: tuple[np.ndarray, np.ndarray], nodes: np.ndarray, clearance: float
) -> np.ndarray:
    """Links (links, 25, 2) that leave `gaps` at their ends: straight, or bent where a node is closer than `clearance`.

    `start` and `end` are (links, 2), `nodes` (nodes, 2).
    """
    way = end - start
    length = np.maximum(np.hypot(way[:, 0], way[:, 1]), 1.0)[:, None]
    ahead = way / length
    across = np.stack((-ahead[:, 1], ahead[:, 0]), axis=1)
    first, last = start + ahead * gaps[0][:, None], end - ahead * gaps[1][:, None]
    share = np.linspace(0.0, 1.0, 25)[:, None]
    straight = first[:, None] * (1.0 - share) + last[:, None] * share
    if len(start) > MOST_BENT:
        return straight
    own = (_distance(nodes, end[:, None]) < 1.0) | (_distance(nodes, start[:, None]) < 1.0)
    best, clear = straight, np.full(len(start), -np.inf)
    for bend in BENDS:
        bent = straight + 4.0 * share * (1.0 - share) * (bend * np.minimum(length, 420.0) * across)[:, None]
        nearest = np.where(own[:, None], np.inf, _distance(bent[:, 2:-2, None], nodes)).min(axis=(1, 2))
        better = (clear < clearance) & (nearest > clear + 1.0)
        best = np.where(better[:, None, None], bent, best)
        clear = np.where(better, nearest, clear)
    return best


def lengths(curve: np.ndarray) -> np.ndarray:
    """Length of each curve (curves, points, 2)."""
    return _distance(curve[:, 1:], curve[:, :-1]).sum(axis=1)


def along(curve: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Points (curves, shares, 2) at shares (curves, shares) in [0, 1] of the way along curves (curves, points, 2)."""
    at = share * (curve.shape[1] - 1)
    low = np.minimum(at.astype(np.int64), curve.shape[1] - 2)
    row, rest = np.arange(len(curve))[:, None], (at - low)[..., None]
    return curve[row, low] * (1.0 - rest) + curve[row, low + 1] * rest


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    gap = a - b
    return np.hypot(gap[..., 0], gap[..., 1])
