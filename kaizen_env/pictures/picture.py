"""A network drawn with matplotlib: stocks and orders in the companies, shipments on the links, customers at the end.

All is laid out in pixels and drawn as a few collections, so that hundreds of companies cost little more than ten.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from ..arrays import gather
from ..network import Network
from . import glyphs
from .captions import Captions
from .glyphs import IDLE, LARGEST_RADIUS, LINE, MOVING, PAPER, STOCK, Nodes
from .placement import Area, Places, nearest, place, room, rows_needed
from .snapshot import Snapshot

DPI = 100
HEAD, FOOT = 74, 74  # pixels for the title and the legend
ROW = 178  # pixels that a company takes with all that is written above and below it
CROWD = 60  # companies above which the picture is larger
SUPPLIERS = [complex(np.cos(x), np.sin(x)) for x in np.pi * np.array([1.0, 0.77, 0.64, 0.55, 0.5])]  # directions
MOST_DOTTED = 400  # links; on more of them, what is in transit would hide all else


class Links(NamedTuple):
    """All links as curves: supply first, then trade, then market."""

    curve: np.ndarray  # (links, points, 2) pixels, from the seller's edge to the buyer's
    load: np.ndarray  # (links,) sent in the last period over the mean flow
    purchase: np.ndarray  # (links,) purchase link, −1 for market links


def pixels(network: Network, now: Snapshot) -> np.ndarray:
    """The picture as (height, width, 3) uint8, drawn without a display and without pyplot."""
    figure = Figure()
    canvas = FigureCanvasAgg(figure)
    draw(figure, network, now)
    with mpl.rc_context():
        mpl.rcdefaults()
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def draw(figure: Any, network: Network, now: Snapshot) -> None:
    """Draw the picture on a matplotlib figure, in place of what is on it; a user's own style has no effect."""
    width, height = size(network)
    with mpl.rc_context():
        mpl.rcdefaults()
        figure.clear()
        figure.set_dpi(DPI)
        figure.set_size_inches(width / DPI, height / DPI)
        figure.set_facecolor(PAPER)
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0), xlim=(0, width), ylim=(0, height))
        axes.set_axis_off()
        axes.set_aspect("equal")
        places = place(network, Area(24.0, FOOT, width - 48.0, height - HEAD - FOOT))
        space = room(np.concatenate(places))
        radius = _radius(np.concatenate(places), space[1])
        captions = Captions(axes, network, now, space, radius)
        # What is written below the companies is more than what stands above them.
        places = Places(*(centres + np.array([0.0, captions.lift]) for centres in places))

        links = _links(network, now, places, radius, stub=2.6 if captions.detail == "full" else 2.0)
        dotted = len(links.load) <= MOST_DOTTED
        _draw_links(axes, links, radius)
        if dotted:
            _draw_dots(axes, network, now, links, radius)
        half = cover(network)
        glyphs.draw_companies(axes, _nodes(network, now, places.company, half), radius)
        wanted = now.served + now.unserved
        share = np.where(wanted > 0, now.served / np.where(wanted > 0, wanted, 1.0), 0.0)
        glyphs.draw_markets(axes, places.market, 0.95 * radius, share, wanted > 0)
        captions.companies(places.company)
        captions.markets(places.market)
        captions.links(links.curve, links.purchase)
        captions.title(width, height)
        captions.legend(half * network.scenario.period_days, dotted)


def size(network: Network) -> tuple[int, int]:
    """Width and height in pixels; the same through a whole episode."""
    if network.companies > CROWD:
        return 1600, 1000
    return 1280, HEAD + FOOT + min(ROW * rows_needed(network), 720)


def _radius(centres: np.ndarray, upwards: float) -> float:
    """Radius of a company: as large as distances allow, a little less where that leaves room for a name below it."""
    largest = min(LARGEST_RADIUS, 0.36 * nearest(centres))
    with_name = 0.5 * (upwards - 16.0)
    return min(largest, with_name) if with_name >= 9.0 else largest


def cover(network: Network) -> float:
    """Periods of mean throughput at which a company is drawn half full: about the median stock of the start.

    One of 1, 2, 5, 10, 20, …; stocks are drawn on the scale x / (x + half), which never overflows.
    """
    usual = max(1.0, float(np.median(network.company.initial_on_hand * _per_unit(network))))
    steps = np.array([1.0, 2.0, 5.0, 10.0]) * 10.0 ** np.floor(np.log10(usual))
    return float(steps[np.argmin(np.abs(np.log(steps / usual)))])


def _per_unit(network: Network) -> np.ndarray:
    """Periods of mean throughput per unit, (companies, 1)."""
    flow = network.company.throughput
    return 1.0 / np.where(flow > 0, flow, 1.0)


def _nodes(network: Network, now: Snapshot, centre: np.ndarray, half: float) -> Nodes:
    def fill(units: np.ndarray) -> np.ndarray:
        periods = np.maximum(units, 0.0) * _per_unit(network)[:, 0]
        return periods / (periods + half)

    return Nodes(centre, fill(now.on_hand), fill(now.backlog), fill(now.late), now.waste, now.open_twin, now.alive)


