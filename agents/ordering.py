"""What rules that order have in common: positions in units, orders in any replenishment mode, options per company."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kaizen_env.errors import near

from .policy import PolicyError, Setting

Levels = float | Sequence[float] | Mapping[str, float]
"""One number for all companies, a list in their order, or a mapping by name."""

OVER = {"order_up_to": "inventory_position", "echelon_order_up_to": "echelon_position"}
"""The feature of the position that the action `order` is a level over, by `replenishment`."""


def units(setting: Setting, observations: np.ndarray, name: str) -> np.ndarray:
    """A stock or a flow in units, (worlds, companies), from a feature in periods of mean throughput."""
    throughput = setting.facts.throughput
    return setting.feature(observations, name) * np.where(throughput > 0, throughput, 1.0)


def needs(setting: Setting, *features: str) -> None:
    """Raises PolicyError where the twin lacks a feature, or the position that this scenario's orders are over."""
    over = OVER.get(setting.replenishment)
    for name in (*features, *([over] if over else [])):
        setting.column(name)


def order(setting: Setting, observations: np.ndarray, quantity: np.ndarray) -> np.ndarray:
    """Actions that order `quantity` units (worlds, companies), whatever the action `order` means in the scenario.

    As a level it is the quantity over the position, so that with `ordering: cascade` what customers order in this
    period comes on top of it.
    """
    over = OVER.get(setting.replenishment)
    asked = quantity if over is None else quantity + units(setting, observations, over)
    return setting.actions(order=setting.order_share(asked))


def order_up_to(setting: Setting, observations: np.ndarray, levels: np.ndarray, position: str) -> np.ndarray:
    """Actions that raise `position`, a feature, to `levels` (units, that broadcast to worlds × companies)."""
    if OVER.get(setting.replenishment) == position:
        return setting.actions(order=setting.order_share(levels))
    return order(setting, observations, np.maximum(levels - units(setting, observations, position), 0.0))


def within_reach(setting: Setting, levels: np.ndarray, position: str) -> None:
    """Raises PolicyError for levels (companies,) over a position that the action `order` cannot name."""
    if OVER.get(setting.replenishment) != position:
        return
    most = setting.facts.largest_order
    beyond = (levels > most * (1 + 1e-9)) | (levels < 0)
    if beyond.any():
        i = int(np.argmax(beyond))
        raise PolicyError(
            f"the level {levels[i]:g} of '{setting.companies[i]}' is out of reach: `order` goes from 0 to {most[i]:g}"
            f" in scenario '{setting.scenario}', twice the level that keeps the stocks of the start; give it more stock"
            " at the start, or use replenishment: quantity"
        )


def protection(setting: Setting, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a level over the inventory position must cover: mean units, and periods of demand; (worlds, companies).

    A company orders after it has seen the period's orders, and its goods are on hand order lead time + transit +
    process time later; stocks are counted at the end of a period. So it must cover the demand of just as many later
    periods: no review period comes on top. Only orders that customers place in the same period and without order lead
    time, which simultaneous ordering hides from it, cost one period more. With several inputs the slowest counts.
    Inputs are counted before what will be scrapped of them, and so are the mean units.
    """
    facts = setting.facts
    inbound = setting.feature(observations, "lead_time") + facts.extra_lead_time
    own = setting.feature(observations, "process_time") + facts.unseen_orders
    inbound, own = np.maximum(inbound, 0.0), np.maximum(own, 0.0)  # noise of a twin
    # Ordered is what is on its way at the start of a period and one order more; one period's demand is owed already.
    return facts.started * (inbound + 1.0) + facts.throughput * (own - 1.0), inbound + own


def per_company(setting: Setting, given: Levels, what: str) -> np.ndarray:
    """A number for each company (companies,) from one for all, a list, or a mapping by name. Raises PolicyError."""
    names = setting.companies
    if isinstance(given, Mapping):
        for name in given:
            if name not in names:
                raise PolicyError(f"{what}: there is no company '{name}'{near(str(name), names)}; {_allowed(names)}")
        missing = [name for name in names if name not in given]
        if missing:
            raise PolicyError(f"{what}: '{missing[0]}' is missing; {_allowed(names)}")
        given = [given[name] for name in names]
    values = given if isinstance(given, Sequence) else [given] * len(names)
    if len(values) != len(names):
        raise PolicyError(f"{what}: got {len(values)} numbers; {_allowed(names)}")
    return np.array(values, dtype=np.float64)


def check_numbers(given: Any, what: str, least: float = -np.inf, most: float = np.inf) -> None:
    """Raises PolicyError unless `given` is a finite number in range, or a list or mapping of such."""
    values = given.values() if isinstance(given, Mapping) else given if isinstance(given, (list, tuple)) else [given]
    if not values:
        raise PolicyError(f"{what}: got nothing; give one number, a list, or a mapping by company")
    for value in values:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not (number and np.isfinite(value) and least <= value <= most):
            spoken = f"from {least:g} to {most:g}" if np.isfinite(most) else f"from {least:g} on"
            allowed = "a number" if not np.isfinite(least) else f"a number {spoken}"
            raise PolicyError(f"{what}: got {value!r}; allowed: {allowed}, a list of such, or a mapping by company")


def _allowed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    return f"allowed: one number for all, or one for each of {len(names)} companies ({shown})"
