"""Who opens a twin: companies that answer each other round by round, and where that comes to rest.

In every round each company looks at who is open, and opens where that gains it something, closes where it loses, and
stays as it is where it is all the same to it; all move at once. With a gain that depends on the number of open partners
this is a threshold model (Granovetter 1978; Morris 2000), and from everybody open it ends in a k-core (Seidman 1983).
Where one company's opening makes others' worth more (strategic complements) the rounds from nobody end in the smallest
rest and those from everybody in the largest (Milgrom & Roberts 1990): if they differ, history decides.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple

import numpy as np

Gain = Callable[[np.ndarray], np.ndarray]
"""What each company gains by an open twin rather than a closed one, the others as they are: from open twins
(companies,) bool to money (companies,)."""

INDIFFERENT = 1e-9  # share of the largest gain seen, below which a gain is none


class Course(NamedTuple):
    """Who is open, round by round."""

    open: np.ndarray  # (rounds + 1, companies) bool
    settled: bool  # whether it came to rest; else it goes round in circles

    @property
    def last(self) -> np.ndarray:
        return self.open[-1]


def course(gain: Gain, start: np.ndarray, held: np.ndarray | None = None) -> Course:
    """Rounds from `start` (companies,) bool until nobody moves, or until who is open was so before.

    Who is in `held` stays open whatever it gains.
    """
    now = np.asarray(start, dtype=bool)
    states, seen, largest = [now], {now.tobytes()}, 0.0
    while True:
        gains = gain(now)
        largest = max(largest, float(np.abs(gains).max(initial=0.0)))
        indifferent = np.abs(gains) <= INDIFFERENT * largest
        after = np.where(indifferent, now, gains > 0)
        if held is not None:
            after = after | held
        if (after == now).all():
            return Course(np.array(states), True)
        states.append(after)
        if after.tobytes() in seen:
            return Course(np.array(states), False)
        seen.add(after.tobytes())
        now = after


def seed_needed(gain: Gain, companies: int, largest: int) -> tuple[int, ...] | None:
    """The fewest companies that have to be held open so that, from nobody, all at rest from everybody come to open.

    Of several such sets the first in order; None where more than `largest` would be needed. Empty where none is.
    """
    target = course(gain, np.ones(companies, dtype=bool))
    if not target.settled:
        return None
    for size in range(largest + 1):
        for chosen in combinations(range(companies), size):
            held = np.isin(np.arange(companies), chosen)
            reached = course(gain, held, held)
            if reached.settled and (reached.last >= target.last).all():
                return chosen
    return None


def every_set(companies: int) -> np.ndarray:
    """All sets of open twins (2^companies, companies) bool; the row of a set is its number in binary."""
    return (np.arange(2**companies)[:, None] >> np.arange(companies)[::-1]) % 2 == 1


def gains_of(payoff: np.ndarray) -> Gain:
    """The gain of a table of payoffs (2^companies, companies) by the rows of `every_set`."""
    companies = payoff.shape[1]
    place = 2 ** np.arange(companies)[::-1]
    each = np.arange(companies)

    def gain(open_: np.ndarray) -> np.ndarray:
        row = int(place @ open_)
        bit = np.where(open_, place, 0)
        return payoff[row - bit + place, each] - payoff[row - bit, each]

    return gain
