"""Games of team production (Holmström 1982), each a chain of companies that the model plays.

Companies choose efforts, bear their cost alone and share the value through the contract `gain_share`. Efforts act
through the model's wastes; PyTorch takes slopes through the simulation, and best responses are their zeros. A value
that is linear in effort is a waste with so long a half-life that 1 − 2^(−e/h) is e·ln 2/h to 1e-7; a gain of one
period is a waste that slides back whole in the next.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..arrays import Array, as_array
from ..build import build
from ..description import (
    Company,
    Contracts,
    GainShare,
    Improvement,
    Market,
    MarketLink,
    Scenario,
    SupplyLink,
    TradeLink,
    Waste,
    WasteChange,
)
from ..dynamics import Decisions, State, end_customer_value
from ..luck import draw
from ..network import Network
from ..simulation import Trajectory, simulate
from .results import Unplayable

NO_SLOPE = 1e-9  # of the slope that a search began with
SLOW = 1e7  # periods of half-life, in which value is linear in effort
SLOWER = 3e8  # the same where gains add up over many periods
GRID = 401  # efforts that a company may deviate to


@dataclass(frozen=True)
class Game:
    """A chain of companies in which the first `players` choose one effort each, in the first period."""

    scenario: Scenario
    players: int
    effort: str  # row of the model's efforts
    periods: int
    team: float = 1.0  # effort that is a whole improvement team's: the model's efforts are shares of one

    def __post_init__(self) -> None:
        if not 0 < self.team < math.inf:
            raise Unplayable("without value and cost above 0 there is no effort to choose")

    @cached_property
    def numpy(self) -> Network:
        return build(self.scenario)

    @cached_property
    def torch(self) -> Network:
        return self.numpy.to("torch", "float64")

    def run(self, network: Network, effort: Array, after: Array | None = None) -> Trajectory:
        """The episode that follows from `effort` (players, worlds); everybody orders one unit per period.

        `after` is the effort in all later periods, by default none.
        """
        xp, worlds = network.xp, effort.shape[-1]
        place = np.arange(len(network.effort_names)) == network.effort_names.index(self.effort)
        row = as_array(place[:, None, None], effort)
        idle = network.zeros(network.companies - self.players, worlds)
        first = row * (xp.concat((effort, idle)) / self.team)
        later = first * 0.0 if after is None else row * (xp.concat((after, idle)) / self.team)
        order = network.zeros(network.companies, worlds) + 1.0

        def decide(network: Network, state: State, t: int) -> Decisions:
            return Decisions(order, first if t == 0 else later, 0.0 * order)

        luck = draw(network, seed=0, worlds=worlds, periods=self.periods)
        return simulate(network, decide, luck, record=("books",))

    def play(self, network: Network, effort: Array, after: Array | None = None) -> tuple[Array, Array]:
        """What came of `effort`: profits (periods, companies, worlds), end-customer value (periods, worlds)."""
        books = self.run(network, effort, after).books
        assert books is not None
        return books.profit, end_customer_value(network, books)

    def slopes(self, effort: np.ndarray, together: bool) -> np.ndarray:
        """Slope of each player's own profit, or of the network's value, in its own effort: (players,)."""
        import torch

        n = self.players
        # World i is there for the slope of player i's profit, which the others' slopes must not touch.
        x = torch.tensor(effort)[:, None].repeat(1, 1 if together else n).requires_grad_()
        profit, value = self.play(self.torch, x)
        aim = value.sum() if together else profit.sum(0)[:n].diagonal().sum()
        slope = torch.autograd.grad(aim, x)[0]
        return (slope[:, 0] if together else slope.diagonal()).numpy()

    def efforts(self, together: bool) -> np.ndarray:
        """Efforts at which no slope is left: the equilibrium, or `together` the network's optimum; NaN if not found."""
        from scipy.optimize import root

        begin = np.full(self.players, 0.3 * self.team)
        found: Any = root(self.slopes, begin, args=(together,), method="hybr", options={"xtol": 1e-10})
        left, at_first = (np.abs(slope).max() for slope in (found.fun, self.slopes(begin, together)))
        return found.x if left < NO_SLOPE * at_first else np.full(self.players, np.nan)

    def gain(self, effort: np.ndarray) -> float:
        """End-customer value of `effort` (players,) over that of none; NaN where the effort is."""
        if not np.isfinite(effort).all():
            return math.nan
        both = np.stack((effort, 0.0 * effort), axis=1)
        value = self.play(self.numpy, both)[1].sum(axis=0)
        return float(value[0] - value[1])

    def temptation(self, effort: np.ndarray, more: Sequence[float] = ()) -> float:
        """Most that the first player gains by any other effort from 0 to a whole team's, or by those in `more`.

        NaN where the effort is.
        """
        if not np.isfinite(effort).all():
            return math.nan
        own = np.concatenate([np.linspace(0.0, self.team, GRID), more, effort[:1]])
        table = np.tile(effort[:, None], (1, len(own)))
        table[0] = own
        profit = self.play(self.numpy, table)[0].sum(axis=0)[0]
        return float(profit.max() - profit[-1])


