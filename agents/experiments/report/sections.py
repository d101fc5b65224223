"""The tables of a comparison as HTML, all from its summary.

Every number that is in `summary.json` carries its place there (`data-from`, a JSON pointer, RFC 6901), so that a page
can be held against the file it was made from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from rich.text import Text

from ..comparison_tables import NOT_SHOWN, beaten, headline, how, notes, number, settlements, signed

Said = Mapping[str, Any]
FLOW = {
    "throughput_days": ("throughput time, days", 1),
    "flow_efficiency": ("flow efficiency", 4),
    "waste_remaining": ("waste remaining at the end", 3),
}


def unmarked(markup: str) -> str:
    """Text of a line that was written for the terminal."""
    return Text.from_markup(markup).plain


def plain(markup: str) -> str:
    """The same as HTML."""
    return escape(unmarked(markup))


def figure(said: Said, *path: str | int, form: str = "number") -> str:
    """The number at `path` in the summary; a dash where there is none."""
    value: Any = said
    for key in path:
        value = value[key]
    if value is None:
        return "—"
    pointer = "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in path)
    return f'<span data-from="{escape(pointer)}" data-form="{form}">{formed(value, form)}</span>'


def formed(value: float, form: str) -> str:
    """A number as the tables write it: `number`, `signed`, or a count of digits after the point."""
    if form == "number":
        return number(value)
    return signed(value) if form == "signed" else f"{value:,.{int(form)}f}"


def interval(said: Said, *path: str | int, form: str = "number") -> str:
    return f"{figure(said, *path, 'low', form=form)} … {figure(said, *path, 'high', form=form)}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], caption: str, text_columns: int = 1) -> str:
    """A table in a box of its own, in which it scrolls where it is wide; cells are HTML, `caption` is text."""
    columns = [("t" if i < text_columns else "n") for i in range(len(heads))]
    head = "".join(f'<th scope="col" class="{c}">{h}</th>' for c, h in zip(columns, heads, strict=True))
    body = []
    for row in rows:
        first, *rest = zip(columns, row, strict=True)
        cells = f'<th scope="row" class="{first[0]}">{first[1]}</th>'
        body.append("<tr>" + cells + "".join(f'<td class="{c}">{cell}</td>' for c, cell in rest) + "</tr>")
    # Not in a caption element: that would scroll away with a wide table.
    return (
        f'<p class="quiet caption">{escape(caption)}</p>'
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def opening(said: Said, title: str) -> str:
    """What it is, the headline, and the numbers that it rests on."""
    cards = []

    def card(name: str, value: str, more: str) -> None:
        cards.append(f"<div><dt>{escape(name)}</dt><dd><b>{value}</b><small>{more}</small></dd></div>")

    better = target(said)
    for regime in dict.fromkeys(r for r in (said["baseline"], better) if r is not None):
        if said["regimes"][regime]["learner"] is not None:
            path = ("regimes", regime, "learner")
            card(f"{regime}: value per period", figure(said, *path, "value"), interval(said, *path))
    dividend = said["effects"].get("dividend")
    if dividend is not None:
        verdict = "" if dividend["shown"] else f"<br>{NOT_SHOWN}"
        value, span = figure(said, "effects", "dividend", "value", form="signed"), interval(said, "effects", "dividend")
        card(f"dividend: {how(said, 'dividend')}", value, span + verdict)
    if better is not None and better in said["lean"]:
        left = figure(said, "lean", better, "waste_remaining", form="3")
        card(f"{better}: waste remaining", left, "1 = as at the start, 0 = none")
    failed = said["failed"]
    lines = "".join(f"<li>{escape(f['unit'])}: {escape(f['error'])}</li>" for f in failed)
    warning = f'<div class="warning" role="note"><p>{len(failed)} failed:</p><ul>{lines}</ul></div>' if failed else ""
    trained = any(said["budget"].values())
    count, many = len(said["seeds"]), len(said["regimes"])
    made = [f"{said['policy']} under {many} regime{'s' if many > 1 else ''}"]
    made += [f"{count} training seed{'s' if count > 1 else ''}"] if trained else []
    made += [f"{said['worlds']} worlds in common luck"]
    return (
        f"<header>\n<h1>{escape(title)}</h1>\n"
        f'<p class="headline">{plain(headline(said))}</p>\n'
        f'<p class="quiet">{escape(", ".join(made))}. Values are end-customer value per period; intervals hold'
        " 95 %.</p>\n"
        f'<dl class="cards">{"".join(cards)}</dl>\n{warning}</header>'
    )


def target(said: Said) -> str | None:
    """The regime that the baseline is held against: kaizen2, or else the last."""
    served = [regime for regime, of in said["regimes"].items() if of["learner"] is not None]
    return "kaizen2" if "kaizen2" in served else (served[-1] if served else None)


def lines_of(said: Said) -> list[tuple[str, str, str, tuple[str, ...]]]:
    """Regime, policy, mark, and path in the summary: the learner and the best rule of every regime."""
    found = []
    for regime, of in said["regimes"].items():
        if of["learner"] is not None:
            found.append((regime, said["policy"], "learner", ("regimes", regime, "learner")))
        if of["best_rule"] is not None:
            mark = "rule beats" if beaten(of) else "rule"
            found.append((regime, of["best_rule"], mark, ("regimes", regime, "rules", of["best_rule"])))
    return found


def regimes(said: Said) -> str:
    """A row for the learner and for the best rule of every regime, the same as a chart, and what has to be known."""
    shares, rows, before = said["foresight"] is not None, [], None
    for regime, policy, mark, path in lines_of(said):
        told = said["regimes"][regime]["learner"] if mark == "learner" else said["regimes"][regime]["rules"][policy]
        change, verdict = ("", ""), ""
        if told["change"] is not None:
            change = figure(said, *path, "change", "value", form="signed"), interval(said, *path, "change")
            verdict = "" if told["change"]["shown"] else f"<em>{NOT_SHOWN}</em>"
        star = "\N{NO-BREAK SPACE}*" if mark == "rule beats" else ""
        row = ["" if regime == before else escape(regime), escape(policy) + star]
        row += [figure(said, *path, "value"), interval(said, *path), *change]
        if shares:
            row.append(figure(said, *path, "normalised", "value", form="2"))
        rows.append([*row, verdict])
        before = regime
    heads = ["regime", "policy", "value", "95 % interval", f"− {escape(str(said['baseline']))}", "95 % interval"]
    heads += ["share", ""] if shares else [""]
    told = table(heads, rows, "End-customer value per period, interquartile mean", 2)
    remarks = "".join(f"<li>{plain(line)}</li>" for line in notes(said))
    return f'{told}\n{values_chart(said)}\n<ul class="notes">{remarks}</ul>'


def values_chart(said: Said) -> str:
    """Values with their intervals on one scale, which does not begin at 0."""
    found = lines_of(said)
    if not found:
        return ""
    told = []
    for regime, policy, mark, path in found:
        of = said
        for key in path:
            of = of[key]
        told.append((regime, policy, mark, of))
    lowest, highest = min(of["low"] for *_, of in told), max(of["high"] for *_, of in told)
    room = (highest - lowest) or max(abs(highest), 1.0)
    lowest, room = lowest - 0.04 * room, 1.08 * room

    def at(value: float) -> str:
        return f"{100 * (value - lowest) / room:.2f}%"

    rows = []
    for regime, policy, mark, of in told:
        tip = f"{regime}, {policy}: {number(of['value'])} ({number(of['low'])} … {number(of['high'])})"
        kind = "learner" if mark == "learner" else "rule"
        rows.append(
            f'<div class="whisker {kind}" tabindex="0" role="img" aria-label="{escape(tip)}" data-tip="{escape(tip)}">'
            f"<span class=name>{escape(regime)} <small>{escape(policy)}</small></span>"
            f'<span class=track><i style="left:{at(of["low"])};right:calc(100% - {at(of["high"])})"></i>'
            f'<b style="left:{at(of["value"])}"></b></span></div>'
        )
    ends = f"<span>{number(lowest)}</span><span>{number(lowest + room)}</span>"
    return (
        f'<div class="chart" id="values-chart">{"".join(rows)}'
        f'<div class="whisker ends"><span class=name></span><span class=track>{ends}</span></div></div>'
        '<p class="quiet">Dots are values, bars 95 % intervals; full dots the learner, hollow ones the best rule of the'
        " regime. The scale does not begin at 0.</p>"
    )


def effects(said: Said) -> str:
    rows = []
    for name, effect in said["effects"].items():
        if effect is None:
            rows.append([escape(name), escape(how(said, name)), "", "", "", "needs regimes that are not here"])
            continue
        path = ("effects", name)
        better = "" if effect["improvement"] is None else figure(said, *path, "improvement", "value", form="2")
        value = figure(said, *path, "value", form="signed")
        verdict = "" if effect["shown"] else f"<em>{NOT_SHOWN}</em>"
        rows.append([escape(name), escape(how(said, name)), value, interval(said, *path), better, verdict])
    heads = ("effect", "is", "value", "95 % interval", "P(better)", "")
    what = f"Effects on end-customer value per period, by {said['policy']}"
    return table(heads, rows, what, 2)


def parties(said: Said) -> str:
    """Who has what under the baseline, the change under each other regime, and payments that settle it."""
    of, baseline = said["parties"], said["baseline"]
    if not of:
        return ""
    others = [regime for regime in of if regime != baseline]
    heads = ["party", escape(str(baseline))]
    for regime in others:
        heads += [escape(regime), "side payment"]
    rows = []
    for i, row in enumerate(of[baseline]["rows"]):
        cells = [escape(row["party"]), figure(said, "parties", baseline, "rows", i, "value")]
        for regime in others:
            change, path = of[regime]["rows"][i]["change"], ("parties", regime, "rows", i)
            tip = f"95 % interval {number(change['low'])} … {number(change['high'])}"
            doubt = "" if change["shown"] else " ?"
            told = figure(said, *path, "change", "value", form="signed")
            sign = "gain" if change["value"] > 0 else "loss"
            mark = sign if change["shown"] else "quiet"
            cells.append(f'<span class="{mark}" data-tip="{escape(tip)}">{told}{doubt}</span>')
            paid = of[regime]["rows"][i]["side_payment"]
            cells.append(figure(said, *path, "side_payment", form="signed") if paid else "")
        rows.append(cells)
    total = ["all together", figure(said, "parties", baseline, "sum")]
    gini = ["Gini of profits", figure(said, "parties", baseline, "gini", form="3")]
    for regime in others:
        total += [figure(said, "parties", regime, "sum_of_changes", form="signed"), ""]
        gini += [figure(said, "parties", regime, "gini", form="3"), ""]
    lines = "".join(f"<li>{plain(line)}</li>" for line in settlements(said))
    caption = f"Money per period, mean: under {baseline}, and the change from it"
    return table(heads, [*rows, total, gini], caption) + f'<ul class="notes">{lines}</ul>'


def ledger(said: Said) -> str:
    """Cost by kind, and how lean the network is, under every regime."""
    lean = said["lean"]
    if not lean:
        return ""
    rows = [
        [kind.replace("_", " "), *(figure(said, "lean", regime, "cost", kind) for regime in lean)]
        for kind in next(iter(lean.values()))["cost"]
    ]
    rows.append(["all", *(figure(said, "lean", regime, "total_cost") for regime in lean)])
    return table(["kind", *map(escape, lean)], rows, "Cost per period by kind, mean")


def flow(said: Said) -> str:
    lean = said["lean"]
    if not lean:
        return ""
    rows = [
        [name, *(figure(said, "lean", regime, key, form=str(digits)) for regime in lean)]
        for key, (name, digits) in FLOW.items()
    ]
    return table(["", *map(escape, lean)], rows, "How lean the network is, mean over the episode")
