"""What an hour of kaizen is worth: the index that the kaizen rules choose by, and the effort that it pays for.

Full effort of a team with power P = skill · culture multiplies what a waste has above its floor by 2^(−P / half-life)
(Schneiderman 1988), so the first hour takes rate · P · (w − floor) off it, rate = ln 2 / half-life. What is taken off
saves money from the next period to the end of the episode, less what slides back:

    index = saving · [1 + (1 − b) + (1 − b)² + … + (1 − b)^(R−1)] · rate · P · (w − floor)

in money per hour of the whole team (a period of its work); `saving` is money per period and level, b the share that
slides back per period, R the periods that remain after this one. Effort e has taken some of it off already, so that
its last hour is worth index · 2^(−e · P / half-life), and it pays as long as that exceeds wage + curvature · e.

The index leaves out what an hour teaches (skill), what later hours would have taken off anyway, and that two wastes of
one company may each make the other cheaper. The first makes it too low, the others too high; where the last hour just
pays, and no more follow, the second is nil.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .loading import make_policy
from .policy import Policy, PolicyError, Setting
from .savings import Improvable

NEWTON_STEPS = 12  # from the left on a convex curve: each doubles the digits


def present_value(backsliding: np.ndarray, periods: int) -> np.ndarray:
    """Σ_{j < periods} (1 − backsliding)^j: the periods for which a gain counts that is made now."""
    slides = backsliding > 0
    sliding = (1.0 - (1.0 - backsliding) ** periods) / np.where(slides, backsliding, 1.0)
    return np.where(slides, sliding, float(periods))


def index(waste: Improvable, level: np.ndarray, power: np.ndarray, periods: int) -> np.ndarray:
    """Money per hour of effort on each waste, see above: (wastes, rows, worlds).

    `level` (wastes, rows, worlds) is today's, `power` broadcasts to it, `periods` remain after this one.
    """
    worth = waste.saving * present_value(waste.backsliding, periods) * waste.rate
    return worth[..., None] * np.maximum(level - waste.floor[..., None], 0.0) * power


def paying_effort(value: np.ndarray, decay: np.ndarray, wage: np.ndarray, curvature: np.ndarray) -> np.ndarray:
    """The effort e in [0, 1] up to which value · exp(−decay · e) exceeds wage + curvature · e; arrays broadcast."""
    effort = np.zeros(np.broadcast_shapes(value.shape, decay.shape, wage.shape, curvature.shape))
    for _ in range(NEWTON_STEPS):
        gain = value * np.exp(-decay * effort)
        missing = gain - wage - curvature * effort
        slope = decay * gain + curvature
        step = np.divide(missing, slope, out=np.where(missing > 0, np.inf, 0.0), where=slope > 0)
        effort = np.clip(effort + step, 0.0, 1.0)
    return effort


def whole_team(values: np.ndarray, decays: np.ndarray, wage: np.ndarray, curvature: np.ndarray) -> np.ndarray:
    """Effort on the waste with the highest value, as far as it pays, and none on others: (efforts, rows, worlds)."""
    best = values.argmax(axis=0)[None]
    effort = np.zeros_like(values)
    value, decay = np.take_along_axis(values, best, axis=0), np.take_along_axis(decays, best, axis=0)
    np.put_along_axis(effort, best, paying_effort(value, decay, wage[:, None], curvature[:, None]), axis=0)
    return effort


def together(values: np.ndarray, decays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Value and decay of one effort that works on several wastes at once: sums over axis 0, kept as one row.

    The decay is the mean by value, with which value · exp(−decay · e) has the right slope at e = 0.
    """
    value = values.sum(axis=0, keepdims=True)
    decay = (values * decays).sum(axis=0, keepdims=True) / np.where(value != 0, value, 1.0)
    return value, np.maximum(decay, 0.0)


