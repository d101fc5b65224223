"""How openness spreads: Bass (1969), Granovetter (1978), thresholds on a graph (Morris 2000), k-cores (Seidman 1983).

Culture with constant training and full mixing is Bass's map. Twins that companies open by what they see of others'
twins are threshold models; who they see is who they trade with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..arrays import Array
from ..build import build
from ..description import Company, Culture, Market, MarketLink, Scenario, SupplyLink, TradeLink
from ..dynamics import Decisions, State, initial_state
from ..dynamics.improvement import neighbours_mean
from ..luck import draw
from ..network import Network
from ..simulation import simulate
from .reading import Entry
from .results import Result, Unplayable, played

EXACT = 1e-9  # relative
SHORT_PERIODS = (1 / 8, 1 / 16, 1 / 32)  # of the unit of time, to come near Bass's continuous curve
CROWD = 2000  # companies that stand for infinitely many
TIE = 1e-9  # a share of neighbours equals a threshold in spite of rounding

Rule = Callable[[Network, State], Array]
"""Who wants an open twin: (network, state) to a mask (companies, worlds)."""


def scenario(companies: int, edges: Iterable[Sequence[int]] = (), **fields: Any) -> Scenario:
    """Companies 0 … n − 1; an edge is a trade link from the lower number to the higher. All could do without it."""
    names = [f"company {i:04}" for i in range(companies)]
    market = {"name": "market", "demand": {"process": "constant", "mean": 1.0}}
    return Scenario(
        name="adoption",
        replenishment="quantity",
        companies=[Company(name=name) for name in names],
        supply_links=[SupplyLink(buyer=name) for name in names],
        trade_links=[TradeLink(seller=names[min(edge)], buyer=names[max(edge)]) for edge in edges],
        market_links=[MarketLink(seller=name, market="market") for name in names],
        markets=[Market.model_validate(market)],
        **fields,
    )


def spread(network: Network, rule: Rule, periods: int, start: np.ndarray) -> np.ndarray:
    """Open twins when companies follow `rule`, from `start` (companies, worlds): (periods + 1, companies, worlds)."""
    luck = draw(network, seed=0, worlds=start.shape[1], periods=periods)
    nothing = network.zeros(len(network.effort_names), *start.shape)
    twins: list[Array] = []

    def decide(network: Network, state: State, t: int) -> Decisions:
        twins.append(state.open_twin)
        return Decisions(nothing[0], nothing, rule(network, state).astype(np.float64))

    first = initial_state(network, luck.demand[0])._replace(open_twin=start.astype(np.float64))
    run = simulate(network, decide, luck, record=(), start=first)
    return np.stack([*twins, run.final.open_twin])


def bass(innovation: float, imitation: float, time: int, period: float = 1.0) -> np.ndarray:
    """Culture of companies that train all the time, keep open twins and see all others: at times 0, 1, … `time`."""
    culture = Culture(initial=0.0, innovation=innovation, imitation=imitation, mixing="full", initially_open=True)
    network = build(scenario(3, period_days=period, culture=culture))
    every = round(1 / period)
    training = network.zeros(len(network.effort_names), network.companies, 1)
    training[network.effort_names.index("training")] = 1.0
    open_minded = Decisions(training[0] * 0.0, training, training[0] * 0.0 + 1.0)
    luck = draw(network, seed=0, periods=time * every)
    run = simulate(network, lambda *_: open_minded, luck, record=("states",))
    assert run.states is not None
    return np.append(run.states.culture[:, 0, 0], run.final.culture[0, 0])[::every]


def bass_curve(innovation: float, imitation: float, time: np.ndarray) -> np.ndarray:
    """Adopted share at `time`, Bass (1969)."""
    faded = np.exp(-(innovation + imitation) * time)
    return (1.0 - faded) / (1.0 + imitation / innovation * faded)


def granovetter(thresholds: np.ndarray, periods: int) -> np.ndarray:
    """Number of open twins at last when everybody sees all, and opens when their share has reached its threshold.

    `thresholds` is (companies, crowds), a world for each crowd.
    """
    network = build(scenario(len(thresholds), culture=Culture(mixing="full")))

    def rule(network: Network, state: State) -> Array:
        return neighbours_mean(network, state.open_twin) >= thresholds - TIE

    states = spread(network, rule, periods, np.zeros_like(thresholds))
    still = (states[-1] == states[-2]).all(axis=0)
    return np.where(still, states[-1].sum(axis=0), np.nan)


def normal_thresholds(companies: int, mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Quantiles of normal thresholds at the middles of equal parts: (companies, crowds)."""
    from scipy.special import ndtri

    middles = (np.arange(companies) + 0.5) / companies
    return mean + sd * ndtri(middles)[:, None]


