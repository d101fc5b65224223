"""Figures of a comparison, drawn with matplotlib from the numbers of its tables: PNG, the same bytes every time.

values.png    what the learner and the best rule reach under every regime
effects.png   information, incentive, interaction, dividend
learning.png  every training by its log
profiles.png  how often the learner reaches more than so much (performance profiles, Agarwal et al. 2021)
muda.png      cost by kind of the ledger
waste.png     waste remaining over time
timeline.png  value, and what else changes: open twins, survivors, shares of demand
parties.png   what every party gains or loses against the baseline

A figure that would show nothing is left out. A colour is one regime in all of them: those of Okabe & Ito (2008), which
the colour-blind tell apart, and then the same with dashed and dotted lines.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..files import replace
from .comparison_tables import NOT_SHOWN, PARTIES, how, number, signed
from .learning import Curve

DPI = 150
WIDTH = 8.0  # inches
PALETTE = ("#000000", "#D55E00", "#56B4E9", "#009E73", "#0072B2", "#E69F00", "#CC79A7")  # its yellow is too pale here
LINES = ("-", "--", ":")
GREY, PAPER = "#767676", "#ffffff"
MUDA_COLOURS = ("#56B4E9", "#0072B2", "#009E73", "#F0E442", "#E69F00", "#000000", "#D55E00", "#CC79A7", "#999999")
ACROSS = 4  # panels beside each other
LONGEST, SHORTER = 34, 22  # characters of a label, and of one above a narrow panel
VALUE = "end_customer_value"
TIMELINE = {VALUE: "end-customer value per period", "open_twins": "open twins", "alive": "companies alive"}
MARKED = 40  # rows of a log up to which each is a dot

Table = Mapping[str, Any]  # columns of a CSV file by name; numbers may be text


def write_figures(
    folder: Path,
    said: Mapping[str, Any],
    waste: Table,
    timeline: Table,
    profiles: Table,
    learning: Mapping[str, Sequence[Curve]],
) -> list[Path]:
    """Draw a comparison into a folder, each file put in place whole; the files that are there now.

    `said` is its summary, `waste`, `timeline` and `profiles` its tables of these names, `learning` the trainings of
    each regime.
    """
    folder.mkdir(exist_ok=True)
    written = []
    with drawing():
        for name, figure in _figures(said, waste, timeline, profiles, learning):
            save(figure, folder / f"{name}.png")
            written.append(folder / f"{name}.png")
    return written


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """A user's own style has no effect; letters that the font lacks become boxes, and no matter for a warning."""
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        mpl.rcdefaults()
        mpl.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
        yield


def save(figure: Figure, file: Path) -> None:
    """The figure as PNG, put in its place whole: the same bytes every time."""
    content = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(content, format="png", dpi=DPI, facecolor=PAPER, metadata={"Software": None})
    replace(file, content.getvalue())


def _figures(
    said: Mapping[str, Any], waste: Table, timeline: Table, profiles: Table, learning: Mapping[str, Sequence[Curve]]
) -> Iterator[tuple[str, Figure]]:
    drawn = {
        "values": values(said),
        "effects": effects(said),
        "learning": training(said, learning),
        "profiles": profile_lines(said, profiles),
        "muda": muda(said),
        "waste": waste_lines(said, waste),
        "timeline": timelines(said, timeline),
        "parties": parties(said),
    }
    yield from ((name, figure) for name, figure in drawn.items() if figure is not None)


