"""Openings as an experiment: who opens its twin, at which fee, and what a platform earns by it.

Every set of open twins is simulated in common luck, so that what a company gains by opening is known whatever the
others do; then companies answer each other (`agents.opening`). Fees, exposure and pay are transfers or sums that
nobody's kaizen depends on under a fixed policy, so that they are counted afterwards, exactly:

    payoff_i = (1 − α) · [profit_i − (fee + exposure) · o_i] + α · [value − exposure · Σ o] / companies

with o_i the share of periods in which the twin of i is open (the culture of a company may forbid it), money per period,
and α the alignment of a regime with objective: network (0 with objective: own). The exposure cost is what a company
loses by being seen; unlike the fee it is nobody's income, and is taken off the network's value.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from kaizen_env import BatchEnv, DescriptionError, Scenario, load_scenario
from kaizen_env.description import Amount, Name, Number, Part, Share
from kaizen_env.errors import near

from ..files import replace
from ..opening import course, every_set, gains_of, rows_of, seed_needed
from ..policy import Policy, PolicyError, Setting
from ..rollout import Guard, run_in
from ..window import Window
from .comparison import finite
from .config import Experiment, TrainConfig
from .folder import file_name
from .loading import refusal
from .statistics import LEVEL
from .unit import Unit, as_csv, is_learner, read_table

LARGEST = 10  # companies of which every set is simulated
AT_ONCE = 4096  # worlds
SEED_NEEDED = 3  # companies held open that are looked for
RESAMPLES = 200
NOBODY, EVERYBODY = "nobody", "everybody"

Progress = Callable[[int, int], None]  # sets done, of all


class PlatformLearner(Part):
    """A platform that learns its fee by PPO, against companies that answer it period by period."""

    case: Name
    alignment: Share = 0.0
    exposure: Amount = 0.0
    highest: Annotated[float, Field(gt=0)]  # fee per open twin and day
    hold: Annotated[int, Field(ge=1)] = 1  # periods for which a fee holds
    updates: Annotated[int, Field(ge=1)] = 60
    worlds: Annotated[int, Field(ge=2)] = 16

    @property
    def label(self) -> str:
        of = f"{self.case}, α {self.alignment:g}, exposure {self.exposure:g}, up to {self.highest:g}, for {self.hold}"
        return f"{of}, {self.updates} updates of {self.worlds} worlds"


class OpeningConfig(TrainConfig):
    """A network whose companies choose to open their twins, under several circumstances."""

    kind: ClassVar[str] = "opening"
    regime: Any = Field(default_factory=lambda: {"twin": "members"})
    cases: Annotated[dict[Name, dict[str, Any]], Field(min_length=1, default_factory=lambda: {"as it is": {}})]
    alignments: Annotated[list[Share], Field(min_length=1, default_factory=lambda: [0.0])]  # α, see above
    exposures: Annotated[list[Amount], Field(min_length=1, default_factory=lambda: [0.0])]  # per open twin and day
    fees: Annotated[
        list[Number], Field(min_length=1, default_factory=lambda: [0.0])
    ]  # per open twin and day; below 0 a subsidy
    learners: list[PlatformLearner] = Field(default_factory=list)  # platforms that learn their fee

    def more(self) -> dict[str, Any]:
        return self.model_dump(mode="json", include={"cases", "alignments", "exposures", "fees", "learners"})


class Table(NamedTuple):
    """What every set of open twins leads to, without fees; money per period."""

    profit: np.ndarray  # (sets, companies, worlds)
    value: np.ndarray  # (sets, worlds) end-customer value
    open: np.ndarray  # (sets, companies, worlds) share of the counted periods in which the twin is open


class Opened(Policy):
    """Another policy, with the openness that it is given."""

    def __init__(self, policy: Policy, wants: np.ndarray) -> None:
        self.policy, self.wants = policy, wants  # (worlds, companies) 0 or 1
        self.memory = policy.memory

    def reset(self, setting: Setting) -> None:
        super().reset(setting)
        self.guard, self.period = Guard(self.policy, setting), 0
        self.place = setting.action_names.index("openness")

    def act(self, observations: np.ndarray) -> np.ndarray:
        actions = np.array(self.guard.act(observations, self.period))
        self.period += 1
        actions[..., self.place] = 2.0 * self.wants - 1.0
        return actions


def stages(experiment: Experiment, folder: Path) -> list[list[Unit]]:
    """None: sets of open twins run as worlds of one batch.

    Raises DescriptionError for what cannot be run, PolicyError for a policy that cannot serve it.
    """
    (regime,), (choice,) = experiment.regimes.values(), experiment.policies.values()
    if is_learner(choice):
        raise PolicyError(
            f"policy: {choice.called} has yet to learn; train it first and give its folder: {{saved: FOLDER}}"
        )
    for label, scenario in networks(experiment).items():
        if why := refusal(choice, scenario, regime):
            raise PolicyError(f"cases.{label}: policy '{choice.called}': {why}")
    return [[]]


def networks(experiment: Experiment) -> dict[str, Scenario]:
    """The network of every case, without its fee. Raises DescriptionError with the place in the config."""
    (scenario,), (regime,) = experiment.scenarios.values(), experiment.regimes.values()
    if regime.twin != "members" or regime.control != "company":
        raise DescriptionError(
            f"regime: twin: {regime.twin}, control: {regime.control}; what opening shows is a matter of twin: members,"
            " control: company"
        )
    if len(scenario.companies) > LARGEST:
        raise DescriptionError(
            f"scenario: {len(scenario.companies)} companies have {2 ** len(scenario.companies):,} sets of open twins;"
            f" at most {LARGEST} companies are possible"
        )
    config, found = experiment.config, {}
    if regime.objective != "network" and any(config["alignments"]):
        raise DescriptionError(
            f"alignments: {config['alignments']} with objective: {regime.objective}; pay for the network asks for"
            " objective: network in the regime"
        )
    if config["learners"] and find_spec("stable_baselines3") is None:
        raise DescriptionError(
            "learners: they need stable-baselines3; pip install 'kaizen-env[training]', or leave them out"
        )
    for i, learner in enumerate(config["learners"]):
        if learner["case"] not in config["cases"]:
            raise DescriptionError(
                f"learners[{i}].case: there is no case '{learner['case']}'{near(learner['case'], config['cases'])};"
                f" allowed: {', '.join(config['cases'])}"
            )
    for label, change in config["cases"].items():
        try:
            found[label] = load_scenario({**change, "scenario": scenario, "platform_fee": 0.0})
            same = [c.name for c in found[label].companies] == [c.name for c in scenario.companies]
        except DescriptionError as error:
            raise DescriptionError("\n".join(f"cases.{label}: {line}" for line in str(error).split("\n"))) from None
        lengths = [(of.periods, of.warm_up_days, of.tail_days) for of in (found[label], scenario)]
        if lengths[0] != lengths[1]:
            raise DescriptionError(
                f"cases.{label}: periods, warm_up_days and tail_days are those of the scenario in every case"
            )
        if not same:
            raise DescriptionError(f"cases.{label}: the companies are those of the scenario in every case")
        if "openness" not in BatchEnv(found[label], regime, 1).action_names:
            raise DescriptionError(f"cases.{label}: nobody can open a twin here; set kaizen: true in the regime")
    return found


def table(experiment: Experiment, label: str, scenario: Scenario, folder: Path, progress: Progress) -> Table:
    """Every set of open twins in the worlds of the evaluation; kept in `sets/CASE.csv`, from where it goes on."""
    (regime,), (choice,) = experiment.regimes.values(), experiment.policies.values()
    (window,) = experiment.windows.values()
    seeds, names = experiment.evaluation.seeds(), [company.name for company in scenario.companies]
    sets = every_set(len(names))
    parts, at_once = [], max(1, AT_ONCE // len(seeds))
    for first in range(0, len(sets), at_once):
        some = sets[first : first + at_once]
        file = folder / "sets" / f"{file_name(label)}.{first}.csv"
        part = _read(file, some, seeds, names)
        if part is None:
            simulated = window.simulated(scenario), window.waiting(regime)
            env = BatchEnv(*simulated, len(some) * len(seeds), auto_reset=False)
            wants = np.repeat(some, len(seeds), axis=0).astype(np.float64)
            part = _simulated(env, Opened(choice.make(env), wants), seeds * len(some), len(some), window)
            file.parent.mkdir(exist_ok=True)
            replace(file, as_csv(_columns(part, some, seeds, names)).encode())
        parts.append(part)
        progress(first + len(some), len(sets))
    return Table(*(np.concatenate(of) for of in zip(*parts, strict=True)))


def _simulated(env: BatchEnv, policy: Policy, seeds: list[int], sets: int, window: Window) -> Table:
    open_ = np.zeros((env.companies, env.worlds))

    def watch(before: Any, env: BatchEnv) -> None:
        np.add(open_, before.open_twin * window.counts(env.t - 1), out=open_)

    episode = run_in(env, policy, seeds, watch=watch, window=window)
    shape = (env.companies, sets, -1)
    profit, share = (x.reshape(shape).transpose(1, 0, 2) for x in (episode.profit, open_ / window.periods))
    return Table(profit, episode.end_customer_value.reshape(sets, -1), share)


def _columns(part: Table, sets: np.ndarray, seeds: Sequence[int], names: Sequence[str]) -> dict[str, Any]:
    rows = {"set": _written(sets, len(seeds)), "luck": list(seeds) * len(sets), "value": part.value.reshape(-1)}
    for name, of in (("profit of", part.profit), ("open time of", part.open)):
        rows |= {f"{name} {company}": of[:, i].reshape(-1) for i, company in enumerate(names)}
    return rows


def _written(sets: np.ndarray, worlds: int) -> list[str]:
    """Sets as words of o (open) and c (closed), in the order of the companies, each for so many worlds."""
    return [word for row in sets for word in ["".join("co"[int(x)] for x in row)] * worlds]


def _read(file: Path, sets: np.ndarray, seeds: Sequence[int], names: Sequence[str]) -> Table | None:
    """What the file holds; None where it is not there, or broken, or of something else."""
    try:
        columns = read_table(file)
        luck = [int(x) for x in columns["luck"]]
        if list(columns["set"]) != _written(sets, len(seeds)) or luck != [*seeds] * len(sets):
            return None
        shape = (len(sets), len(seeds))
        profit, share = (
            np.stack([columns[f"{what} {name}"].astype(np.float64).reshape(shape) for name in names], axis=1)
            for what in ("profit of", "open time of")
        )
        return Table(profit, columns["value"].astype(np.float64).reshape(shape), share)
    except (OSError, ValueError, KeyError, csv.Error):
        return None


def payoffs(of: Table, alignment: float, charge: float, exposure: float, weights: np.ndarray) -> np.ndarray:
    """Payoffs (sets, companies), see above; `weights` (worlds,) sum to 1, charges are per open period."""
    own = of.profit - (charge + exposure) * of.open
    shared = (of.value - exposure * of.open.sum(axis=1)) / of.open.shape[1]
    return ((1.0 - alignment) * own + alignment * shared[:, None]) @ weights


class Rest(NamedTuple):
    """Where a fee leads from one start; money per period, and means over the circle where it does not settle."""

    open: np.ndarray  # (companies,) share of the time
    settled: bool
    shares: list[float]  # of open twins, round by round
    value: float  # end-customer value, less what exposure costs
    revenue: float  # of the platform


def rests(
    of: Table, alignment: float, exposure: float, fees: Sequence[float], days: float, weights: np.ndarray
) -> dict[str, list[Rest]]:
    """By start (`nobody`, `everybody`), a `Rest` for every fee."""
    companies = of.open.shape[1]
    can = of.open.any(axis=(0, 2))  # who wants an open twin has one only where its culture ever lets it
    found: dict[str, list[Rest]] = {NOBODY: [], EVERYBODY: []}
    for fee in fees:
        gain = gains_of(payoffs(of, alignment, fee * days, exposure * days, weights))
        for start, whole in ((NOBODY, False), (EVERYBODY, True)):
            way = course(gain, np.full(companies, whole))
            rows = rows_of(way.forever)
            times = float((of.open[rows] @ weights).sum(axis=1).mean())
            value = float((of.value[rows] @ weights).mean()) - exposure * days * times
            shares = (way.open & can).mean(axis=1).tolist()
            revenue = fee * days * times + 0.0  # and no −0
            found[start].append(Rest((way.forever & can).mean(axis=0), way.settled, shares, value, revenue))
    return found


def openings(experiment: Experiment, tables: Mapping[str, Table]) -> dict[str, Any]:
    """All that is said, as in `summary.json`: by case, alignment and exposure what every fee leads to."""
    config, (scenario,) = experiment.config, experiment.scenarios.values()
    names, days = [company.name for company in scenario.companies], scenario.period_days
    rows = [
        _row(case, of, alignment, exposure, config["fees"], days, names)
        for case, of in tables.items()
        for alignment in config["alignments"]
        for exposure in config["exposures"]
    ]
    return finite(
        {
            "name": experiment.name,
            "scenario": scenario.name,
            "policy": next(iter(experiment.policies)),
            "worlds": experiment.evaluation.worlds,
            "companies": names,
            "fees": config["fees"],
            "rows": rows,
        }
    )


def _row(
    case: str, of: Table, alignment: float, exposure: float, fees: Sequence[float], days: float, names: Sequence[str]
) -> dict[str, Any]:
    worlds = of.value.shape[1]
    mean = np.full(worlds, 1.0 / worlds)
    found = rests(of, alignment, exposure, fees, days, mean)
    draws = np.random.default_rng(0).multinomial(worlds, mean, RESAMPLES) / worlds
    again = [rests(of, alignment, exposure, fees, days, weights) for weights in draws]
    closed, whole = float(of.value[0] @ mean), float(of.value[-1] @ mean)
    gain = gains_of(payoffs(of, alignment, 0.0, exposure * days, mean))
    alone = gain(np.zeros(len(names), dtype=bool))
    seed = seed_needed(gain, len(names), SEED_NEEDED)
    told: dict[str, Any] = {
        "case": case,
        "alignment": alignment,
        "exposure": exposure,
        "value_closed": closed,
        "value_open": whole,
        "gain_alone": dict(zip(names, alone.tolist(), strict=True)),
        "gain_last": dict(zip(names, gain(np.ones(len(names), dtype=bool)).tolist(), strict=True)),
        "first": names[int(alone.argmax())] if alone.max() > 0 else None,
        "seed": None if seed is None else [names[i] for i in seed],
        "from": {},
    }
    for start in (NOBODY, EVERYBODY):
        told["from"][start] = _from(fees, found[start], [r[start] for r in again], names)
    return told


def _from(
    fees: Sequence[float], found: Sequence[Rest], again: Sequence[Sequence[Rest]], names: Sequence[str]
) -> dict[str, Any]:
    """What every fee leads to from one start; `again` with the worlds drawn again."""

    def best(of: Sequence[Rest], what: str) -> float:
        """Of the fees with the most of it, the one nearest to nothing."""
        most = max(getattr(rest, what) for rest in of)
        return min((fee for fee, rest in zip(fees, of, strict=True) if getattr(rest, what) >= most), key=abs)

    return {
        "fees": [_at(fee, found[i], [of[i] for of in again], names) for i, fee in enumerate(fees)],
        "highest_fee": _interval(lambda of: _highest(of, fees), found, again),
        "revenue": _interval(lambda of: max(rest.revenue for rest in of), found, again),
        "revenue_fee": _interval(lambda of: best(of, "revenue"), found, again),
        "welfare": _interval(lambda of: max(rest.value for rest in of), found, again),
        "welfare_fee": _interval(lambda of: best(of, "value"), found, again),
    }


def _at(fee: float, rest: Rest, again: Sequence[Rest], names: Sequence[str]) -> dict[str, Any]:
    return {
        "fee": fee,
        "open": [name for name, share in zip(names, rest.open, strict=True) if share == 1.0],
        "settled": rest.settled,
        "shares": rest.shares,
        "share": _interval(lambda r: float(r.open.mean()), rest, again),
        "value": _interval(lambda r: r.value, rest, again),
        "revenue": _interval(lambda r: r.revenue, rest, again),
    }


def _highest(of: Sequence[Rest], fees: Sequence[float]) -> float:
    """The highest fee of the list at which all are open; NaN where there is none."""
    return max((fee for fee, rest in zip(fees, of, strict=True) if (rest.open == 1.0).all()), default=np.nan)


def _interval(number: Callable[[Any], float], found: Any, again: Sequence[Any]) -> dict[str, float]:
    """A number, and the percentiles of what it is when the worlds are drawn again; NaN counts as least."""
    low, high = np.quantile(
        np.nan_to_num([number(r) for r in again], nan=-np.inf),
        [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0],
        method="nearest",
    )
    return {"value": number(found), "low": float(low), "high": float(high)}


def as_table(said: Mapping[str, Any]) -> str:
    """`openings.csv`: a row for every case, alignment, exposure, start and fee."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    numbers = ("share", "value", "revenue")
    heads = ["case", "alignment", "exposure", "start", "fee", "open", "settled"]
    writer.writerow([*heads, *(f"{n}{end}" for n in numbers for end in ("", "_low", "_high"))])
    for row in said["rows"]:
        for start, of in row["from"].items():
            for at in of["fees"]:
                told = [row["case"], row["alignment"], row["exposure"], start, at["fee"]]
                told += [" ".join(at["open"]), int(at["settled"])]
                writer.writerow([*told, *(at[n][k] for n in numbers for k in ("value", "low", "high"))])
    return text.getvalue()