@dataclass(frozen=True)
class Chain:
    """What the chains of all games have: names, and a contract that pays for what is created over the reference."""

    companies: int
    cost: float  # c, of effort e: ½·c·e²
    team: float
    share: float  # of the value created, that the companies get
    shares: Sequence[float] = ()  # how they divide it; by default evenly
    reference: float = 0.0  # money per period
    payer: int | None = None  # company that pays; by default the end customers do
    company: dict[str, Any] = field(default_factory=dict)
    backsliding: Sequence[float] = ()  # of each company's own waste
    market: dict[str, Any] = field(default_factory=dict)
    freight: float = 0.0  # on the first trade link
    full: bool = True  # goods flow from the start
    demand: float = 1.0

    def scenario(self, wastes: list[Waste]) -> Scenario:
        names = [f"company {i:02}" for i in range(self.companies)]
        shares = self.shares or [1.0 / self.companies] * self.companies
        contract = GainShare(
            share=self.share,
            reference=self.reference,
            shares=dict(zip(names, shares, strict=True)),
            paid_by={"customers" if self.payer is None else names[self.payer]: 1.0},
        )
        market = {"name": "market", "demand": {"process": "constant", "mean": self.demand}}
        return Scenario(
            name="team",
            replenishment="quantity",
            initial_pipelines="mean_flow" if self.full else "empty",
            companies=[
                Company(name=name, wastes=own, **self.company)
                for name, own in zip(names, self._own(wastes), strict=True)
            ],
            supply_links=[SupplyLink(buyer=names[0])],
            trade_links=[
                TradeLink(seller=names[i], buyer=names[i + 1], freight=self.freight if i == 0 else 0.0)
                for i in range(self.companies - 1)
            ],
            market_links=[MarketLink(seller=names[-1], market="market", **self.market)],
            markets=[Market.model_validate(market)],
            wastes=wastes,
            improvement=Improvement(curvature=self.cost * self.team**2),
            contracts=Contracts(gain_share=[contract]),
        )

    def _own(self, wastes: list[Waste]) -> list[dict[str, WasteChange]]:
        """What companies have otherwise than the others; those beyond `backsliding` have no waste to lose."""
        if not self.backsliding:
            return [{}] * self.companies
        changes = [{wastes[0].name: WasteChange(backsliding=b)} for b in self.backsliding]
        idle = {wastes[0].name: WasteChange(size=0.0)}
        return [*changes, *[idle] * (self.companies - len(changes))]


def per_team(value: float, team: float, half_life: float = SLOW) -> float:
    """Size of a waste whose first reduction is worth `value` per unit of effort."""
    return value * team * half_life / math.log(2.0)


def additive(companies: int, share: float, value: float, cost: float) -> Game:
    """V = v·Σe: every company's hurdle costs the end customer; each company gets `share` of what is saved."""
    team = 2.0 * value / cost
    hurdle = per_team(value, team)
    chain = Chain(
        companies,
        cost,
        team,
        share=share * companies,
        reference=-companies * hurdle,
        company={"hurdle": hurdle, "initial_on_hand": 1.0},
    )
    waste = Waste(name="hurdle", channel="hurdle", half_life=SLOW, backsliding=1.0)
    return Game(chain.scenario([waste]), companies, "hurdle", periods=2, team=team)


def edge(share: float, value: float, cost: float, buyer_cost: float | None = None) -> Game:
    """V = v·√(e_i·e_j): seller and buyer reduce the freight between them; a third company gets what neither keeps.

    `buyer_cost` is the buyer's c where it differs from the seller's.
    """
    team = value / cost
    freight = per_team(value, team)
    chain = Chain(
        3,
        cost,
        team,
        share=1.0,
        shares=[share, share, 1.0 - 2.0 * share],
        reference=-freight,
        payer=1,  # whose freight it is
        company={"initial_on_hand": 1.0},
        freight=freight,
    )
    scenario = chain.scenario([Waste(name="freight", channel="freight", half_life=SLOW, backsliding=1.0)])
    if buyer_cost is not None:
        seller, buyer, third = scenario.companies
        buyer = buyer.model_copy(update={"curvature": buyer_cost * team**2})
        scenario = scenario.changed(companies=[seller, buyer, third])
    return Game(scenario, 2, "joint_effort", periods=2, team=team)