def settled_share(mean: float, sd: float, shift: float = 0.0) -> float:
    """Where x ← Φ((x − mean)/sd) + shift comes to rest from 0: Granovetter's infinite crowd.

    Raises `Unplayable` without a spread: a step has no normal distribution.
    """
    from scipy.special import ndtr

    if sd == 0:
        raise Unplayable("thresholds with a standard deviation of 0 have no normal distribution")
    share = 0.0
    for _ in range(100_000):
        after = min(max(float(ndtr((share - mean) / sd)) + shift, 0.0), 1.0)
        if abs(after - share) < 1e-15:
            break
        share = after
    return share


def contagion(companies: int, edges: Any, seed: Sequence[int], thresholds: Sequence[float]) -> np.ndarray:
    """Open twins period by period when `seed` begins and others follow as soon as enough partners have.

    One world for each threshold, the share of trade partners; twins stay open. (periods + 1, companies, worlds)
    """

    def rule(network: Network, state: State) -> Array:
        return (state.open_twin > 0) | (neighbours_mean(network, state.open_twin) >= np.asarray(thresholds) - TIE)

    start = np.zeros((companies, len(thresholds)))
    start[list(seed)] = 1.0
    return spread(build(scenario(companies, edges)), rule, companies + 1, start)


def unravelling(companies: int, edges: Any, least: Sequence[float]) -> np.ndarray:
    """Open twins at last when all begin open, and one stays so while at least so many partners' are: a world each."""
    partners = np.bincount(np.asarray(edges).ravel(), minlength=companies)[:, None]

    def rule(network: Network, state: State) -> Array:
        seen = neighbours_mean(network, state.open_twin) * partners
        return (state.open_twin > 0) & (seen >= np.asarray(least) - TIE)

    start = np.ones((companies, len(least)))
    return spread(build(scenario(companies, edges)), rule, companies + 1, start)[-1]


def check(data: dict[str, Any]) -> list[Result]:
    """Every curve, crowd and graph of `adoption.json`; what the model cannot play is skipped with the reason.

    Raises ValueError that names the place of what is broken.
    """
    file = Entry(data)
    source = file.label("source", "")
    rows: list[Result] = []
    for case in _cases(file, "bass"):
        rows.extend(played([Bass.of(case)], lambda one: _bass_rows(one[0], source), _title, source))
    crowds = [Crowd.of(case) for case in _cases(file, "granovetter")]
    if crowds:
        rows.extend(played(crowds, partial(_granovetter_rows, source), _title, source))
    rows.extend(_threshold_rows([Threshold.of(case) for case in _cases(file, "network_threshold")], source))
    rows.extend(_core_rows([Core.of(case) for case in _cases(file, "kcore")], source))
    return rows


@dataclass(frozen=True)
class Bass:
    """Adopted shares by time: of Bass's map with a period of 1, and of his curve."""

    innovation: float
    imitation: float
    map: dict[str, float]
    curve: dict[str, float]

    @staticmethod
    def of(case: Entry) -> Bass:
        shares = (_by_time(case, key) for key in ("discrete_map_period1", "F"))
        return Bass(case["p"].number(), case["q"].number(), *shares)

    @property
    def name(self) -> str:
        return f"Bass p={self.innovation:g} q={self.imitation:g}"


@dataclass(frozen=True)
class Crowd:
    """Companies with normal thresholds, and how many open their twin in the end."""

    mean: float
    sd: float
    adopters: float  # of 100
    share: float  # of infinitely many

    @staticmethod
    def of(case: Entry) -> Crowd:
        return Crowd(
            case["mean"].number(),
            case["sd"].number(0),
            case["final_N100_quantile_thresholds"].number(0),
            case["final_fraction_infinite"].number(0),
        )

    @property
    def name(self) -> str:
        return f"thresholds of sd {self.sd:g}"


