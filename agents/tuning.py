"""What `tuned` tunes: parameters with bounds, and who tunes which for whose reward."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from kaizen_env import BatchEnv
from kaizen_env.errors import near

from .facts import Facts
from .policy import PolicyError, Setting

KEYS = ("start", "low", "high", "times", "per_company")
FACTS = tuple(f.name for f in fields(Facts) if f.name != "kaizen")


@dataclass(frozen=True)
class Parameter:
    """An option of a rule that is tuned, between two bounds.

    As data: {low, high, start, times, per_company}, or [low, high]. `start` is by default half way. `times` names a
    fact of the companies (`throughput`, `largest_order`, …: see `agents.facts`) that all three are multiples of, e.g.
    {low: 0, high: 1, times: largest_order} for order-up-to levels in their whole range; such a parameter is one per
    company, as one with `per_company: true` is. A name with dots is an option within an option:
    `ordering_options.levels`.
    """

    name: str
    low: float
    high: float
    begin: float  # share of the way from low to high
    times: str | None
    per_company: bool

    @staticmethod
    def of(name: str, given: Any) -> Parameter:
        """From data. Raises PolicyError with the place."""
        where = f"parameters: {name}"
        if isinstance(given, (list, tuple)) and len(given) == 2:
            given = {"low": given[0], "high": given[1]}
        if not isinstance(given, Mapping):
            raise PolicyError(f"{where}: got {given!r}; allowed: [low, high], or a mapping with {', '.join(KEYS)}")
        for key in given:
            if key not in KEYS:
                raise PolicyError(f"{where}: unknown key '{key}'{near(key, KEYS)}; allowed: {', '.join(KEYS)}")
        numbers = {key: given.get(key) for key in ("low", "high")}
        numbers["start"] = given.get("start", 0.0)
        for key, number in numbers.items():
            if isinstance(number, bool) or not isinstance(number, (int, float)) or not np.isfinite(number):
                raise PolicyError(f"{where}.{key}: got {number!r}; a number is needed")
        low, high = float(given["low"]), float(given["high"])
        start = float(given.get("start", 0.5 * (low + high)))
        if not low <= start <= high or low == high:
            raise PolicyError(f"{where}: low {low:g}, start {start:g}, high {high:g} must rise")
        times = given.get("times")
        if times is not None and times not in FACTS:
            raise PolicyError(f"{where}.times: got {times!r}{near(str(times), FACTS)}; allowed: {', '.join(FACTS)}")
        per_company = given.get("per_company", times is not None)
        if not isinstance(per_company, bool) or (times is not None and not per_company):
            raise PolicyError(f"{where}.per_company: got {per_company!r}; allowed: true or false, true with times")
        return Parameter(name, low, high, (start - low) / (high - low), times, per_company)

    def start(self, setting: Setting) -> np.ndarray:
        """Shares of the range to begin with (companies,)."""
        return np.full(len(setting.companies), self.begin)

    def values(self, setting: Setting, shares: np.ndarray) -> np.ndarray:
        """What shares (companies,) of the range stand for (companies,)."""
        value = self.low + (self.high - self.low) * shares
        return value if self.times is None else value * getattr(setting.facts, self.times)

    def placed(self, options: Mapping[str, Any], values: np.ndarray, company: int) -> dict[str, Any]:
        """Options of the rule with this parameter: a list over companies, or the number of one company."""
        value = [float(v) for v in values] if self.per_company else float(values[company])
        return _placed(options, self.name.split("."), value)


def _placed(options: Mapping[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    inner = value if len(path) == 1 else _placed(options.get(path[0]) or {}, path[1:], value)
    return {**options, path[0]: inner}


def parameters_of(rule: Any, given: Mapping[str, Any] | None, spec: str) -> list[Parameter]:
    """The parameters given, or those that the rule's class declares as `tunable`. Raises PolicyError for none."""
    declared = getattr(rule, "tunable", {}) if given is None else given
    if not isinstance(declared, Mapping) or not declared:
        raise PolicyError(
            f"tuned: there is nothing to tune in '{spec}'; give parameters, e.g. levels: {{low: 0, high: 1, times:"
            " largest_order}, or declare them in its class as `tunable`"
        )
    return [Parameter.of(name, entry) for name, entry in declared.items()]


@dataclass(frozen=True)
class Player:
    """Companies that are paid for the same, and so tune their parameters together."""

    number: int
    members: np.ndarray  # (members,) int, companies
    own: np.ndarray  # (parameters,) bool: one number per member; else one for all members

    def read(self, shares: np.ndarray) -> np.ndarray:
        """This player's numbers (n,) in shares (companies, parameters)."""
        mine = shares[self.members]
        return np.concatenate([mine[:, k] if own else mine[:1, k] for k, own in enumerate(self.own)])

    def written(self, shares: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Shares with this player's numbers in their places."""
        changed, place = np.array(shares), 0
        for k, own in enumerate(self.own):
            count = len(self.members) if own else 1
            changed[self.members, k] = numbers[place : place + count]
            place += count
        return changed


def players(env: BatchEnv, parameters: list[Parameter]) -> list[Player]:
    """Who tunes for whom: everybody together, owners, or every company for itself, as the regime pays.

    A parameter that is one number for all is one number per player.
    """
    regime, network = env.regime, env.network
    everybody = np.arange(network.companies)
    if regime.control == "planner" or (regime.objective == "network" and regime.shared_weight == 1.0):
        groups = [everybody]
    elif regime.objective == "group" and regime.shared_weight == 1.0:
        groups = [np.flatnonzero(network.owner == owner) for owner in range(int(network.owner.max()) + 1)]
    else:
        groups = [everybody[i : i + 1] for i in everybody]
    own = np.array([p.per_company for p in parameters])
    return [Player(number, members, own) for number, members in enumerate(groups)]