def agreed(
    buyer: np.ndarray, partner: np.ndarray, own: np.ndarray, link: np.ndarray, decay: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Value of an hour of joint effort and its decay (companies, worlds), 0 for who does better to work alone.

    `own` (companies, worlds) is the best a company can do alone, `link` and `decay` (purchases, worlds) what two hours
    do on a link between `buyer` and `partner` (purchases,), the buyer itself where it works alone. Each of two is
    credited with half. At first all join; who then has something better to do leaves, and with it all that its
    partners would have got from its links; and so on, until all who stay do best to stay.
    """
    n, worlds = own.shape
    shares = np.where((buyer == partner)[:, None], link, 0.5 * link)
    joins = np.ones((n, worlds), dtype=bool)
    while True:
        value = np.where(joins[buyer] & joins[partner], shares, 0.0)
        total, pace = np.zeros((n, worlds)), np.zeros((n, worlds))
        for end in (buyer, partner):
            counted = np.where(((end is buyer) | (buyer != partner))[:, None], value, 0.0)
            np.add.at(total, end, counted)
            np.add.at(pace, end, counted * decay)
        stays = joins & (total > own)
        if (stays == joins).all():
            return total, pace / np.where(total > 0, total, 1.0)
        joins = stays


class Sight:
    """Reads companies' own features, as each sees its own or as the shared network twin shows them to everybody."""

    def __init__(self, setting: Setting, shared: bool) -> None:
        self.setting, self.shared = setting, shared

    def __call__(self, observations: np.ndarray, name: str, default: float | None = None) -> np.ndarray:
        """A feature of every company (companies, worlds); `default` where the scenario has none of that name.

        Raises PolicyError where the twin does not show it.
        """
        setting = self.setting
        if default is not None and name not in setting.feature_names:
            return np.full((len(setting.companies), len(observations)), default)
        if not self.shared:
            return setting.feature(observations, name).T
        columns = [setting.column(f"{company}.{name}") for company in setting.companies]
        return observations[:, 0, columns].astype(np.float64).T  # the shared twin is the same in every row

    def levels(self, observations: np.ndarray, names: list[str], prefix: str = "waste_") -> np.ndarray:
        """Levels of wastes (wastes, companies, worlds)."""
        shape = (len(names), len(self.setting.companies), len(observations))
        return np.array([self(observations, prefix + name) for name in names]).reshape(shape)

    def power(self, observations: np.ndarray) -> np.ndarray:
        """Skill · culture (companies, worlds), 1 each where the scenario does not have it."""
        return self(observations, "skill", 1.0) * self(observations, "culture", 1.0)


def waste_names(setting: Setting) -> tuple[list[str], list[str]]:
    """Names of the wastes of companies and of links that a company can work on."""
    own = [name.removeprefix("effort_") for name in setting.action_names if name.startswith("effort_")]
    links = [name.removeprefix("link_waste_") for name in setting.feature_names if name.startswith("link_waste_")]
    return own, links


def with_kaizen(setting: Setting, orders: np.ndarray, effort: np.ndarray, opens: bool) -> np.ndarray:
    """Actions of an ordering rule with other kaizen: efforts (own wastes, then joint; companies, worlds), no training.

    Where the scenario lets twins be opened they all are, or none is.
    """
    actions = np.array(orders, dtype=np.float64)
    places = {name: k for k, name in enumerate(setting.action_names)}
    names = [name for name in setting.action_names if name.startswith("effort_")]
    for share, name in zip(effort, [*names, "joint_effort"], strict=False):
        if name in places:
            actions[..., places[name]] = 2.0 * share.T - 1.0
    for name, share in (("training", 0.0), ("openness", float(opens))):
        if name in places:
            actions[..., places[name]] = 2.0 * share - 1.0
    return actions


def ordering_rule(ordering: str, options: Mapping[str, Any] | None) -> Policy:
    """The rule that orders beside a kaizen rule. Raises PolicyError that names the option."""
    if not isinstance(ordering, str):
        raise PolicyError(f"ordering: got {ordering!r}; allowed: the name or place of a policy, e.g. 'order_up_to'")
    if options is not None and not isinstance(options, Mapping):
        raise PolicyError(f"ordering_options: got {options!r}; allowed: a mapping from option to value")
    return make_policy(ordering, **(options or {}))