@dataclass(frozen=True)
class Graph:
    """Companies that see whom they trade with."""

    name: str
    edges: tuple[tuple[int, int], ...]

    @staticmethod
    def of(case: Entry) -> Graph:
        edges = []
        for entry in case["edges"]:
            ends = _nodes(entry)
            if len(ends) != 2:
                raise entry.refused("a pair of companies is needed")
            edges.append((ends[0], ends[1]))
        if not edges:
            raise case["edges"].refused("at least one edge is needed")
        return Graph(case["graph"].text(), tuple(edges))

    @property
    def companies(self) -> int:
        return 1 + max(max(edge) for edge in self.edges)


@dataclass(frozen=True)
class Threshold:
    """A spread from `seed` over a graph: who has an open twin in the end, and after how many steps."""

    graph: Graph
    seed: tuple[int, ...]
    threshold: float  # share of partners
    adopters: tuple[int, ...]
    steps: int

    @staticmethod
    def of(case: Entry) -> Threshold:
        graph, seed = Graph.of(case), tuple(_nodes(case["seed"]))
        if any(node >= graph.companies for node in seed):
            raise case["seed"].refused(f"companies from 0 to {graph.companies - 1} are needed")
        adopters = tuple(_nodes(case["final_adopters"]))
        return Threshold(graph, seed, case["threshold"].number(), adopters, case["steps"].whole())

    @property
    def name(self) -> str:
        return f"{self.graph.name}, threshold {self.threshold:.3g}"


@dataclass(frozen=True)
class Core:
    """The largest group in which each company has at least k partners."""

    graph: Graph
    k: float
    adopters: tuple[int, ...]

    @staticmethod
    def of(case: Entry) -> Core:
        return Core(Graph.of(case), case["k"].number(), tuple(_nodes(case["max_equilibrium_adopters"])))

    @property
    def name(self) -> str:
        return f"{self.k:g}-core of {self.graph.name} ({len(self.adopters)})"


def _cases(file: Entry, name: str) -> list[Entry]:
    return list(file[name]) if name in file else []


def _nodes(entry: Entry) -> list[int]:
    return [node.whole() for node in entry]


def _by_time(case: Entry, name: str) -> dict[str, float]:
    """Shares by the time at which they are reached."""
    if name not in case:
        return {}
    for time in case[name].fields():
        if not time.isdecimal():
            raise ValueError(f"{case[name].path}: the key '{time}' is not a whole number of periods")
    return {time: entry.number() for time, entry in case[name].fields().items()}


def builtin() -> list[Result]:
    """Bass's closed form, training alone, an infinite crowd, a line of companies, the k-cores of the karate club."""
    import networkx

    times = np.array([1, 5, 10, 20])
    curve = dict(zip(map(str, times), bass_curve(0.03, 0.38, times).tolist(), strict=True))
    rows = _bass_rows(Bass(0.03, 0.38, {}, curve), "Bass (1969), closed form")
    alone = bass(0.1, 0.0, 20)
    rows.extend(_row(f"training alone, period {t}", "geometric", 1.0 - 0.9**t, alone[t], EXACT) for t in (1, 5, 10, 20))
    rows.extend(_crowd_rows(np.array([0.25, 0.25]), np.array([0.1, 0.2]), "Granovetter (1978), fixed point"))
    graph = Graph("line of 10", tuple((i, i + 1) for i in range(9)))
    cases = [Threshold(graph, (0,), 0.5, tuple(range(10)), 9), Threshold(graph, (0,), 0.51, (0,), 0)]
    rows.extend(_threshold_rows(cases, "Morris (2000): a line follows up to one half"))
    club = networkx.karate_club_graph()
    core = networkx.core_number(club)
    graph = Graph("karate", tuple(club.edges))
    cores = [Core(graph, k, tuple(i for i in core if core[i] >= k)) for k in range(1, 6)]
    rows.extend(_core_rows(cores, "Seidman (1983), networkx"))
    return rows