def values(said: Mapping[str, Any]) -> Figure | None:
    """A dot and its interval for the learner under every regime, and an open one for the best rule."""
    figure, axes = _sheet(1.6 + 0.5 * len(said["regimes"]))
    best = {regime: of["best_rule"] for regime, of in said["regimes"].items() if of["best_rule"] is not None}
    for y, (regime, of) in enumerate(said["regimes"].items()):
        if of["learner"] is not None:
            _interval(axes, y - 0.13, of["learner"], _line(said, regime)[0], "o")
        if regime in best:
            rule = of["rules"][best[regime]]
            _interval(axes, y + 0.17, rule, GREY, "D", PAPER)
            if len(set(best.values())) > 1 and rule["high"] is not None:
                _beside(axes, rule["high"], y + 0.17, best[regime])
    marks = [Line2D([], [], color="#000000", marker="o", ls="", label=_text(said["policy"]))]
    if best:
        only = f": {next(iter(best.values()))}" if len(set(best.values())) == 1 else ""
        marks.append(_rule_mark(_text(f"best rule{only}")))
    if said["foresight"] is not None:
        axes.axvline(said["foresight"]["reached"], color=GREY, ls=":")
        marks.append(Line2D([], [], color=GREY, ls=":", label="foresight"))
    _rows(axes, list(said["regimes"]))
    _money(axes, "end-customer value per period")
    _title(figure, said, "what every regime reaches", f"{_sample(said)}, IQM, 95 % interval")
    _legend(figure, marks)
    return figure


def effects(said: Mapping[str, Any]) -> Figure | None:
    """The effects that there are, with a line at 0."""
    there = {name: effect for name, effect in said["effects"].items() if effect is not None}
    if not there:
        return None
    figure, axes = _sheet(1.3 + 0.55 * len(there))
    axes.axvline(0.0, color="#000000", lw=0.8)
    for y, effect in enumerate(there.values()):
        _interval(axes, y, effect, PALETTE[4] if effect["shown"] else GREY, "o")
        told = signed(effect["value"]) if effect["shown"] else NOT_SHOWN
        axes.annotate(
            told,
            (_known(effect["value"]), y),
            (0, 7),
            textcoords="offset points",
            ha="center",
            va="bottom",
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1},
        )
    _rows(axes, [f"{name}\n{how(said, name)}" for name in there], shorten=False)
    _money(axes, "difference in end-customer value per period")
    _title(figure, said, f"effects, by {_text(said['policy'])}", f"{_sample(said)}, IQM, 95 % interval")
    return figure


def training(said: Mapping[str, Any], learning: Mapping[str, Sequence[Curve]]) -> Figure | None:
    """A panel for each regime, with its own scale: every training by its log, as it is and smoothed."""
    there = {regime: of for regime, of in learning.items() if of}
    if not there:
        return None
    figure, panels = _panels(len(there), 2.0)
    for axes, (regime, of) in zip(panels, there.items(), strict=True):
        colour = _line(said, regime)[0]
        for curve in of:
            few = len(curve.steps) <= MARKED
            axes.plot(curve.steps, curve.values, color=colour, lw=1.0, alpha=0.8 if few else 0.3, marker="." * few)
            if not few:
                axes.plot(*_smooth(curve), color=colour, lw=1.4)
        axes.set_title(_text(regime, LONGEST if len(there) < 3 else SHORTER), fontsize=9)
        _numbers(axes.yaxis, 4)
        _numbers(axes.xaxis, 4)
    told = _text(next(iter(there.values()))[0].quantity)
    figure.supxlabel("step of the training", fontsize=9)
    figure.supylabel(f"{told}, in worlds of the training", fontsize=9)
    many = max(map(len, there.values()))
    _title(
        figure,
        said,
        f"how {_text(said['policy'])} learns",
        f"{many} training{'s' * (many > 1)} per regime; each regime pays in its own way, so panels do not compare",
    )
    return figure


def profile_lines(said: Mapping[str, Any], profiles: Table) -> Figure | None:
    """Performance profiles of the learner with their bands, and of the rule that reaches most."""
    regime, policy = np.asarray(profiles["regime"]), np.asarray(profiles["policy"])
    numbers = {name: np.asarray(profiles[name], dtype=np.float64) for name in ("threshold", "share", "low", "high")}
    best = _best_rule(said)
    if not (policy == said["policy"]).any():
        return None
    figure, axes = _sheet(3.8 + 0.13 * len(said["regimes"]))
    lines = []
    for label in said["regimes"]:
        its = (regime == label) & (policy == said["policy"])
        if its.any():
            colour, dashes, width = _line(said, label)
            above, share, low, high = (column[its] for column in numbers.values())
            axes.fill_between(above, low, high, color=colour, alpha=_faint(said), lw=0)
            lines += axes.plot(above, share, color=colour, ls=dashes, lw=width, label=_text(label))
    if best is not None:
        its = (regime == best[0]) & (policy == best[1])
        told = _text(f"{best[1]}, the best rule")
        lines += axes.plot(numbers["threshold"][its], numbers["share"][its], color=GREY, ls="-.", lw=1.0, label=told)
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("share of trainings × worlds above τ")
    _money(axes, "τ, end-customer value per period")
    _title(figure, said, f"performance profiles of {_text(said['policy'])}", f"{_sample(said)}, 95 % bands")
    _legend(figure, lines)
    return figure


