"""What is seen, decided and paid, in either array library: learners may differentiate through it."""

from __future__ import annotations

import numpy as np
import pytest
from walks import everything

from kaizen_env import build, draw, load_regime
from kaizen_env.actions import Actions
from kaizen_env.arrays import as_numpy
from kaizen_env.dynamics import initial_state, step
from kaizen_env.luck import Luck
from kaizen_env.objectives import Objective
from kaizen_env.twins import Seen, Twin

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'kaizen-env[training]'")


@pytest.mark.parametrize("kind", ["own", "neighbours", "group", "network", "echelon", "members"])
def test_twins_actions_and_rewards_agree_in_both_libraries(kind: str) -> None:
    """An episode of what is seen, decided and paid, in NumPy and in PyTorch; and gradients flow from both ends.

    Seen to fail: with torch's efforts in the order of the action; with the mean over partners not divided.
    """
    regime = load_regime({"twin": kind, "objective": "group", "alignment": 0.3})
    network = build(everything())
    luck = draw(network, 3, 2, 8)
    other, other_luck = network.to("torch"), Luck(*(None if x is None else torch.as_tensor(x) for x in luck))
    rng, seen = np.random.default_rng(0), []
    actions = rng.uniform(-1, 1, (8, 2, network.companies, len(Actions(network, regime).names)))
    given = torch.as_tensor(actions, dtype=torch.float64).requires_grad_()
    for net, tape, asked in ((network, luck, actions), (other, other_luck, given)):
        twin, doing, paying = Twin(net, regime), Actions(net, regime), Objective(net, regime)
        state, flows, books, kept = initial_state(net, tape.demand[0]), None, None, []
        for t in range(8):
            now = Seen(state, flows, books, t)
            own = twin.own_values(now)
            kept.append(twin.assemble(own, twin.shared_values(now, own), twin.visible(state)))
            state, flows, books = step(net, state, doing.decisions(asked[t], t), tape.period(t))
            kept.append(paying.rewards(net, books))
        seen.append(kept)
    for ours, theirs in zip(*seen, strict=True):
        np.testing.assert_allclose(as_numpy(theirs), ours, rtol=2e-6, atol=1e-6)  # observations are float32 in NumPy
    (slope,) = torch.autograd.grad(sum(x.sum() for x in seen[1]), given)
    assert bool(torch.isfinite(slope).all())
    assert bool((slope != 0).any(dim=(0, 1, 3)).all())  # of every company
