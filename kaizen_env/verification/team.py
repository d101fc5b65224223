"""Team production (Holmström 1982): what companies do for a share of the value, and what the network would do.

Every number comes out of the running model: see `team_games` for how each game is a special case of it.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .reading import Entry
from .results import Result, Unplayable, played, skip
from .team_games import Game, additive, capital_at_last, edge, first_efforts, kaizen_capital, quality, weakest_link

CLOSE = 1e-6  # relative; of nothing, absolute: efficient games are worth about 1
TOLD = ("e_nash", "e_social", "W_nash", "W_social", "e_ratio", "welfare_ratio")
HOLMSTROM = "Holmström (1982), quadratic cost"


def check(data: dict[str, Any]) -> list[Result]:
    """The games of `team_kaizen.json`; those that the model cannot play are skipped with the reason.

    Raises ValueError that names the place of what is broken.
    """
    file = Entry(data)
    source = file.label("source", HOLMSTROM)
    if importlib.util.find_spec("torch") is None:
        return [skip("team: all games", source, "slopes through the simulation need PyTorch")]
    rows: list[Result] = []

    def compare(name: str, game: Callable[[], Game], case: Entry) -> None:
        told = _told(case)

        def play(games: Sequence[Callable[[], Game]]) -> list[Result]:
            return _compare(name, source, games[0](), told)

        rows.extend(played([game], play, lambda _: f"team: {name}", source))

    def parameter(name: str) -> float:
        entry = file["parameters"][name]
        if entry.number(0) == 0:
            raise entry.refused("a number above 0 is needed")
        return entry.number()

    for case in _cases(file, "additive"):
        n, share = case["N"].whole(1), case["share"].number(0)
        game = partial(additive, n, share, parameter("v"), parameter("c"))
        compare(f"additive, {n} companies", game, case)
    for case in _cases(file, "spillover"):
        # One company that keeps the share alpha of what it creates; the end customers keep the rest.
        alpha = case["alpha"].number(0)
        game = partial(additive, 1, alpha, parameter("v"), parameter("c"))
        compare(f"spill-over, own part {alpha:.3g}", game, case)
    for case in _cases(file, "edge"):
        # The file gives no v and c of this game; its efforts depend on their ratio only.
        share = case["share_each"].number(0)
        game = partial(edge, share, 2.0 * case["e_social"].number(0), 1.0)
        compare(f"edge, share {share:.3g} each", game, case)
    other = 0
    for case in _cases(file, "multiplicative"):
        n, power = case["N"].whole(1), case["B"].number()
        if power == 1 and n <= 2:  # √(e_i·e_j), or e itself
            share, scale, cost = case["share"].number(0), parameter("A"), parameter("c")
            game = partial(edge, share, scale, cost) if n == 2 else partial(additive, 1, share, scale, cost)
            compare(f"multiplicative, {n} companies", game, case)
        else:
            other += 1
    if other:
        reason = "the model joins two companies' efforts by their geometric mean: no other exponents or numbers"
        rows.append(skip(f"team: {other} other multiplicative games", source, reason))
    for case in _cases(file, "weakest_link"):
        line = Line.of(case, parameter("A"), parameter("c"))
        rows.extend(played([line], lambda one: _weakest_link(one[0], source), lambda one: f"team: {one.name}", source))
    capital = [Capital.of(case) for case in _cases(file, "dynamic")]
    if capital:
        rows.extend(played(capital, partial(_dynamic, source), lambda one: f"team: {one.name}", source))
    if "o_ring_yield" in file and (rings := len(_cases(file, "o_ring_yield"))):
        reason = "quality is linear in effort there, and falls by half-lives here: see the built-in rows on quality"
        rows.append(skip(f"team: {rings} O-ring games", source, reason))
    return rows


@dataclass(frozen=True)
class Line:
    """A game of the weakest link, and what is known of it."""

    companies: int
    share: float
    value: float
    cost: float
    most: float  # largest common effort that is an equilibrium
    best: float  # the network's optimum
    ratio: float  # of welfare at the largest equilibrium, to that at the optimum
    gain_above: float  # of deviating from 1.2 of the largest

    @staticmethod
    def of(case: Entry, value: float, cost: float) -> Line:
        known = ("e_max_nash", "e_social", "best_nash_welfare_ratio", "gain_above")
        most, best, ratio, above = (case[name].number() for name in known)
        return Line(case["N"].whole(1), case["share"].number(0), value, cost, most, best, ratio, above)

    @property
    def name(self) -> str:
        return f"weakest link, {self.companies} companies, share {self.share:.3g}"


@dataclass(frozen=True)
class Capital:
    """A game of kaizen capital, and what is known of it."""

    discount: float
    backsliding: float
    share: float  # 1: the network's optimum
    value: float
    cost: float
    effort: float  # of the first period
    steady: float | None  # capital in the end

    @staticmethod
    def of(case: Entry) -> Capital:
        discount, backsliding, share, value, cost = (case[k].number(0) for k in ("gamma", "delta", "share", "v", "c"))
        steady = case["x_steady"].number() if "x_steady" in case else None
        return Capital(discount, backsliding, share, value, cost, case["e_closed"].number(), steady)

    @property
    def name(self) -> str:
        return f"kaizen capital, discount {self.discount:g}, backsliding {self.backsliding:g}, share {self.share:g}"

    def check(self) -> None:
        """Raises `Unplayable` where the model has no such game."""
        if not 0 < self.discount * (1.0 - self.backsliding) < 1:
            raise Unplayable("an episode ends only where gains fade: 0 < discount · (1 − backsliding) < 1")
        if self.value == 0 or self.cost == 0:
            raise Unplayable("without value and cost above 0 there is no effort to choose")
        if not 0 < self.share <= 1:
            raise Unplayable("a share above 0, and at most 1, is needed")
        if self.steady is not None and self.backsliding == 0:
            raise Unplayable("capital rests only where gains slide back")


def _cases(file: Entry, name: str) -> list[Entry]:
    return list(file[name]) if name in file else []


def _told(case: Entry) -> dict[str, float]:
    """What a case of a file says of a game."""
    return {key: case[key].number() for key in TOLD if key in case}


def builtin() -> list[Result]:
    """Additive, edge, and kaizen capital in closed form; complementary quality against an independent solution."""
    if importlib.util.find_spec("torch") is None:
        return [skip("team: all games", HOLMSTROM, "slopes through the simulation need PyTorch")]
    rows = []
    for n in (2, 3, 4):
        closed = {"e_nash": 1.4 / n, "e_social": 1.4, "welfare_ratio": (2 * n - 1) / n**2}
        rows.extend(_compare(f"additive, {n} companies", HOLMSTROM, additive(n, 1 / n, 0.7, 0.5), closed))
    closed = {"e_nash": 0.3 * 0.7, "e_social": 0.7, "welfare_ratio": 0.3 * 1.7}
    rows.extend(_compare("edge, share 0.3 each", HOLMSTROM, edge(0.3, 0.7, 0.5), closed))
    # c_i·e_i² = c_j·e_j² = s·v/2·√(e_i·e_j): what tells the geometric mean from the arithmetic, at c = 1/2 and 2.
    unequal = {"e_nash": 0.15 * np.array([2.0**0.5, 0.5**0.5]), "e_social": 0.5 * np.array([2.0**0.5, 0.5**0.5])}
    rows.extend(_compare("edge, unequal costs", HOLMSTROM, edge(0.3, 1.0, 0.5, 2.0), unequal))
    capital = [Capital(0.9, 0.2, s, 0.7, 0.5, s * 1.4 * 0.9 / (1 - 0.9 * 0.8), None) for s in (0.5, 1.0)]
    rows.extend(_dynamic(HOLMSTROM, capital))
    for n in (2, 3, 4):
        rows.extend(_quality(n, value=4.0, cost=1.0, defects=0.8, half_life=1.0))
    return rows


def _compare(name: str, source: str, game: Game, case: dict[str, Any]) -> list[Result]:
    """What `case` says of a game: efforts, welfare over that of no effort, ratios; and that no other effort pays."""
    alone, together = game.efforts(together=False), game.efforts(together=True)
    reached, possible = game.gain(alone), game.gain(together)
    with np.errstate(all="ignore"):  # a model without gains has no ratios, and fails
        ratios = {"e_ratio": alone / together, "welfare_ratio": np.array([reached]) / possible}
    got = {"e_nash": alone, "e_social": together, "W_nash": np.array([reached]), "W_social": np.array([possible])}
    rows = []
    for key, values in (got | ratios).items():
        if key in case:  # of several companies, the one that is furthest off
            expected = np.broadcast_to(case[key], values.shape)
            furthest = np.abs(values - expected).argmax()
            rows.append(_row(f"{name}, {key}", source, expected[furthest], values[furthest]))
    tempted = game.temptation(alone)
    rows.append(Result(f"team: {name}, gain of deviating", source, 0.0, tempted, CLOSE * possible, "at_most"))
    return rows


def _weakest_link(line: Line, source: str) -> list[Result]:
    """Any common effort up to s·A/c is an equilibrium; above it, going down to it pays."""
    from scipy.optimize import brentq

    n, most, name = line.companies, line.most, line.name
    game = weakest_link(n, line.share, line.value, line.cost)

    def slope(effort: float) -> float:
        """Of the network's value; the optimum is at equal efforts, where only their common slope is one."""
        return float(game.slopes(np.full(n, effort), True).sum())

    inside = slope(0.0) > 0 > slope(game.team)
    best = float(np.asarray(brentq(slope, 0.0, game.team))) if inside else math.nan
    reached, possible = game.gain(np.full(n, most)), game.gain(np.full(n, best))
    rows = [
        _row(f"{name}, e_social", source, line.best, best),
        _row(f"{name}, best welfare ratio", source, line.ratio, reached / possible),
    ]
    for share in (0.5, 1.0):
        tempted = game.temptation(np.full(n, share * most))
        title = f"team: {name}, gain of deviating at {share:g} of the largest"
        rows.append(Result(title, source, 0.0, tempted, CLOSE * possible, "at_most"))
    tempted = game.temptation(np.full(n, 1.2 * most), more=[most])  # the file's numbers are at 1.2 of the largest
    rows.append(_row(f"{name}, gain of deviating above", source, line.gain_above, tempted, possible))
    return rows


