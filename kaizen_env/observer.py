"""What a regime's twins show period by period: late by their lags, blurred by their noise."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from .arrays import Array, as_array
from .luck import stream
from .twins import Seen, Twin


class Observer:
    """The eyes of one episode: what the twin showed before, and the noise of each world's own stream."""

    def __init__(self, twin: Twin, seeds: Sequence[int]) -> None:
        regime = twin.regime
        self.twin = twin
        lag = max(regime.twin_lag, regime.shared_twin_lag)
        self._history: deque[tuple[Array, Array, Array | None]] = deque(maxlen=lag + 1)
        self._noise = {
            side: [stream(s, 0, f"twin/{side}") for s in seeds]
            for side, size in (("own", regime.twin_noise), ("shared", regime.shared_twin_noise))
            if size > 0
        }

    def look(self, seen: Seen) -> Array:
        """Observations of this moment (worlds, companies, features); call once per period, from the first on."""
        return self.twin.assemble(*self._shown(seen))

    def look_in_parts(self, seen: Seen) -> tuple[Array, Array | None]:
        """As `look`, in the two parts of `Twin.parts`."""
        return self.twin.parts(*self._shown(seen))

    def _shown(self, seen: Seen) -> tuple[Array, Array, Array | None]:
        """Own values, shared values and who sees whom, as late and as blurred as the regime has them."""
        twin, regime = self.twin, self.twin.regime
        own = twin.own_values(seen)
        self._history.append((own, twin.shared_values(seen, own), twin.visible(seen.state)))
        late = self._history[-1 - min(regime.twin_lag, len(self._history) - 1)]
        shared_late = self._history[-1 - min(regime.shared_twin_lag, len(self._history) - 1)]
        return (
            self._noisy(late[0], "own", regime.twin_noise),
            self._noisy(shared_late[1], "shared", regime.shared_twin_noise),
            shared_late[2],
        )

    def _noisy(self, values: Array, side: str, size: float) -> Array:
        """Values (features, companies, worlds) times 1 + size · a standard normal of each world's own stream."""
        if size == 0:
            return values
        shocks = np.stack([rng.standard_normal(tuple(values.shape[:2])) for rng in self._noise[side]], axis=-1)
        return values * (1.0 + size * as_array(shocks, values))
