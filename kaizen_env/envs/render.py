"""Showing a running network: a table for terminals, a drawing as an array of pixels, and a window.

All of them read the environment and change nothing in it.
"""

from __future__ import annotations

import weakref
from typing import Any

import gymnasium
import numpy as np
from rich.cells import cell_len, set_cell_size

from ..pictures.snapshot import Snapshot, number, percent, snapshot
from .batch import BatchEnv

WIDTH = 100  # columns of a terminal
MOST_ROWS = 24  # companies in a table
NAME_WIDTH = 20

# Windows stand here and not in the environment, which stays picklable.
_windows: weakref.WeakKeyDictionary[BatchEnv, Any] = weakref.WeakKeyDictionary()


def render(batch: BatchEnv, mode: str | None, world: int = 0) -> str | np.ndarray | None:
    """One world as `ansi` (a table as text), `rgb_array` (height, width, 3) uint8, or `human` (a window; None).

    Without a mode, and where no window can be opened, warns and returns None. Raises RuntimeError before the first
    reset, ValueError for another mode, and ImportError where pictures need matplotlib and it is not there.
    """
    if mode is None:
        gymnasium.logger.warn(
            "render() was called, but no render_mode was given when the environment was made; give one, e.g."
            " parallel_env('cola', render_mode='rgb_array')",
            stacklevel=3,
        )
        return None
    if mode not in ("ansi", "rgb_array", "human"):
        raise ValueError(f"render_mode: got {mode!r}; allowed: ansi, rgb_array, human")
    now = snapshot(batch, world)
    if mode == "ansi":
        return table(batch, now)
    try:
        from ..pictures.picture import draw, pixels
    except ImportError as error:
        raise ImportError(
            f"render_mode '{mode}' draws with matplotlib ({error}); pip install 'kaizen-env[pictures]', or use"
            " render_mode='ansi'"
        ) from error
    if mode == "rgb_array":
        return pixels(batch.network, now)
    figure = _window(batch)
    if figure is not None:
        draw(figure, batch.network, now)
        figure.canvas.draw_idle()
        figure.canvas.start_event_loop(0.001)  # lets the toolkit show it
    return None


def close(owner: Any) -> None:
    """Close the window of an environment, or of a `BatchEnv`, if there is one."""
    figure = _windows.pop(getattr(owner, "batch", owner), None)
    if figure is not None:
        import matplotlib.pyplot as plt

        plt.close(figure)


def _window(batch: BatchEnv) -> Any:
    """The figure in this environment's window; None, with a warning, where no window can be opened."""
    import matplotlib.pyplot as plt
    from matplotlib.backend_bases import FigureManagerBase

    known = _windows.get(batch)
    if known is not None and plt.fignum_exists(known.number):
        return known
    figure = None
    try:
        figure = plt.figure()
        manager = figure.canvas.manager
        if manager is None or type(manager).show is FigureManagerBase.show:  # such a backend draws to files only
            raise RuntimeError(f"matplotlib's backend here is '{plt.get_backend()}', which opens none")
        manager.set_window_title(f"kaizen_env: {batch.scenario.name}")
        manager.show()
    except Exception as error:  # each toolkit has errors of its own
        if figure is not None:
            plt.close(figure)
        gymnasium.logger.warn(
            "render_mode='human' needs a window: %s. On a machine with a display, install a toolkit (tkinter, or pip"
            " install pyqt6) and leave MPLBACKEND unset; anywhere, render_mode='rgb_array' gives the picture as an"
            " array",
            error,
            stacklevel=4,
        )
        return None
    _windows[batch] = figure
    return figure


# --- the table --------------------------------------------------------------------------------------------------


def table(batch: BatchEnv, now: Snapshot) -> str:
    """The companies as rows of a table of at most `WIDTH` columns; of more than `MOST_ROWS` the latest."""
    columns: list[tuple[str, int, list[str], str]] = [  # name, width, cell of each company, cell of the network
        ("on hand", 8, [number(x) for x in now.on_hand], ""),
        ("inputs", 8, [number(x) for x in now.inputs], ""),
        ("in transit", 11, [number(x) for x in now.in_transit], ""),
        ("backlog", 8, [number(x) for x in now.backlog], ""),
        ("orders", 8, [number(x) for x in now.orders], ""),
        ("profit", 8, [number(x) for x in now.profit], number(now.profit.sum())),
    ]
    if now.waste is not None:
        columns.append(("waste", 7, [percent(x) for x in now.waste], percent(now.waste_left)))
    if now.culture is not None:
        columns.append(("culture", 8, [percent(x) for x in now.culture], percent(now.culture.mean())))
    if now.open_twin is not None:
        is_open = now.open_twin > 0
        columns.append(("twin", 7, ["open" if x else "closed" for x in is_open], f"{is_open.sum()} open"))
    alive = now.alive > 0
    columns.append(("alive", 6, ["yes" if x else "no" for x in alive], str(alive.sum())))

    cost = batch.network.company.standard_cost[:, 0]
    shown = np.sort(np.lexsort((-cost * now.backlog, -cost * now.late))[:MOST_ROWS])
    lines = [
        _cut(f"{batch.scenario.name} · regime {now.regime} · {now.clock}", WIDTH),
        _cut(now.value, WIDTH),
        "",
        _cut("company", NAME_WIDTH) + "".join(f"{name:>{width}}" for name, width, _, _ in columns),
    ]
    lines += [
        _cut(now.names[row], NAME_WIDTH) + "".join(f"{cells[row]:>{width}}" for _, width, cells, _ in columns)
        for row in shown
    ]
    lines.append(_cut("network", NAME_WIDTH) + "".join(f"{whole:>{width}}" for _, width, _, whole in columns))
    out = len(alive) - len(shown)
    if out:
        lines.append(f"{out} of {len(alive)} companies are left out: the least late, then the least owing, by cost.")
    lines += [
        "Units of the company's own product. inputs: what the scarcest of them suffices for; in transit: on",
        "the way to it, mean over its suppliers; orders: its customers' new ones; profit: the last period's.",
    ]
    return "\n".join(line.rstrip() for line in lines)


def _cut(text: str, width: int) -> str:
    """Text in exactly `width` columns of a terminal."""
    return set_cell_size(text, width) if cell_len(text) < width else set_cell_size(text, width - 1) + " "