def _dynamic(source: str, cases: Sequence[Capital]) -> list[Result]:
    """Kaizen capital: efforts of the first period, where share 1 is the network's optimum, and capital in the end."""
    for case in cases:
        case.check()
    rows = []
    shares = sorted({case.share for case in cases} - {1.0}) or [0.5]
    for share in shares:
        same = [case for case in cases if case.share == share or (case.share == 1.0 and share == shares[0])]
        deltas, gammas = sorted({case.backsliding for case in same}), sorted({case.discount for case in same})
        value, cost = same[0].value, same[0].cost
        longest = max(case.discount * (1.0 - case.backsliding) for case in same)
        periods = math.ceil(math.log(0.1 * CLOSE) / math.log(longest))  # what comes later is too little to see
        size = math.floor(1.0 / share + CLOSE)  # players whose shares fit into one
        found: dict[tuple[float, float], tuple[float, float]] = {}
        for some in (deltas[first : first + size] for first in range(0, len(deltas), size)):
            game = kaizen_capital(some, share, value, cost, 2.0 * value / (cost * (1.0 - longest)), periods)
            own, network = first_efforts(game, gammas)
            found |= {(d, g): (own[i, k], network[i, k]) for i, d in enumerate(some) for k, g in enumerate(gammas)}
        for case in same:
            effort = found[case.backsliding, case.discount][case.share == 1.0]
            rows.append(_row(f"{case.name}, effort", source, case.effort, effort))
            if case.steady is not None:
                capital = capital_at_last(case.backsliding, case.effort)
                rows.append(_row(f"{case.name}, capital at last", source, case.steady, capital))
    return rows