def muda(said: Mapping[str, Any]) -> Figure | None:
    """Cost by kind: the muda one after the other in a bar for each regime, and value-adding apart, for it is larger."""
    if not said["lean"]:
        return None
    regimes = list(said["lean"])
    cost = {kind: np.array([_known(said["lean"][regime]["cost"][kind]) for regime in regimes]) for kind in _kinds(said)}
    figure = Figure(figsize=(WIDTH, 1.9 + 0.36 * len(regimes)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1, 2.4))
    y, adding, improvement = np.arange(len(regimes)), cost.pop("value_adding"), cost.pop("improvement")
    left.barh(y, adding, 0.62, color="#bbbbbb")
    reached, bars = np.zeros(len(regimes)), []
    if np.nanmax(improvement, initial=0.0) > 0.0:
        bars.append(left.barh(y, improvement, 0.62, adding, color="#777777", label="improvement"))
        adding = adding + improvement
    for (kind, costs), colour in zip(cost.items(), MUDA_COLOURS, strict=True):
        if np.nanmax(np.abs(costs), initial=0.0) > 0.0:
            told = kind.replace("_", " ")
            bars.append(right.barh(y, costs, 0.62, reached, color=colour, edgecolor=PAPER, lw=0.4, label=told))
            reached = reached + np.nan_to_num(costs)
    for axes, ends in ((left, adding), (right, reached)):
        for place, end in zip(y, ends, strict=True):
            if np.isfinite(end):
                _beside(axes, max(end, 0.0), float(place), number(end))
        axes.margins(x=0.32 if axes is left else 0.14)
        _rows(axes, regimes)
    right.tick_params(labelleft=False)
    _money(left, "value-adding, improvement", 3)
    _money(right, "muda")
    _title(figure, said, "where the muda went: cost per period", f"{_text(said['policy'])}, mean over {_sample(said)}")
    if bars:
        _legend(figure, bars, 5)
    return figure


def waste_lines(said: Mapping[str, Any], waste: Table) -> Figure | None:
    """Waste remaining under every regime: mean over the trainings, and from the least to the most of them."""
    figure, axes = _sheet(3.6 + 0.13 * len(said["regimes"]))
    lines = _over_time(said, axes, waste, "waste_remaining")
    if not lines:
        return None
    axes.set_ylabel("waste remaining (1 = today's)")
    told = f"{_sample(said)}; mean and range of the trainings" if len(said["seeds"]) > 1 else _sample(said)
    _title(figure, said, f"waste remaining, by {_text(said['policy'])}", told)
    _legend(figure, lines)
    return figure


def timelines(said: Mapping[str, Any], timeline: Table) -> Figure | None:
    """End-customer value over time, and beside it what differs from its start in any regime."""
    shown = {name: head for name, head in TIMELINE.items() if name == VALUE or _moves(timeline, name)}
    shares = [name for name in timeline if name.startswith("demand share") and _moves(timeline, name)]
    shown |= {name: name.removeprefix("demand ").partition(" in ")[0] for name in shares}
    figure, panels = _panels(len(shown), 2.9)
    lines: list[Any] = []
    for axes, (name, head) in zip(panels, shown.items(), strict=True):
        lines = _over_time(said, axes, timeline, name, smooth=name == VALUE)
        axes.set_title(_text(head), fontsize=9)
    if not lines:
        return None
    periods = len(set(timeline["period"]))
    told = f"mean over {_sample(said)}; value: moving mean of {_width(periods)} periods"
    _title(figure, said, f"over time, by {_text(said['policy'])}", told)
    _legend(figure, lines)
    return figure


def _moves(timeline: Table, name: str) -> bool:
    values = np.asarray(timeline[name], dtype=np.float64)
    return bool(np.ptp(values) > 1e-6)


