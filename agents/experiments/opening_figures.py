"""Figures of a run of openings: adoption round by round and by fee (hysteresis), and what the platform earns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from .figures import GREY, PALETTE, drawing, save
from .openings import EVERYBODY, NOBODY

ACROSS = 3  # panels beside each other
MOST = 9  # panels
STARTS = {NOBODY: (PALETTE[1], "-", "o"), EVERYBODY: (PALETTE[4], "--", "s")}


def write_figures(folder: Path, said: Mapping[str, Any]) -> None:
    """`adoption.png` (open twins by fee and by round) and `platform.png` (revenue and value by fee)."""
    with drawing():
        save(_adoption(said), folder / "adoption.png")
        save(_platform(said), folder / "platform.png")


def _panels(said: Mapping[str, Any], height: float) -> tuple[Figure, list[tuple[Any, Mapping[str, Any]]]]:
    rows = said["rows"][:MOST]
    across = min(ACROSS, len(rows))
    lines = -(-len(rows) // across)
    figure = Figure(figsize=(8.0, 1.1 + height * lines), layout="constrained")
    panels = figure.subplots(lines, across, squeeze=False, sharex=True).flatten().tolist()
    for axes in panels[len(rows) :]:
        axes.set_visible(False)
    for axes, row in zip(panels, rows, strict=False):
        parts = [row["case"], f"α {row['alignment']:g}"] + [f"exposure {row['exposure']:g}"] * bool(row["exposure"])
        axes.set_title(", ".join(parts), loc="left", fontsize=8.5)
        axes.tick_params(labelbottom=True)
    return figure, list(zip(panels, rows, strict=False))


def _labelled(figure: Figure, panels: list[tuple[Any, Any]], what: str, height: str) -> Figure:
    """The figure with its title, the axes' labels, and one legend for all panels."""
    for axes, _ in panels[-min(ACROSS, len(panels)) :]:
        axes.set_xlabel("fee per open twin and day")
    figure.supylabel(height, fontsize=9)
    figure.suptitle(what, x=0.01, ha="left", fontsize=10)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _adoption(said: Mapping[str, Any]) -> Figure:
    figure, panels = _panels(said, 1.9)
    for axes, row in panels:
        for start, (colour, dashes, marker) in STARTS.items():
            of = row["from"][start]["fees"]
            fees = [at["fee"] for at in of]
            low, share, high = ([at["share"][k] for at in of] for k in ("low", "value", "high"))
            axes.fill_between(fees, low, high, color=colour, alpha=0.15, lw=0)
            axes.plot(fees, share, dashes, color=colour, marker=marker, markersize=3, label=f"from {start} open")
        axes.set_ylim(-0.05, 1.05)
        axes.axvline(0.0, color=GREY, linewidth=0.6)
    many = f"; the first {MOST} of {len(said['rows'])}" if len(said["rows"]) > MOST else ""
    what = f"{said['scenario']}: who opens a twin, with 95 % bands; below 0: a subsidy{many}"
    return _labelled(figure, panels, what, "share of open twins at rest")


def _platform(said: Mapping[str, Any]) -> Figure:
    figure, panels = _panels(said, 1.9)
    for axes, row in panels:
        of = row["from"][EVERYBODY]["fees"]
        fees = [at["fee"] for at in of]
        for name, base, colour, dashes in (("revenue", 0.0, 4, "-"), ("value", row["value_closed"], 1, "--")):
            low, value, high = ([at[name][k] - base for at in of] for k in ("low", "value", "high"))
            if name == "revenue":  # of the value only the change matters, whose luck is common
                axes.fill_between(fees, low, high, color=PALETTE[colour], alpha=0.15, lw=0)
            label = {"revenue": "revenue of the platform", "value": "gain of end-customer value"}[name]
            axes.plot(fees, value, dashes, color=PALETTE[colour], label=label)
        axes.axhline(0.0, color=GREY, linewidth=0.6)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    what = f"{said['scenario']}: what a platform earns, and the network, from everybody open"
    return _labelled(figure, panels, what, "money per period")