def _links(network: Network, now: Snapshot, places: Places, r: float, stub: float) -> Links:
    """Curves between companies of radius r; `stub` radii is how far off an external supplier stands."""
    purchase, trade, market = network.purchase, network.trade, network.market
    rows = np.arange(network.purchases)
    supply, traded = gather(rows, purchase.supply), gather(rows, purchase.trade)
    supplied = purchase.buyer[supply]
    outside = _outside(network, places.company, supplied, stub * r, 1.7 * r)
    start = np.concatenate((outside, places.company[trade.seller], places.company[market.seller]))
    end = np.concatenate((places.company[supplied], places.company[trade.buyer], places.market[market.market]))
    gaps = np.where(np.arange(len(start)) < len(supply), 0.0, 1.05 * r), np.full(len(start), 1.12 * r)
    curve = glyphs.curves(start, end, gaps, np.concatenate(places), 1.3 * r)
    flow = np.concatenate((purchase.flow[supply, 0], purchase.flow[traded, 0], market.flow[:, 0]))
    sent = np.concatenate((now.dispatched[supply], now.dispatched[traded], now.delivered))
    load = sent / np.where(flow > 0, flow, 1.0)
    return Links(curve, load, np.concatenate((supply, traded, np.full(network.market_links, -1))))


def _outside(network: Network, company: np.ndarray, supplied: np.ndarray, length: float, height: float) -> np.ndarray:
    """Where external suppliers stand, (supplies, 2): left of whom they supply, or above where other links come in."""
    trade, places = network.trade, np.empty((len(supplied), 2))
    taken: dict[int, list[complex]] = {int(buyer): [] for buyer in supplied}  # directions, as unit vectors
    for a, b in ((trade.buyer, trade.seller), (trade.seller, trade.buyer)):
        for node, other in zip(a.tolist(), b.tolist(), strict=True):
            if node in taken:
                taken[node].append(complex(*(company[other] - company[node])))
    for i, buyer in enumerate(supplied.tolist()):
        gaps = [
            min((abs(np.angle(other / direction)) for other in taken[buyer]), default=np.pi) for direction in SUPPLIERS
        ]
        best = next((k for k, gap in enumerate(gaps) if gap >= 0.6), int(np.argmax(gaps)))
        direction = SUPPLIERS[best]
        taken[buyer].append(direction)
        step = min(length, height / max(direction.imag, 1e-9)) * direction
        places[i] = company[buyer] + (step.real, step.imag)
    places[:, 0] = np.maximum(places[:, 0], 6.0)
    return places


def _draw_links(axes: Any, links: Links, r: float) -> None:
    """Arrows as wide as what was sent in the last period; dashed where nothing was."""
    scale = max(0.3, r / LARGEST_RADIUS)
    alpha = float(np.clip(300.0 / len(links.load), 0.3, 1.0))  # many lines together are dark enough
    width = scale * (0.8 + 5.0 * links.load / (links.load + 1.0))
    idle = links.load < 1e-9
    colours = np.where(idle, IDLE, LINE)
    ahead = links.curve[:, -1] - links.curve[:, -3]
    ahead = ahead / np.maximum(np.hypot(ahead[:, 0], ahead[:, 1]), 1e-9)[:, None]
    side = np.stack((-ahead[:, 1], ahead[:, 0]), axis=1)
    breadth = (2.0 * scale + width)[:, None]
    tip, base = links.curve[:, -1], links.curve[:, -1] - 2.0 * breadth * ahead
    left = 1.0 - 1.9 * breadth / np.maximum(glyphs.lengths(links.curve), 1.0)[:, None]
    to_head = glyphs.along(links.curve, np.maximum(left, 0.0) * np.linspace(0.0, 1.0, 25))
    lines = LineCollection(
        list(to_head),
        linewidths=width * 72 / DPI,
        colors=colours,
        linestyles=["--" if x else "-" for x in idle],
        capstyle="butt",
        alpha=alpha,
        zorder=1,
    )
    axes.add_collection(lines)
    heads = np.stack((tip, base + breadth * side, base - breadth * side), axis=1)
    glyphs.polygons(axes, heads, colours, zorder=1.1, alpha=alpha)


def _draw_dots(axes: Any, network: Network, now: Snapshot, links: Links, r: float) -> None:
    """What is in transit, each slot as a dot at the share of the way that it has gone; its area is the amount."""
    bought = np.flatnonzero(links.purchase >= 0)
    purchase = links.purchase[bought]
    flow = network.purchase.flow[purchase, 0]
    amount = now.transit[:, purchase] / np.where(flow > 0, flow, 1.0)
    slots = np.maximum(np.ceil(now.lead_time[purchase]), 1.0)
    gone = np.clip(1.0 - (np.arange(len(amount))[:, None] + 0.5) / slots, 0.0, 1.0)
    slot, link = np.nonzero(amount > 1e-3)
    curve, load = links.curve[bought[link]], amount[slot, link]
    centre = glyphs.along(curve, 0.86 * gone[slot, link][:, None])[:, 0]  # short of the arrow head
    largest = np.minimum(0.32 * r, 0.38 * glyphs.lengths(curve) / slots[link])  # keeps them apart
    dots = glyphs.discs(centre, largest * np.sqrt(load / (load + 1.0)))
    glyphs.polygons(axes, dots, MOVING, edge=STOCK, line=0.6, zorder=2)
