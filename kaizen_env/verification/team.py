"""Team production (Holmström 1982): what companies do for a share of the value, and what the network would do.

Every number comes out of the running model: see `team_games` for how each game is a special case of it.
"""

from __future__ import annotations

import importlib.util
import math
from typing import Any

import numpy as np

from .results import Result, skip
from .team_games import Game, additive, capital_at_last, edge, first_efforts, kaizen_capital, quality, weakest_link

CLOSE = 1e-6  # relative; of nothing, absolute: efficient games are worth about 1
HOLMSTROM = "Holmström (1982), quadratic cost"


def check(data: dict[str, Any]) -> list[Result]:
    """The games of `team_kaizen.json` that the model can play."""
    if importlib.util.find_spec("torch") is None:
        return [skip("team: all games", data.get("source", HOLMSTROM), "slopes through the simulation need PyTorch")]
    source, parameters = data.get("source", HOLMSTROM), data.get("parameters", {})
    rows: list[Result] = []
    for case in data.get("additive", []):
        game = additive(case["N"], case["share"], parameters["v"], parameters["c"])
        rows.extend(_compare(f"additive, {case['N']} companies", source, game, case))
    for case in data.get("spillover", []):
        # One company that keeps the share alpha of what it creates; the end customers keep the rest.
        game = additive(1, case["alpha"], parameters["v"], parameters["c"])
        rows.extend(_compare(f"spill-over, own part {case['alpha']:.3g}", source, game, case))
    for case in data.get("edge", []):
        # The file gives no v and c of this game; its efforts depend on their ratio only.
        game = edge(case["share_each"], 2.0 * case["e_social"], 1.0)
        rows.extend(_compare(f"edge, share {case['share_each']:.3g} each", source, game, case))
    other = 0
    for case in data.get("multiplicative", []):
        if case["B"] == 1 and case["N"] <= 2:  # √(e_i·e_j), or e itself
            scale, cost = parameters["A"], parameters["c"]
            game = edge(case["share"], scale, cost) if case["N"] == 2 else additive(1, case["share"], scale, cost)
            rows.extend(_compare(f"multiplicative, {case['N']} companies", source, game, case))
        else:
            other += 1
    if other:
        reason = "the model joins two companies' efforts by their geometric mean: no other exponents or numbers"
        rows.append(skip(f"team: {other} other multiplicative games", source, reason))
    for case in data.get("weakest_link", []):
        rows.extend(_weakest_link(case, parameters["A"], parameters["c"], source))
    rows.extend(_dynamic(data.get("dynamic", []), source))
    if rings := data.get("o_ring_yield", []):
        reason = "quality is linear in effort there, and falls by half-lives here: see the built-in rows on quality"
        rows.append(skip(f"team: {len(rings)} O-ring games", source, reason))
    return rows


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
    case = {"gamma": 0.9, "delta": 0.2, "v": 0.7, "c": 0.5}
    closed = [case | {"share": s, "e_closed": s * 1.4 * 0.9 / (1 - 0.9 * 0.8), "x_steady": None} for s in (0.5, 1.0)]
    rows.extend(_dynamic(closed, HOLMSTROM))
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


def _weakest_link(case: dict[str, Any], value: float, cost: float, source: str) -> list[Result]:
    """Any common effort up to s·A/c is an equilibrium; above it, going down to it pays."""
    from scipy.optimize import brentq

    n, most = case["N"], case["e_max_nash"]
    game = weakest_link(n, case["share"], value, cost)
    name = f"weakest link, {n} companies, share {case['share']:.3g}"
    # The optimum is at equal efforts, where only their common slope is one.
    best = float(np.asarray(brentq(lambda e: float(game.slopes(np.full(n, e), True).sum()), 0.0, game.team)))
    reached, possible = game.gain(np.full(n, most)), game.gain(np.full(n, best))
    rows = [
        _row(f"{name}, e_social", source, case["e_social"], best),
        _row(f"{name}, best welfare ratio", source, case["best_nash_welfare_ratio"], reached / possible),
    ]
    for share in (0.5, 1.0):
        tempted = game.temptation(np.full(n, share * most))
        title = f"team: {name}, gain of deviating at {share:g} of the largest"
        rows.append(Result(title, source, 0.0, tempted, CLOSE * possible, "at_most"))
    tempted = game.temptation(np.full(n, 1.2 * most), more=[most])  # the file's numbers are at 1.2 of the largest
    rows.append(_row(f"{name}, gain of deviating above", source, case["gain_above"], tempted, possible))
    return rows


def _dynamic(cases: list[dict[str, Any]], source: str) -> list[Result]:
    """Kaizen capital: efforts of the first period, where share 1 is the network's optimum, and capital in the end."""
    rows = []
    shares = sorted({case["share"] for case in cases} - {1.0}) or ([0.5] if cases else [])
    for share in shares:
        same = [case for case in cases if case["share"] == share or (case["share"] == 1.0 and share == shares[0])]
        deltas, gammas = (sorted({case[key] for case in same}) for key in ("delta", "gamma"))
        value, cost = same[0]["v"], same[0]["c"]
        longest = max(case["gamma"] * (1.0 - case["delta"]) for case in same)
        periods = math.ceil(math.log(0.1 * CLOSE) / math.log(longest))  # what comes later is too little to see
        size = math.floor(1.0 / share + CLOSE)  # players whose shares fit into one
        found: dict[tuple[float, float], tuple[float, float]] = {}
        for some in (deltas[first : first + size] for first in range(0, len(deltas), size)):
            game = kaizen_capital(some, share, value, cost, 2.0 * value / (cost * (1.0 - longest)), periods)
            own, network = first_efforts(game, gammas)
            found |= {(d, g): (own[i, k], network[i, k]) for i, d in enumerate(some) for k, g in enumerate(gammas)}
        for case in same:
            gamma, delta = case["gamma"], case["delta"]
            name = f"kaizen capital, discount {gamma:g}, backsliding {delta:g}, share {case['share']:g}"
            effort = found[delta, gamma][case["share"] == 1.0]
            rows.append(_row(f"{name}, effort", source, case["e_closed"], effort))
            if case.get("x_steady") is not None:
                capital = capital_at_last(delta, case["e_closed"])
                rows.append(_row(f"{name}, capital at last", source, case["x_steady"], capital))
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
