"""How fast waste goes: Schneiderman's (1988) half-life, backsliding, floors, skill, culture, and joint kaizen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..build import build
from ..description import (
    Company,
    Improvement,
    Market,
    MarketLink,
    Scenario,
    SupplyLink,
    TradeLink,
    Waste,
    WasteChange,
)
from ..dynamics import Decisions, initial_state
from ..luck import draw
from ..network import Network
from ..simulation import Trajectory, simulate
from .reading import Entry
from .results import Result, played

MONTH = 30.4375  # days, a twelfth of a year of 365.25
PERIODS_OF = {"reduction_per_week": 7.0, "reduction_per_month": MONTH, "reduction_per_year": 365.25}  # days
MATRIX = "matrix_months_rows_org_low_med_high_cols_tech_low_med_high"
EXACT = 1e-9  # relative; of nothing, absolute: waste is of scale 1
SCHNEIDERMAN = "Schneiderman (1988)"
CLOSED_FORM = "model, section 5, in closed form"


def scenario(companies: Sequence[Company], wastes: Sequence[Waste], **fields: Any) -> Scenario:
    """Companies that buy from outside and sell to a market; more links in `fields`."""
    market = {"name": "market", "demand": {"process": "constant", "mean": 1.0}}
    defaults: dict[str, Any] = {
        "name": "kaizen",
        "replenishment": "quantity",
        "supply_links": [SupplyLink(buyer=c.name) for c in companies],
    }
    return Scenario(
        **defaults | fields,
        companies=list(companies),
        wastes=list(wastes),
        market_links=[MarketLink(seller=c.name, market="market") for c in companies],
        markets=[Market.model_validate(market)],
    )


def improve(network: Network, effort: np.ndarray, periods: int, **start: float) -> Trajectory:
    """`periods` periods of constant `effort` (efforts, companies); `start` sets whole fields of the first state."""
    luck = draw(network, seed=0, periods=periods)
    state = initial_state(network, luck.demand[0])
    state = state._replace(**{name: np.full_like(getattr(state, name), value) for name, value in start.items()})
    nothing = network.zeros(network.companies, 1)
    decisions = Decisions(nothing, effort[:, :, None], nothing)
    return simulate(network, lambda *_: decisions, luck, record=("states",), start=state)


def path(run: Trajectory, field: str) -> np.ndarray:
    """A field of the state at times 0, 1, … of a run of one world: (periods + 1, …)."""
    assert run.states is not None
    return np.concatenate((getattr(run.states, field), getattr(run.final, field)[None]))[..., 0]


def one_waste(
    changes: Sequence[Mapping[str, float]], periods: int, period_days: float = 1.0, effort: float = 1.0, **start: float
) -> np.ndarray:
    """Waste of companies that put `effort` into the one they have: (periods + 1, companies).

    Each company has its own half-life, backsliding, floor, initial level (in `changes`).
    """
    names = [f"company {i:02}" for i in range(len(changes))]
    companies = [
        Company(name=name, wastes={"waste": WasteChange(**own)}) for name, own in zip(names, changes, strict=True)
    ]
    network = build(scenario(companies, [Waste(name="waste", channel="hurdle")], period_days=period_days))
    return path(improve(network, _only(network, waste=effort), periods, **start), "waste")[:, 0]


def check(data: dict[str, Any]) -> list[Result]:
    """Half-lives with their weekly, monthly and yearly reductions, and where backsliding stops improvement.

    What the model cannot play is skipped with the reason. Raises ValueError that names the place of what is broken.
    The file's learning curves (waste by cumulative output) are another law than the model's, and are no rows.
    """
    file = Entry(data)
    rows: list[Result] = []
    if "half_life" in file:
        given = file["half_life"]
        source = given.label("source", SCHNEIDERMAN)
        named = list(_half_lives(given, ""))
        for key, days in PERIODS_OF.items():
            what = key.replace("_", " ")
            told = [(f"{name}, {what}", _months(case), case[key].number()) for name, case in named if key in case]
            if told:
                rows.extend(played(told, partial(_reductions, source, days), lambda one: f"kaizen: {one[0]}", source))
        matrix = list(given["memory"][MATRIX]) if "memory" in given and MATRIX in given["memory"] else []
        for months in sorted({value for row in matrix for value in row.numbers(0)}):
            name = f"kaizen: half-life {months:g} months"
            rows.extend(played([months], partial(_halved, source), lambda _, name=name: name, source))
    if "forgetting" in file and "examples" in file["forgetting"]:
        source = file["forgetting"].label("closed_form", CLOSED_FORM)
        for case in file["forgetting"]["examples"]:
            example = Example.of(case)
            rows.extend(played([example], partial(_rests, source), lambda one: f"kaizen: {one.name}", source))
    return rows


@dataclass(frozen=True)
class Example:
    """Waste that slides back while it is reduced, and where it rests."""

    half_life: float  # months
    backsliding: float  # share per month
    rest: float  # of the waste at the start

    @staticmethod
    def of(case: Entry) -> Example:
        monthly = case["delta_month"].number(0)
        if monthly > 1:
            raise case["delta_month"].refused("a share from 0 to 1 is needed")
        return Example(_months(case), monthly, case["w_inf_over_w0"].number(0))

    @property
    def name(self) -> str:
        return f"half-life {self.half_life:g} months, backsliding {self.backsliding:g} a month, rests at"


def _months(case: Entry) -> float:
    return case["half_life_months"].number(0)


def _reductions(source: str, days: float, told: Sequence[tuple[str, float, float]]) -> list[Result]:
    """What is gone after a period of `days`; each of `told` is (name, half-life in months, expected)."""
    waste = one_waste([{"half_life": months * MONTH} for _, months, _ in told], 1, days)
    return [_row(name, source, want, 1.0 - left) for (name, _, want), left in zip(told, waste[1], strict=True)]


def _halved(source: str, half_lives: Sequence[float]) -> list[Result]:
    (months,) = half_lives
    after = math.ceil(months)  # where a half-life is no whole number of months, more than half is gone
    waste = one_waste([{"half_life": months * MONTH}], after, MONTH)
    name = f"half-life {months:g} months, waste after {after}"
    return [_row(name, source, 2.0 ** (-after / months), waste[after, 0])]


def _rests(source: str, examples: Sequence[Example]) -> list[Result]:
    (case,) = examples
    # The model backslides by the day: what is left after a month of days is what the file keeps in a month.
    own = {"half_life": case.half_life * MONTH, "backsliding": 1.0 - (1.0 - case.backsliding) ** (1.0 / MONTH)}
    settled = one_waste([own], periods=math.ceil(40 * case.half_life), period_days=MONTH)[-1, 0]
    return [_row(case.name, source, case.rest, settled)]


def builtin() -> list[Result]:
    """The law at whole and fractional half-lives, and each thing that speeds it up, slows it down or stops it."""
    return [*_law(), *_rest(), *_skill_and_culture(), *_joint(), *_team()]


def _law() -> list[Result]:
    half_lives = [1.0, 2.5, 3.0, 7.0 / 3.0, 91.0]
    changes = [{"half_life": h, "floor": floor, "initial": 0.9} for h in half_lives for floor in (0.0, 0.2)]
    waste = one_waste(changes, periods=91)
    rows = []
    for i, own in enumerate(changes):
        for t in (1, 5, 91):
            want = own["floor"] + (0.9 - own["floor"]) * 2.0 ** (-t / own["half_life"])
            name = f"half-life {own['half_life']:.3g}, floor {own['floor']:g}, after {t}"
            rows.append(_row(name, SCHNEIDERMAN, want, waste[t, i]))
    weak = one_waste([{"half_life": 4.0}], periods=8, effort=0.25)
    rows.append(_row("a quarter of the team takes four times as long", SCHNEIDERMAN, 2.0**-0.5, weak[8, 0]))
    return rows


def _rest() -> list[Result]:
    """w* = (floor·(1 − d) + b)/(1 − d + b), d = 2^(−1/half-life): gains of a period equal what slides back."""
    changes = [
        {"half_life": h, "floor": floor, "backsliding": b}
        for h in (2.0, 13.0)
        for floor in (0.0, 0.3)
        for b in (0.01, 0.2)
    ]
    waste = one_waste(changes, periods=1000)[-1]
    rows = []
    for own, left in zip(changes, waste, strict=True):
        gain = 1.0 - 2.0 ** (-1.0 / own["half_life"])
        want = (own["floor"] * gain + own["backsliding"]) / (gain + own["backsliding"])
        name = f"half-life {own['half_life']:g}, floor {own['floor']:g}, backsliding {own['backsliding']:g}, rests at"
        rows.append(_row(name, CLOSED_FORM, want, left))
    idle = one_waste([{"initial": 0.4, "backsliding": 0.1}], periods=20, effort=0.0)
    rows.append(_row("without effort gains slide back", CLOSED_FORM, 1.0 - 0.6 * 0.9**20, idle[20, 0]))
    return rows


def _skill_and_culture() -> list[Result]:
    skilled = one_waste([{"half_life": 6.0}], periods=3, skill=2.0)
    shy = one_waste([{"half_life": 6.0}], periods=12, culture=0.5)
    rows = [
        _row("twice the skill halves the half-life", CLOSED_FORM, 0.5, skilled[3, 0]),
        _row("half the culture doubles the half-life", CLOSED_FORM, 0.5, shy[12, 0]),
    ]
    # Skill grows and is forgotten in proportion: it goes geometrically to where the two meet.
    law = Improvement(learning=0.05, forgetting=0.02, skill_max=3.0)
    network = build(
        scenario([Company(name="a")], [Waste(name="waste", channel="hurdle", half_life=9.0)], improvement=law)
    )
    run = improve(network, _only(network, waste=1.0), 40)
    meets = (law.learning * law.skill_max + law.forgetting) / (law.learning + law.forgetting)
    skill = meets + (1.0 - meets) * (1.0 - law.learning - law.forgetting) ** np.arange(41)
    rows.append(_row("skill after 40 periods of learning", CLOSED_FORM, skill[40], path(run, "skill")[40, 0]))
    want = 2.0 ** (-skill[:40].sum() / 9.0)
    rows.append(_row("waste after 40 periods of learning", CLOSED_FORM, want, path(run, "waste")[40, 0, 0]))
    return rows


def _joint() -> list[Result]:
    """A link's waste answers to the geometric mean of both sides' efforts, on a supply link to the buyer's alone."""
    half_life, periods = 5.0, 10
    companies = [Company(name=name) for name in ("seller", "other", "buyer")]
    network = build(
        scenario(
            companies,
            [Waste(name="freight", channel="freight", half_life=half_life)],
            trade_links=[TradeLink(seller=c, buyer="buyer", freight=1.0) for c in ("seller", "other")],
            supply_links=[SupplyLink(buyer="seller"), SupplyLink(buyer="other", freight=1.0)],
        )
    )
    seller_link, other_link = 2, 3  # purchase links sorted by buyer: two supply links, then the buyer's two

    def left(seller: float, other: float, buyer: float) -> np.ndarray:
        effort = _only(network, joint_effort=np.array([seller, other, buyer]))
        return path(improve(network, effort, periods), "link_waste")[periods, 0]

    both, rows = left(0.9, 0.0, 0.4), []
    # The buyer's effort is spread over its two links with freight; the seller has one.
    want = 2.0 ** (-np.sqrt(0.9 * 0.4 / 2.0) * periods / half_life)
    rows.append(_row("joint effort is the geometric mean", CLOSED_FORM, want, both[seller_link]))
    rows.append(_row("a seller that does nothing: change on its link", CLOSED_FORM, 0.0, both[other_link] - 1.0, 0.0))
    alone = left(1.0, 1.0, 0.0)
    for name, link in (("seller", seller_link), ("other seller", other_link)):
        rows.append(_row(f"{name} alone: change on the link", CLOSED_FORM, 0.0, alone[link] - 1.0, 0.0))
    want = 2.0 ** (-0.5 * periods / half_life)  # half of its effort goes to the trade link
    rows.append(_row("on a supply link the buyer works alone", CLOSED_FORM, want, alone[1]))
    return rows