def _width(periods: int) -> int:
    return max(1, periods // 12)


def _over_time(said: Mapping[str, Any], axes: Any, table: Table, column: str, smooth: bool = False) -> list[Any]:
    """A line of the policy for each regime: mean over the trainings, and from the least to the most of them."""
    regime, policy, seed = (np.asarray(table[name]) for name in ("regime", "policy", "seed"))
    values = np.asarray(table[column], dtype=np.float64)
    lines: list[Any] = []
    for label in said["regimes"]:
        its = (regime == label) & (policy == said["policy"])
        if its.any():
            colour, dashes, width = _line(said, label)
            each = np.stack([values[its & (seed == one)] for one in dict.fromkeys(seed[its])])  # (seeds, periods)
            first = 0
            if smooth:
                kernel = np.full(_width(each.shape[1]), 1.0 / _width(each.shape[1]))
                each = np.stack([np.convolve(one, kernel, "valid") for one in each])
                first = len(kernel) - 1
            period = np.asarray(table["period"], dtype=np.float64)[its & (seed == seed[its][0])]
            along = period[first:]
            axes.fill_between(along, each.min(axis=0), each.max(axis=0), color=colour, alpha=_faint(said), lw=0)
            lines += axes.plot(along, each.mean(axis=0), color=colour, ls=dashes, lw=width, label=_text(label))
    axes.set_xlabel("period")
    if lines:
        _shade_uncounted(axes, said)
    for axis in (axes.xaxis, axes.yaxis):
        _numbers(axis, 6)
    return lines


def _shade_uncounted(axes: Any, said: Mapping[str, Any]) -> None:
    """Grey before and after the periods that count."""
    window, (low, high) = said["window"], axes.get_xlim()
    for first, last in ((-window["warm_up"], 0), (window["periods"], window["periods"] + window["tail"])):
        if last > first:
            axes.axvspan(first, last, color="#000000", alpha=0.07, lw=0, zorder=0)
    axes.set_xlim(low, high)


def parties(said: Mapping[str, Any]) -> Figure | None:
    """A panel for each regime but the baseline: the change of every party, of the largest where they are many."""
    there = {r: of["rows"] for r, of in said["parties"].items() if any(row["change"] for row in of["rows"])}
    if not there:
        return None
    names = [row["party"] for row in next(iter(there.values()))]
    size = [max(abs(_known(rows[i]["change"]["value"])) for rows in there.values()) for i in range(len(names))]
    shown = sorted(sorted(range(len(names)), key=lambda i: -size[i])[:PARTIES])
    figure, panels = _panels(len(there), 0.7 + 0.19 * len(shown), share=True)
    for axes, (regime, rows) in zip(panels, there.items(), strict=True):
        axes.axvline(0.0, color="#000000", lw=0.8)
        for y, i in enumerate(shown):
            change = rows[i]["change"]
            gains = PALETTE[4] if change["value"] is not None and change["value"] > 0 else PALETTE[1]
            _interval(axes, y, change, gains if change["shown"] else GREY, "o")
        axes.set_title(_text(regime, LONGEST if len(there) < 3 else SHORTER), fontsize=9)
        _numbers(axes.xaxis, 3)
        _rows(axes, [names[i] for i in shown])
    figure.supxlabel("change of money per period; grey: the 95 % interval contains 0", fontsize=9)
    many = f"; the {PARTIES} largest of {len(names)} parties" if len(shown) < len(names) else ""
    _title(figure, said, f"who gains, who loses, against {_text(said['baseline'])}", f"{_sample(said)}, mean{many}")
    return figure


# --- parts -----------------------------------------------------------------------------------------------------------


def _sheet(height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def _panels(many: int, height: float, share: bool = False) -> tuple[Figure, list[Any]]:
    """So many panels, each `height` inches high, in rows; with the same axes where they are to be shared."""
    rows = -(-many // ACROSS)
    columns = -(-many // rows)
    figure = Figure(figsize=(WIDTH, 0.9 + height * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=share, sharey=share).ravel()
    for place, axes in enumerate(grid):
        axes.set_axis_off() if place >= many else axes.xaxis.set_tick_params(labelbottom=True)
    return figure, list(grid[:many])


def _line(said: Mapping[str, Any], regime: str) -> tuple[str, str, float]:
    """Colour, dashes and width of a regime, by its place in the comparison: thinner lines lie on wider ones."""
    place, last = list(said["regimes"]).index(regime), len(said["regimes"]) - 1
    width = 1.4 + 1.8 * (last - place) / max(1, last)
    return PALETTE[place % len(PALETTE)], LINES[place // len(PALETTE) % len(LINES)], width


def _faint(said: Mapping[str, Any]) -> float:
    """Opacity of a band, so that those of all regimes on each other can still be seen through."""
    return min(0.15, 0.6 / len(said["regimes"]))


def _interval(axes: Any, y: float, of: Mapping[str, Any], colour: str, marker: str, face: str | None = None) -> None:
    low, value, high = (_known(of[name]) for name in ("low", "value", "high"))
    axes.plot([low, high], [y, y], color=colour, lw=1.6, solid_capstyle="butt")
    axes.plot([value], [y], color=colour, marker=marker, markersize=5, markerfacecolor=face or colour)


def _rule_mark(label: str) -> Line2D:
    return Line2D([], [], color=GREY, marker="D", markersize=5, markerfacecolor=PAPER, ls="", label=label)


def _beside(axes: Any, x: float, y: float, text: str) -> None:
    axes.annotate(_text(text), (x, y), (4, 0), textcoords="offset points", va="center", fontsize=7.5, color="#404040")


def _rows(axes: Any, labels: Sequence[str], shorten: bool = True) -> None:
    """Rows from the top, each with its label."""
    axes.set_yticks(range(len(labels)), [_text(label) if shorten else label for label in labels])
    axes.set_ylim(len(labels) - 0.45, -0.55)
    axes.tick_params(axis="y", length=0)


def _money(axes: Any, label: str, ticks: int = 6) -> None:
    axes.set_xlabel(label)
    _numbers(axes.xaxis, ticks)


def _numbers(axis: Any, ticks: int) -> None:
    """Few ticks, with all their digits: no common factor in a corner."""
    axis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.10g}".replace("-", "−")))


def _legend(figure: Figure, handles: Sequence[Any], columns: int = 4) -> None:
    labels = [handle.get_label() for handle in handles]
    room = 100 // (max(map(len, labels)) + 8)  # columns of so long labels in the width of a figure
    figure.legend(handles, labels, loc="outside lower center", ncols=min(columns, room, len(handles)), frameon=False)


def _title(figure: Figure, said: Mapping[str, Any], what: str, how: str) -> None:
    figure.suptitle(f"{_text(said['scenario'])}: {what}\n{how}", x=0.01, ha="left", fontsize=10)


def _sample(said: Mapping[str, Any]) -> str:
    seeds = len(said["seeds"])
    trainings = f"{seeds} trainings × " if seeds > 1 else ""
    return f"{trainings}{said['worlds']} worlds"


def _text(label: str, longest: int = LONGEST) -> str:
    """A label as it is: `$` is no mathematics, and `_` in front hides nothing; long ones lose their middle."""
    if len(label) > longest:
        label = f"{label[: longest // 2]}…{label[-(longest // 2) + 1 :]}"
    return (" " if label.startswith("_") else "") + label.replace("$", r"\$")


def _known(value: float | None) -> float:
    return np.nan if value is None else value


def _kinds(said: Mapping[str, Any]) -> list[str]:
    return list(next(iter(said["lean"].values()))["cost"])


def _best_rule(said: Mapping[str, Any]) -> tuple[str, str] | None:
    """Regime and name of the rule that reaches most."""
    reached = {
        (regime, of["best_rule"]): _known(of["rules"][of["best_rule"]]["value"])
        for regime, of in said["regimes"].items()
        if of["best_rule"] is not None
    }
    return max(reached, key=lambda rule: reached[rule], default=None)


def _smooth(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """Steps and means of each twentieth of a log."""
    width = max(1, len(curve.values) // 20)
    kernel = np.full(width, 1.0 / width)
    return np.convolve(curve.steps, kernel, "valid"), np.convolve(curve.values, kernel, "valid")
