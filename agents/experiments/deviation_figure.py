"""The figure of a run of deviations: what leaving pays each company, a panel per contract, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from .figures import GREY, PALETTE, drawing, save

ACROSS = 2  # panels beside each other


def write_figure(file: Path, said: Mapping[str, Any]) -> None:
    """Draw `agents.experiments.deviations.deviations` as PNG, put in its place whole."""
    contracts = {label: of for label, of in said["contracts"].items() if of["companies"]}
    names = list(dict.fromkeys(row["company"] for of in contracts.values() for row in of["companies"]))
    lines = -(-len(contracts) // ACROSS)
    with drawing():
        figure = Figure(figsize=(8.0, 0.9 + lines * (0.9 + 0.24 * len(names))), layout="constrained")
        across = min(ACROSS, len(contracts))
        panels = figure.subplots(lines, across, squeeze=False, sharex=True, sharey=True).flatten().tolist()
        for axes, (label, of) in zip(panels, contracts.items(), strict=False):
            axes.axvline(0.0, color=GREY, linewidth=0.8)
            for row in of["companies"]:
                y, colour = names.index(row["company"]), PALETTE[1] if row["pays"] else PALETTE[4]
                axes.plot([row["gain"]["low"], row["gain"]["high"]], [y, y], color=colour, linewidth=1.6)
                axes.plot([row["gain"]["value"]], [y], "o", color=colour, markersize=5)
            axes.set_title(label, loc="left")
            axes.set_yticks(range(len(names)), names)
        for axes in panels[len(contracts) :]:
            axes.set_visible(False)
        for axes in panels[: len(contracts)]:
            axes.tick_params(labelbottom=True)
        for axes in panels[: len(contracts)][-across:]:
            axes.set_xlabel("gain from leaving, money per period")
        panels[0].invert_yaxis()
        figure.suptitle("What leaving pays (orange: more than is material)", x=0.01, ha="left")
        save(figure, file)