def _team() -> list[Result]:
    """Efforts that sum to more than one team are scaled down; training takes its part."""
    wastes = [Waste(name=name, channel="hurdle", half_life=8.0, size=0.5) for name in ("first", "second")]
    network = build(scenario([Company(name="a")], wastes))
    waste = path(improve(network, _only(network, first=1.5, second=1.0, training=0.5), 8), "waste")[8, :, 0]
    return [
        _row("efforts 1.5, 1, ½: the first has half of the team", CLOSED_FORM, 2.0**-0.5, waste[0]),
        _row("efforts 1.5, 1, ½: the second has a third", CLOSED_FORM, 2.0 ** (-1 / 3), waste[1]),
    ]


def _only(network: Network, **efforts: Any) -> np.ndarray:
    """Efforts by name, of every company, none in the rest: (efforts, companies)."""
    table = np.zeros((len(network.effort_names), network.companies))
    for name, value in efforts.items():
        table[network.effort_names.index(name)] = value
    return table


def _half_lives(part: Entry, place: str) -> Iterator[tuple[str, Entry]]:
    """Every entry of the file that has a half-life, with the keys that lead to it."""
    for key, entry in part.fields().items():
        if isinstance(entry.value, dict):
            name = f"{place} {key.replace('_', ' ')}".strip()
            if "half_life_months" in entry:
                yield name, entry
            else:
                yield from _half_lives(entry, name)


def _row(name: str, source: str, expected: float, got: float, relative: float = EXACT) -> Result:
    scale = abs(float(expected)) or 1.0
    return Result(f"kaizen: {name}", source, float(expected), float(got), relative * scale)
