"""One model, two array libraries: the same episode, and gradients through it."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from networks import EVERYTHING, random_policy, random_scenario

from kaizen_env import Network, build, draw, load_scenario, scenarios, simulate
from kaizen_env.arrays import as_numpy
from kaizen_env.dynamics import Decisions, State, end_customer_value
from kaizen_env.luck import Luck
from kaizen_env.simulation import Trajectory

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'kaizen-env[training]'")

NETWORKS = [*scenarios(), *range(6)]


def network_of(which: str | int) -> Network:
    return build(load_scenario(which) if isinstance(which, str) else random_scenario(10, which))


def in_other_library(network: Network, luck: Luck, backend: str, dtype: str) -> tuple[Network, Luck]:
    other = network.to(backend, dtype)
    return other, Luck(*(None if x is None else _as(x, other) for x in luck))


def _as(values: np.ndarray, network: Network) -> object:
    like = network.company.unit_cost
    return values.astype(like.dtype) if network.backend == "numpy" else torch.as_tensor(values, dtype=like.dtype)


MONEY = ("cash", "cash_profit", "profit", "customers", "contract")


def run(network: Network, luck: Luck) -> Trajectory:
    return simulate(network, random_policy(network), luck, record=EVERYTHING)


@pytest.mark.parametrize("which", NETWORKS)
@pytest.mark.parametrize(("backend", "dtype", "rel"), [("torch", "float64", 1e-9), ("torch", "float32", 1e-4)])
def test_numpy_and_torch_agree_over_an_episode(which: str | int, backend: str, dtype: str, rel: float) -> None:
    """States, flows and books of 30 periods, relative to the largest entry of each field.

    Seen to fail: with the torch segment minimum including the zeros it starts from.
    """
    network = network_of(which)
    luck = draw(network, 5, 3, 30)
    ours = run(network, luck)
    theirs = run(*in_other_library(network, luck, backend, dtype))
    for record in ("states", "flows", "books"):
        for name in getattr(ours, record)._fields:
            a, b = getattr(getattr(ours, record), name), as_numpy(getattr(getattr(theirs, record), name))
            scale = float(np.abs(a).max()) if a.size else 1.0
            if name in MONEY:  # what is left of far larger sums, which is what single precision rounds
                scale = max(float(np.abs(part).max(initial=0.0)) for part in ours.books)
            np.testing.assert_allclose(b, a, rtol=rel, atol=rel * max(scale, 1.0), err_msg=f"{record}.{name}")


@pytest.mark.parametrize("which", NETWORKS)
def test_gradient_of_the_episode_is_the_finite_difference(which: str | int) -> None:
    """d(end-customer value) / d(a common shift of orders and efforts), by autograd and by central differences.

    Seen to fail: with efforts detached from the graph in `team`.
    """
    network = network_of(which).to("torch")
    luck = draw(network, 3, 2, 20)
    base = random_policy(network)

    def value(shift: object) -> object:
        def decide(net: Network, state: State, t: int) -> Decisions:
            d = base(net, state, t)
            return Decisions(d.order + shift[0], d.effort + 0.01 + shift[1], d.openness)

        t = simulate(network, decide, luck, record=("books",))
        return end_customer_value(network, t.books).sum()

    shift = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    value(shift).backward()
    assert torch.isfinite(shift.grad).all()
    for k in range(2):
        slopes = []
        for h in (1e-5, 1e-6):
            up, down = torch.zeros(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
            up[k], down[k] = h, -h
            slopes.append((value(up) - value(down)).item() / (2 * h))
        # The value is piecewise smooth: at one of the two steps no kink may lie between the points.
        got = shift.grad[k].item()
        error = min(abs(got - s) for s in slopes)
        assert error <= 1e-4 * max(1.0, abs(got)), (got, slopes)


def test_gradients_stay_finite_where_nobody_makes_a_joint_effort() -> None:
    """The slope of √(j_seller · j_buyer) is infinite at 0. Seen to fail: with the plain square root."""
    network = build(random_scenario(8, 2)).to("torch")
    luck = draw(network, 3, 1, 5)
    effort = torch.zeros(len(network.effort_names), network.companies, 1, dtype=torch.float64, requires_grad=True)

    def decide(net: Network, state: State, t: int) -> Decisions:
        return Decisions(net.company.throughput + net.zeros(net.companies, 1), effort, net.zeros(net.companies, 1))

    t = simulate(network, decide, luck, record=("books",))
    end_customer_value(network, t.books).sum().backward()
    assert torch.isfinite(effort.grad).all()


def test_the_environment_imports_without_torch() -> None:
    """Seen to fail: with `import torch` at the top of `kaizen_env/arrays.py`."""
    import subprocess
    import sys

    code = "import sys; sys.modules['torch'] = None; import kaizen_env; print(kaizen_env.scenarios())"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    code = "import sys, kaizen_env, kaizen_env.metrics; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_networks_pickle_and_copy(backend: str) -> None:
    """Seen to fail: with the array library's module among what is pickled."""
    network = build(random_scenario(5, 1)).to(backend)
    luck = draw(network, 1, 1, 3)
    simulate(network, random_policy(network), luck)  # it has used its array library by now
    for other in (pickle.loads(pickle.dumps(network)), copy.deepcopy(network)):
        again = simulate(other, random_policy(other), luck)
        assert float(again.final.cash.sum()) == float(simulate(network, random_policy(network), luck).final.cash.sum())


def test_unknown_backends_and_types_are_refused() -> None:
    network = build(random_scenario(2, 0))
    with pytest.raises(ValueError, match="backend 'jaxx' is not known; allowed: numpy, torch"):
        network.to("jaxx")
    with pytest.raises(ValueError, match="dtype 'float16' is not supported"):
        network.to("numpy", "float16")
