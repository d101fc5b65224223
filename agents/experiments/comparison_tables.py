"""What a comparison prints: the headline in words, and tables of at most 100 columns. All from its summary."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .comparison import EFFECTS
from .config import REFERENCE

ACROSS = 5  # regimes beside each other
PARTIES = 12  # that are printed; parties.csv has all
HOW = {
    "information": "transparent − isolated",
    "incentive": "aligned − isolated",
    "interaction": "what both do beyond",
    "dividend": "kaizen2 − isolated",
}
NOT_SHOWN = "no effect shown"


def show(said: Mapping[str, Any], console: Console, short: bool = False) -> None:
    """Print a comparison, from its `summary`; values and effects alone where `short`."""
    console.print(board(said))
    for line in notes(said):
        console.print(line, highlight=False)
    console.print()
    if any(effect is not None for effect in said["effects"].values()):
        console.print(effects_table(said))
    console.print(headline(said), highlight=False)
    if short:
        return
    console.print()
    for regimes in _parts(list(said["parties"])):
        console.print(parties_table(said, regimes))
    for line in settlements(said):
        console.print(line, highlight=False)
    console.print()
    if said["quarters"]:
        console.print(quarters_table(said))
    if any(of["sellers"] for of in said["markets"].values()):
        console.print(markets_table(said))
    for regimes in _parts(list(said["lean"])):
        console.print(lean_table(said, regimes))


def board(said: Mapping[str, Any]) -> Table:
    """A row for the learner and for the best rule of every regime."""
    table = _table(f"{said['scenario']}: end-customer value per period, {_worlds(said['worlds'])}, IQM")
    table.add_column("regime", overflow="fold")
    table.add_column("policy", overflow="fold")
    shares = said["foresight"] is not None
    heads = ("value", "95 % interval", f"− {said['baseline']}", "95 % interval")
    for name in (*heads, "share") if shares else heads:
        table.add_column(name, justify="right", no_wrap=True)
    for regime, of in said["regimes"].items():
        best = of["best_rule"]
        rows = [] if of["learner"] is None else [(said["policy"], of["learner"], "")]
        if best is not None:
            rows.append((best, of["rules"][best], " *" if beaten(of) else ""))
        for place, (label, told, mark) in enumerate(rows):
            cells = [escape(regime) if place == 0 else "", escape(label) + mark, number(told["value"]), span(told)]
            cells += ["", ""] if told["change"] is None else [signed(told["change"]["value"]), span(told["change"])]
            if shares:
                cells.append(f"{told['normalised']['value']:.2f}")
            table.add_row(*cells)
    return table


def beaten(of: Mapping[str, Any]) -> bool:
    """Whether the best rule of a regime does better than its learner, by more than chance."""
    against = of["best_rule_less_learner"]
    return against is not None and against["shown"] and against["value"] > 0


def notes(said: Mapping[str, Any]) -> Iterator[str]:
    """What has to be known to read the board."""
    learner = escape(said["policy"])
    for regime, of in said["regimes"].items():
        if of["learner"] is None:
            yield f"{escape(regime)}: {learner} did not come through; effects that need it are left out"
        elif beaten(of):
            against = of["best_rule_less_learner"]
            by = f"{signed(against['value'])} ({span(against)})"
            yield f"* {escape(regime)}: the rule {escape(of['best_rule'])} beats {learner} by {by}"
    still = said["regimes"].get(REFERENCE, {}).get("learner")
    if still is not None and still["change"] is not None and still["change"]["shown"] and still["change"]["value"] > 0:
        more = f"{learner} reaches more without kaizen ({REFERENCE}) than under {escape(said['baseline'])}"
        yield f"{more}: to improve does not pay within the episode, or is not learnt yet"
    yield budget(said)
    if len(said["seeds"]) == 1 and any(said["budget"].values()):
        yield "one training seed: intervals say nothing of what another training would reach"
    if said["memory"] not in (None, "none"):
        yield f"memory of {learner}: {escape(said['memory'])}"
    if said["foresight"] is not None:
        ends = said["foresight"]
        yield f"share: 0 = static ({number(ends['static'])}), 1 = foresight ({number(ends['reached'])})"
    for label, regimes in said["not_served"].items():
        if regimes:
            yield f"{escape(label)} takes no part under {escape(', '.join(regimes))}"


def budget(said: Mapping[str, Any]) -> str:
    """How much every regime was trained."""
    learner, steps = escape(said["policy"]), said["budget"]
    if not any(steps.values()):
        return f"{learner} is not trained"
    if len({tuple(of) for of in steps.values()}) == 1:
        each = next(iter(steps.values()))
        many = f"{len(each)} seed{'s' if len(each) > 1 else ''} × {each[0]:,} steps"
        return f"training: {learner}, {many} in every regime"
    told = "; ".join(f"{escape(regime)} {', '.join(map(str, of)) or 'none'}" for regime, of in steps.items())
    return f"training: {learner}, NOT equal; steps of every seed: {told}"


def effects_table(said: Mapping[str, Any]) -> Table:
    table = _table(f"effects on end-customer value per period, by {said['policy']}")
    table.add_column("effect")
    table.add_column("is")
    for name in ("value", "95 % interval", "P(better)"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for name, effect in said["effects"].items():
        if effect is None:
            table.add_row(name, how(said, name), "", "", "", "needs regimes that are not here")
            continue
        better = "" if effect["improvement"] is None else f"{effect['improvement']['value']:.2f}"
        verdict = "" if effect["shown"] else NOT_SHOWN
        table.add_row(name, how(said, name), signed(effect["value"]), span(effect), better, verdict)
    return table


def how(said: Mapping[str, Any], name: str) -> str:
    """What an effect adds and takes away."""
    terms = said["terms"][name]
    if terms == EFFECTS.get(name) and name in HOW:
        return HOW[name]
    signs = (f"{'+' if w > 0 else '−'} {f'{abs(w):g} ' if abs(w) != 1 else ''}{label}" for label, w in terms.items())
    return " ".join(signs).removeprefix("+ ")


def quarters_table(said: Mapping[str, Any]) -> Table:
    """Value in every quarter of the episode: whether a difference grows."""
    table = _table(f"end-customer value per period by quarter of the episode; change from {said['baseline']}")
    table.add_column("regime", overflow="fold")
    for name in ("1st", "2nd", "3rd", "4th", "95 % interval"):
        table.add_column(name, justify="right", no_wrap=True)
    for regime, of in said["quarters"].items():
        cells = [_party(quarter) for quarter in of]
        last = of[-1] if of[-1]["change"] is None else of[-1]["change"]
        table.add_row(escape(regime), *cells, span(last))
    return table


def markets_table(said: Mapping[str, Any]) -> Table:
    """Who draws demand, training by training, and who is left."""
    table = _table("shares of demand in the last quarter of the episode, by training; period of the first point drawn")
    for name in ("regime", "seller"):
        table.add_column(name, overflow="fold")
    for name in ("share, %", "drawn in", "alive"):
        table.add_column(name, justify="right")
    for regime, of in said["markets"].items():
        for place, (seller, share) in enumerate(of["sellers"].items()):
            table.add_row(
                escape(regime) if place == 0 else "",
                escape(seller),
                ", ".join(f"{100 * last:.1f}" for last in share["last"]),
                ", ".join("—" if first is None else str(first) for first in share["drawn"]),
                ", ".join(f"{100 * alive:.0f} %" for alive in of["alive"]) if place == 0 else "",
            )
    return table


def headline(said: Mapping[str, Any]) -> str:
    """The result in a sentence."""
    effect = said["effects"].get("dividend")
    if effect is None or said["terms"]["dividend"] != EFFECTS["dividend"]:
        return _best(said)
    if not effect["shown"]:
        return f"Improving together (kaizen2) against improving alone (isolated): {NOT_SHOWN}."
    alone = said["regimes"]["isolated"]["learner"]["value"]
    per_cent = f", {100 * effect['value'] / abs(alone):+.1f} % of what isolated companies reach" if alone else ""
    words = "gains" if effect["value"] > 0 else "LOSES"
    parts = []
    for name in ("information", "incentive", "interaction"):
        part = said["effects"].get(name)
        if part is not None:
            parts.append(f"{name} {signed(part['value']) if part['shown'] else NOT_SHOWN}")
    told = f" ({'; '.join(parts)})" if parts else ""
    return f"Improving together {words} {signed(effect['value'])} per period for end customers{per_cent}{told}."


def _best(said: Mapping[str, Any]) -> str:
    """The result in a sentence, where the regimes are not those that improve together and alone."""
    served = {regime: of["learner"] for regime, of in said["regimes"].items() if of["learner"] is not None}
    if not served:
        return f"No result: {escape(said['policy'])} came through in no regime."
    best = max(served, key=lambda regime: served[regime]["value"])
    change = served[best]["change"]
    if change is None:
        return f"No regime reaches more than {escape(best)}."
    against = f"against {escape(said['baseline'])}"
    if not change["shown"]:
        return f"{escape(best)} reaches most; {against} {NOT_SHOWN}."
    return f"{escape(best)} reaches most: {signed(change['value'])} ({span(change)}) per period {against}."


def parties_table(said: Mapping[str, Any], regimes: Sequence[str]) -> Table:
    """What everybody has under the baseline, and the change under the others."""
    baseline = said["baseline"]
    table = _table(f"who gains, who loses: money per period, mean; change from {baseline}")
    table.add_column("party", overflow="fold")
    for regime in regimes:
        table.add_column(escape(regime), justify="right", overflow="fold")
    by_regime = {regime: said["parties"][regime]["rows"] for regime in regimes}
    names = [row["party"] for row in by_regime[regimes[0]]]
    order = range(len(names))
    if len(names) > PARTIES:
        size = [
            max(abs(by_regime[r][i]["change"]["value"]) if by_regime[r][i]["change"] else 0.0 for r in regimes)
            for i in order
        ]
        order = sorted(sorted(order, key=lambda i: -size[i])[:PARTIES])
    for i in order:
        table.add_row(escape(names[i]), *(_party(by_regime[regime][i]) for regime in regimes))
    if len(names) > PARTIES:
        table.add_row(f"({len(names) - PARTIES} more in parties.csv)", *[""] * len(regimes))
    table.add_section()
    sums = [said["parties"][regime].get("sum_of_changes") for regime in regimes]
    together = [
        number(said["parties"][r]["sum"]) if s is None else signed(s) for r, s in zip(regimes, sums, strict=True)
    ]
    table.add_row("all together", *together)
    table.add_row("Gini of profits", *(_plain(said["parties"][regime]["gini"], 3) for regime in regimes))
    return table


def _party(row: Mapping[str, Any]) -> str:
    if row["change"] is None:
        return number(row["value"])
    return signed(row["change"]["value"]) + ("" if row["change"]["shown"] else " ?")


def settlements(said: Mapping[str, Any]) -> Iterator[str]:
    """Payments with which nobody is worse off than under the baseline."""
    yield "?: the 95 % interval contains 0"
    baseline = said["baseline"]
    for regime, of in said["parties"].items():
        if regime in (baseline, REFERENCE) or of["side_payments_possible"] is None:
            continue
        if not of["side_payments_possible"]:
            short = number(-sum(row["change"]["value"] for row in of["rows"] if row["kind"] != "unrealised"))
            yield f"{escape(regime)}: no payments leave everybody as well off as {baseline}; {short} are missing"
            continue
        paid = [row for row in of["rows"] if row["side_payment"]]
        if not paid:
            yield f"{escape(regime)}: nobody has less than under {baseline}; no payments are needed"
            continue
        paid = sorted(paid, key=lambda row: -abs(row["side_payment"]))
        told = ", ".join(f"{escape(row['party'])} {signed(row['side_payment'])}" for row in paid[:PARTIES])
        more = ", … (parties.csv)" if len(paid) > PARTIES else ""
        yield f"{escape(regime)}: nobody is worse off than {baseline} with these payments: {told}{more}"


def lean_table(said: Mapping[str, Any], regimes: Sequence[str]) -> Table:
    """Cost by kind, and how lean the network is, under each regime."""
    table = _table("where the muda went: cost per period by kind, mean")
    table.add_column("kind")
    for regime in regimes:
        table.add_column(escape(regime), justify="right", overflow="fold")
    lean = [said["lean"][regime] for regime in regimes]
    for kind in lean[0]["cost"]:
        table.add_row(kind.replace("_", " "), *(_money(of["cost"][kind]) for of in lean))
    table.add_section()
    table.add_row("all", *(_money(of["total_cost"]) for of in lean))
    table.add_section()
    table.add_row("throughput time, days", *(_plain(of["throughput_days"], 1) for of in lean))
    table.add_row("flow efficiency", *(_plain(of["flow_efficiency"], 4) for of in lean))
    table.add_row("waste remaining", *(_plain(of["waste_remaining"], 3) for of in lean))
    halved = [name for name in lean[0]["days_to_halve"] if any(of["days_to_halve"][name] is not None for of in lean)]
    for name in halved:
        told = name.replace("_", " ")
        table.add_row(f"days until {told} halved", *(_plain(of["days_to_halve"][name], 0) for of in lean))
    return table


def _table(title: str) -> Table:
    return Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, title=escape(title), title_justify="left")


def _parts(regimes: Sequence[str]) -> Iterable[Sequence[str]]:
    """At most ACROSS beside each other, and about as many in every part."""
    across = math.ceil(len(regimes) / max(1, math.ceil(len(regimes) / ACROSS)))
    return (regimes[first : first + across] for first in range(0, len(regimes), max(1, across)))


def number(value: float) -> str:
    """Four digits or more, as wide as it must be."""
    size = abs(value)
    return f"{value:.4g}" if size >= 1e8 else f"{value:,.{0 if size >= 1e3 else 1 if size >= 100 else 2}f}"


def signed(value: float) -> str:
    return ("+" if value >= 0 else "") + number(value)


def span(interval: Mapping[str, Any]) -> str:
    return f"{number(interval['low'])} … {number(interval['high'])}"


def _plain(value: float | None, digits: int) -> str:
    return "—" if value is None else f"{value:,.{digits}f}"


def _worlds(number_of: int) -> str:
    return f"{number_of} world{'s' if number_of > 1 else ''}"


def _money(value: float | None) -> str:
    return "—" if value is None else number(value)
