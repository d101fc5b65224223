"""Where companies and markets stand in a picture: where the description puts them, else in layers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import pdist

from ..network import Network

NEAREST = 14.0  # pixels; positions that would put two companies closer than this are not used
SWEEPS = 6  # over the layers, to shorten links


class Area(NamedTuple):
    """The part of a picture, in pixels from its lower left corner, that the network may fill."""

    left: float
    bottom: float
    width: float
    height: float


class Places(NamedTuple):
    """Centres in pixels from the lower left corner."""

    company: np.ndarray  # (companies, 2)
    market: np.ndarray  # (markets, 2)


def rows_needed(network: Network) -> int:
    """Companies or markets that stand above each other in the fullest column."""
    given = _given(network)
    rows = np.bincount(_layers(network)).max() if given is None else len(np.unique(given[:, 1].round(6)))
    return max(int(rows), len(network.market.mean))


def place(network: Network, area: Area) -> Places:
    """Companies by the `position` in the description (y down) where all have one and none stands on another.

    Else in layers by their distance from a market, each in the order that keeps links short. Markets stand on the
    right. Nothing is random.
    """
    given = _given(network)
    if given is not None:
        places = _by_position(network, given, area)
        if nearest(places.company) >= NEAREST:
            return places
    return _in_layers(network, area)


def _given(network: Network) -> np.ndarray | None:
    """Positions (companies, 2) with y up, if all companies have one."""
    positions = [c.position for c in network.scenario.companies if c.position is not None]
    return np.array(positions) * (1.0, -1.0) if len(positions) == network.companies else None


def _by_position(network: Network, given: np.ndarray, area: Area) -> Places:
    """Positions stretched to the area, and the markets as near to their sellers' height as they can be."""
    columns = np.unique(given[:, 0])
    span = float(np.ptp(columns))
    gap = max(float(np.median(np.diff(columns))), span / 12.0) if len(columns) > 1 else 1.0
    x = (given[:, 0] - columns[0] + gap / 2) / (span + 2 * gap)
    row = 1.0 / len(np.unique(given[:, 1].round(6)))  # first and last row stand half of it inside
    rows = float(np.ptp(given[:, 1]))
    y = row / 2 + (given[:, 1] - given[:, 1].min()) / rows * (1 - row) if rows else np.full(len(given), 0.5)
    company = np.stack((area.left + x * area.width, area.bottom + y * area.height), axis=1)

    markets = len(network.market.mean)
    sellers = np.bincount(network.market.market, minlength=markets)
    wanted = np.bincount(network.market.market, company[network.market.seller, 1], minlength=markets) / sellers
    height = np.empty(markets)
    order = np.argsort(wanted, kind="stable")
    height[order] = _apart(wanted[order], min(area.height / markets, 150.0), area)
    right = area.left + (span + 1.5 * gap) / (span + 2 * gap) * area.width
    return Places(company, np.stack((np.full(markets, right), height), axis=1))


def _apart(wanted: np.ndarray, gap: float, area: Area) -> np.ndarray:
    """Ascending heights moved apart to a least gap, near what is wanted, inside the area."""
    steps = gap * np.arange(len(wanted))
    moved = np.maximum.accumulate(wanted - steps) + steps
    moved = moved - (moved - wanted).mean()
    lowest, highest = area.bottom + gap / 2 + steps, area.bottom + area.height - gap / 2 - steps[::-1]
    return np.clip(moved, lowest, highest)


def _layers(network: Network) -> np.ndarray:
    """Layer of every company (companies,), 0 on the left; the last layer sells to markets only."""
    distance = np.zeros(network.companies, dtype=np.int64)
    for _ in range(network.depth):
        np.maximum.at(distance, network.trade.seller, distance[network.trade.buyer] + 1)
    return distance.max() - distance


def _in_layers(network: Network, area: Area) -> Places:
    """Layers from suppliers to markets; full layers are folded into several columns."""
    n, markets = network.companies, len(network.market.mean)
    layer = np.concatenate((_layers(network), np.full(markets, _layers(network).max() + 1)))
    market_of = n + network.market.market
    source = np.concatenate((network.trade.seller, network.market.seller))
    target = np.concatenate((network.trade.buyer, market_of))
    height = _heights(layer, source, target)

    counts = np.bincount(layer)
    best, folds = 0.0, np.ones_like(counts)
    for rows in range(1, int(counts.max()) + 1):
        folded = -(-counts // rows)
        columns = folded.sum() + (len(counts) - 1 if folded.max() > 1 else 0)
        cell = min(area.width / columns, area.height / rows)
        if cell > best:
            best, folds = cell, folded
    gap = 1 if folds.max() > 1 else 0
    width = area.width / (folds.sum() + gap * (len(counts) - 1))
    left = np.concatenate(([0], np.cumsum(folds + gap)[:-1]))
    rank = np.rint(height * counts[layer] - 0.5).astype(np.int64)  # within the layer, from below
    x = area.left + (left[layer] + rank % folds[layer] + 0.5) * width
    y = area.bottom + height * area.height
    places = np.stack((x, y), axis=1)
    return Places(places[:n], places[n:])


def _heights(layer: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Heights in (0, 1), evenly apart in each layer, in the order of the mean height of customers and suppliers."""
    nodes, counts = len(layer), np.bincount(layer)
    first = np.concatenate(([0], np.cumsum(counts)[:-1]))

    def evenly(key: np.ndarray) -> np.ndarray:
        order = np.lexsort((-np.arange(nodes), key, layer))
        rank = np.empty(nodes, dtype=np.int64)
        rank[order] = np.arange(nodes)
        return (rank - first[layer] + 0.5) / counts[layer]

    height = evenly(np.zeros(nodes))
    for sweep in range(SWEEPS):
        here, there = (target, source) if sweep % 2 == 0 else (source, target)
        number = np.bincount(here, minlength=nodes)
        mean = np.bincount(here, height[there], minlength=nodes) / np.maximum(number, 1)
        height = evenly(np.where(number > 0, mean, height))
    return height


def nearest(centres: np.ndarray) -> float:
    """Least distance between two centres, in pixels; infinite where there is one."""
    return float(pdist(centres).min()) if len(centres) > 1 else np.inf


def room(centres: np.ndarray) -> tuple[float, float]:
    """Least distance sideways between centres of one row, and upwards between centres of one column, in pixels."""
    dx, dy = np.abs(centres[:, None] - centres).transpose(2, 0, 1)
    other = ~np.eye(len(centres), dtype=bool)
    # Rows and columns are told apart by which of the two distances is the larger part of the way.
    sideways = np.min(dx, where=other & (dx >= dy), initial=400.0)
    upwards = np.min(dy, where=other & (dy > dx), initial=400.0)
    return float(sideways), float(upwards)