def weakest_link(companies: int, share: float, value: float, cost: float) -> Game:
    """V = A·min e: each company's capacity is what it has improved, and the line makes what the slowest can.

    The line starts empty, and the episode ends when the first goods have passed all of it.
    """
    team = 2.0 * value / cost
    capacity = per_team(1.0, team)
    market = {"value": value, "price": 0.0}
    chain = Chain(
        companies,
        cost,
        team,
        share=share * companies,
        company={"capacity": capacity},
        market=market,
        full=False,
    )
    waste = Waste(name="capacity", channel="capacity", half_life=SLOW, size=1.0)
    return Game(chain.scenario([waste]), companies, "capacity", periods=companies + 1, team=team)


def quality(companies: int, value: float, cost: float, defects: float, half_life: float) -> Game:
    """V = A·∏(1 − d·2^(−e/h)): what one company scraps, no other can save (Kremer's O-ring by the half-life law)."""
    chain = Chain(
        companies,
        cost,
        1.0,
        share=1.0,
        company={"defect_rate": defects},
        market={"value": value, "price": 0.0},
        full=False,
    )
    waste = Waste(name="yield", channel="yield", half_life=half_life)
    return Game(chain.scenario([waste]), companies, "yield", periods=companies + 1)


def kaizen_capital(
    backsliding: Sequence[float], share: float, value: float, cost: float, team: float, periods: int
) -> Game:
    """x ← (1 − δ)·x + e, worth v·x per period: a player for each δ, and a company that takes what they do not get."""
    players = len(backsliding)
    chain = Chain(
        players + 1,
        cost,
        team,
        share=1.0,
        shares=[share] * players + [1.0 - share * players],
        company={"hurdle": per_team(value, team, SLOWER), "initial_on_hand": 1.0},
        backsliding=backsliding,
    )
    waste = Waste(name="hurdle", channel="hurdle", half_life=SLOWER)
    return Game(chain.scenario([waste]), players, "hurdle", periods, team)


def first_efforts(game: Game, discounts: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Best efforts of the first period, own and the network's, when all goes on as it begins: (players, discounts).

    Slopes are linear in effort, so two trial efforts tell where they vanish; trials, discounts and players are worlds.
    """
    import torch

    n = game.players
    trials = (0.0, 0.1 * game.team)
    # Worlds: trial × discount × whose slope, the players' and at last the network's.
    shape = (len(trials), len(discounts), n + 1)
    effort = np.broadcast_to(np.reshape(trials, (1, -1, 1, 1)), (n, *shape)).reshape(n, -1).copy()
    x = torch.tensor(effort).requires_grad_()
    profit, value = game.play(game.torch, x, after=torch.tensor(effort))
    weight = torch.tensor(discounts, dtype=torch.float64)[None] ** torch.arange(game.periods)[:, None]
    own = profit[:, :n].reshape(-1, n, *shape)[..., :n].diagonal(dim1=1, dim2=4)  # periods, trials, discounts, players
    aim = (own * weight[:, None, :, None]).sum() + (value.reshape(-1, *shape)[..., n] * weight[:, None]).sum()
    slope = torch.autograd.grad(aim, x)[0].reshape(n, *shape).numpy()
    of_own = np.einsum("ptdp->ptd", slope[..., :n])

    def root(slopes: np.ndarray) -> np.ndarray:
        return trials[0] - slopes[:, 0] * (trials[1] - trials[0]) / (slopes[:, 1] - slopes[:, 0])

    return root(of_own), root(slope[..., n])


def capital_at_last(backsliding: float, effort: float) -> float:
    """Kaizen capital x to which constant effort leads, from the waste that is left."""
    team = 2.0 * effort
    periods = math.ceil(math.log(1e-8) / math.log(1.0 - backsliding))
    game = kaizen_capital([backsliding], 0.5, 1.0, 1.0, team, periods)
    always = np.full((1, 1), effort)
    waste = game.run(game.numpy, always, always).final.waste[0, 0, 0]
    return float(1.0 - waste) * per_team(1.0, team, SLOWER)
