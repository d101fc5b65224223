"""Who gains and who loses, and the payments with which nobody would."""

from __future__ import annotations

import numpy as np


def side_payments(changes: np.ndarray) -> np.ndarray | None:
    """What each party receives, less what it pays, (parties,), so that nobody is worse off than before.

    They sum to 0. Whoever has lost is given its loss, and whoever has gained pays for that in proportion to the gain,
    so that all who gained keep the same share of it. None where all together have lost: then no payments will do.
    """
    gains, losses = np.maximum(changes, 0.0), np.maximum(-changes, 0.0)
    if gains.sum() < losses.sum():
        return None
    if losses.sum() == 0.0:
        return np.zeros_like(changes)
    return losses - gains * (losses.sum() / gains.sum())