def _bass_rows(case: Bass, source: str) -> list[Result]:
    name, p, q, mapped, curve = case.name, case.innovation, case.imitation, case.map, case.curve
    last = max(map(int, ["1", *mapped, *curve]))
    got = bass(p, q, last)
    rows = [_row(f"{name}, map at {t}", source, want, got[int(t)], EXACT * want) for t, want in mapped.items()]
    # The error falls in proportion to the period, so two periods give a better value (Richardson), and two such
    # values the size of what is left: it falls fourfold, so the finer one is within a third of their difference.
    coarse, middle, fine = (bass(p, q, last, period) for period in SHORT_PERIODS)
    near, nearer = 2.0 * middle - coarse, 2.0 * fine - middle
    for t, want in curve.items():
        left = abs(nearer[int(t)] - near[int(t)])
        rows.append(_row(f"{name}, curve at {t}", source, want, nearer[int(t)], left))
    return rows


def _granovetter_rows(source: str, crowds: Sequence[Crowd]) -> list[Result]:
    mean, sd = (np.array([getattr(crowd, key) for crowd in crowds]) for key in ("mean", "sd"))
    found = granovetter(normal_thresholds(100, mean, sd), periods=200)
    rows = [
        _row(f"100 {crowd.name}, adopters", source, crowd.adopters, got, 0.0)
        for crowd, got in zip(crowds, found.tolist(), strict=True)
    ]
    return [*rows, *_crowd_rows(mean, sd, source, [crowd.share for crowd in crowds])]


def _crowd_rows(mean: np.ndarray, sd: np.ndarray, source: str, shares: list[float] | None = None) -> list[Result]:
    """A large crowd against the infinite one: its steps are 1/n high, so it lies between the curves half a step off."""
    rows = []
    found = (granovetter(normal_thresholds(CROWD, mean, sd), periods=300) / CROWD).tolist()
    for k, (m, s) in enumerate(zip(mean.tolist(), sd.tolist(), strict=True)):
        expected = settled_share(m, s) if shares is None else shares[k]
        bounds = [settled_share(m, s, shift) for shift in (-0.5 / CROWD, 0.5 / CROWD)]
        tolerance = max(abs(bound - expected) for bound in bounds)
        rows.append(_row(f"crowd with thresholds of sd {s:g}", source, expected, found[k], tolerance))
    return rows


def _threshold_rows(cases: Sequence[Threshold], source: str) -> list[Result]:
    """Cases that share a graph and a seed run as worlds of one batch."""

    def play(same: Sequence[Threshold]) -> list[Result]:
        graph = same[0].graph
        states = contagion(graph.companies, graph.edges, same[0].seed, [case.threshold for case in same])
        rows = []
        for world, case in enumerate(same):
            wrong = _differing(states[-1, :, world], case.adopters)
            steps = int((states[1:, :, world] != states[:-1, :, world]).any(axis=1).sum())
            rows.append(_row(f"{case.name}, companies that differ", source, 0, wrong, 0.0))
            rows.append(_row(f"{case.name}, steps", source, case.steps, steps, 0.0))
        return rows

    groups: dict[Any, list[Threshold]] = {}
    for case in cases:
        groups.setdefault((case.graph, case.seed), []).append(case)
    return [row for same in groups.values() for row in played(same, play, _title, source)]


def _core_rows(cases: Sequence[Core], source: str) -> list[Result]:
    """Cases that share a graph run as worlds of one batch."""

    def play(same: Sequence[Core]) -> list[Result]:
        graph = same[0].graph
        left = unravelling(graph.companies, graph.edges, [case.k for case in same])
        wrong = [_differing(left[:, world], case.adopters) for world, case in enumerate(same)]
        return [
            _row(f"{case.name}, companies that differ", source, 0, off, 0.0)
            for case, off in zip(same, wrong, strict=True)
        ]

    groups: dict[Graph, list[Core]] = {}
    for case in cases:
        groups.setdefault(case.graph, []).append(case)
    return [row for same in groups.values() for row in played(same, play, _title, source)]


def _title(case: Bass | Crowd | Threshold | Core) -> str:
    return f"adoption: {case.name}"


def _differing(states: np.ndarray, wanted: Iterable[int]) -> int:
    return len(set(np.flatnonzero(states).tolist()) ^ set(wanted))


def _row(name: str, source: str, expected: float, got: float, tolerance: float) -> Result:
    return Result(f"adoption: {name}", source, expected, float(got), tolerance)
