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
    again: int  # the round whose state the last one is: itself at rest, an earlier one where it goes round in circles

    @property
    def settled(self) -> bool:
        return self.again == len(self.open) - 1

    @property
    def last(self) -> np.ndarray:
        return self.open[-1]

    @property
    def forever(self) -> np.ndarray:
        """What comes again and again, (states, companies): one state at rest, else those of the circle."""
        return self.open[self.again + (not self.settled) :]


def course(gain: Gain, start: np.ndarray, held: np.ndarray | None = None) -> Course:
    """Rounds from `start` (companies,) bool until nobody moves, or until who is open was so before.

    Who is in `held` stays open whatever it gains.
    """
    now = np.asarray(start, dtype=bool)
    states, seen, largest = [now], {now.tobytes(): 0}, 0.0
    while True:
        gains = gain(now)
        largest = max(largest, float(np.abs(gains).max(initial=0.0)))
        indifferent = np.abs(gains) <= INDIFFERENT * largest
        after = np.where(indifferent, now, gains > 0)
        if held is not None:
            after = after | held
        if (after == now).all():
            return Course(np.array(states), len(states) - 1)
        states.append(after)
        if after.tobytes() in seen:
            return Course(np.array(states), seen[after.tobytes()])
        seen[after.tobytes()] = len(states) - 1
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


def rows_of(open_: np.ndarray) -> np.ndarray:
    """The rows of sets (…, companies) bool in `every_set`: (…)."""
    return open_ @ _places(open_.shape[-1])


def gains_of(table: np.ndarray) -> Gain:
    """What an open twin adds to each company in a table (2^companies, companies) by the rows of `every_set`.

    The function takes sets (…, companies) bool, also many at once.
    """
    place, each = _places(table.shape[1]), np.arange(table.shape[1])

    def gain(open_: np.ndarray) -> np.ndarray:
        closed = rows_of(open_)[..., None] - np.where(open_, place, 0)
        return table[closed + place, each] - table[closed, each]

    return gain


def _places(companies: int) -> np.ndarray:
    return 2 ** np.arange(companies)[::-1]
