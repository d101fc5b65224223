"""CMA-ES in a box, as a search that can be taken up again: the library `cma`, with its chance as an argument."""

from __future__ import annotations

import warnings
from typing import Any

import cma
import numpy as np

from kaizen_env.luck import stream

HIGHEST_START = 0.95  # a start at a bound sees one side only


class Search:
    """Maximises a function of shares in [0, 1] (n,): ask for candidates, tell their values, read the centre.

    Its candidates follow from `start`, `spread`, `population` and `key` (seed, number of the search) alone, given the
    values that it was told; `told` (generations, candidates) are values from before a stop, which are told again.
    """

    def __init__(
        self, start: np.ndarray, spread: float, population: int | None, key: tuple[int, int], told: np.ndarray
    ) -> None:
        self.size = len(start)
        lonely = self.size == 1  # cma refuses one dimension: a second one, which nothing depends on, goes with it
        begin = np.clip(np.append(start, 0.5) if lonely else start, 1.0 - HIGHEST_START, HIGHEST_START)
        draws = stream(key[0], key[1], "cma")
        options: dict[str, Any] = {
            "bounds": [0.0, 1.0],
            "randn": lambda *shape: draws.standard_normal(shape),
            "seed": np.nan,  # leave NumPy's global stream alone
            "verbose": -9,
        }
        if population is not None:
            options["popsize"] = population
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the library, about its own options
            self._strategy: Any = cma.CMAEvolutionStrategy(begin, spread, options)
        for values in told:
            self.ask()
            self.tell(values)

    def ask(self) -> np.ndarray:
        """Candidates (candidates, n)."""
        self._asked = self._strategy.ask()
        return np.array(self._asked)[:, : self.size]

    def tell(self, values: np.ndarray) -> None:
        """The values (candidates,) of the candidates asked for last; more is better."""
        self._strategy.tell(self._asked, [-float(v) for v in values])

    @property
    def centre(self) -> np.ndarray:
        """The mean of the distribution, within the box (n,)."""
        return np.array(self._strategy.result.xfavorite)[: self.size]

    @property
    def spread(self) -> float:
        """Step size, in shares of the range."""
        return float(self._strategy.sigma)