def _quality(companies: int, value: float, cost: float, defects: float, half_life: float) -> list[Result]:
    """Efforts in a chain with scrap, and that less of what can be gained is reached than by additive effort.

    The half-life law has diminishing returns, which by themselves soften free-riding; where quality is poor, as here,
    complementarity outweighs them.
    """
    from scipy.optimize import brentq

    def slope(e: float, share: float) -> float:
        bad = defects * 2.0 ** (-e / half_life)
        return share * value * bad * math.log(2.0) / half_life * (1.0 - bad) ** (companies - 1) - cost * e

    def welfare(e: float) -> float:
        return value * (1.0 - defects * 2.0 ** (-e / half_life)) ** companies - companies * 0.5 * cost * e * e

    alone, together = (
        float(np.asarray(brentq(slope, 0.0, 1.0, args=(share,), xtol=1e-14))) for share in (1.0 / companies, 1.0)
    )
    ratio = (welfare(alone) - welfare(0.0)) / (welfare(together) - welfare(0.0))
    game = quality(companies, value, cost, defects, half_life)
    name, source = f"quality, {companies} companies", "solved independently (scipy) from the law"
    rows = _compare(name, source, game, {"e_nash": alone, "e_social": together, "welfare_ratio": ratio})
    reached = next(row.got for row in rows if row.name.endswith("welfare_ratio"))
    additive_ratio = (2.0 * companies - 1.0) / companies**2
    rows.append(Result(f"team: {name}, below additive effort", HOLMSTROM, additive_ratio, reached, -CLOSE, "at_most"))
    return rows


def _row(name: str, source: str, expected: float, got: float, scale: float | None = None) -> Result:
    """Close relative to the number, or to the `scale` of what it is a difference of."""
    size = abs(expected) if scale is None else scale
    return Result(f"team: {name}", source, float(expected), float(got), CLOSE * (size or 1.0))
