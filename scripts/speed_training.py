"""How fast Stable-Baselines3 PPO trains, here and through SuperSuit on simple_spread: agent-steps per second of CPU.

    python scripts/speed.py --training                       both, about three minutes
    .venv-supersuit/bin/python scripts/speed_training.py …  one repetition of one side: what the above runs

Both sides run `PPO("MlpPolicy", …).learn` as it comes, collecting and updating, with the same settings (`SETTINGS`), in
processes of their own, in turns, on one thread; seconds are of CPU time. An agent-step is one action of one agent.
SuperSuit needs an environment of its own (`make speed-training` sets it up).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SETTINGS: dict[str, Any] = {"n_epochs": 4, "policy_kwargs": {"net_arch": {"pi": [64, 64], "vf": [64, 64]}}}
MINIBATCHES = 4  # of an epoch: each holds a quarter of the rollout
ROLLOUT = 32_768  # rows · periods of a rollout, as near as whole periods come to it
CHAIN = {"random": {"companies": 8, "layers": 8, "links": 1, "seed": 4}}
WORLDS = {"ours": 256, "supersuit": 64}  # copies of the environment
REPETITIONS = 3
SUPERSUIT = Path(__file__).resolve().parents[1] / ".venv-supersuit" / "bin" / "python"
SIDES = ("supersuit", "isolated", "kaizen2")  # the regimes are those of our side
NAMES = {
    "supersuit": "simple_spread, 3 agents, by SuperSuit",
    "isolated": "BatchEnv, 8 companies, own twin",
    "kaizen2": "BatchEnv, 8 companies, network twin",
}
TARGET = 10.0


def simple_spread(worlds: int) -> Any:
    """Continuous actions, as ours; SuperSuit's copies, in this process."""
    import supersuit  # pyright: ignore[reportMissingImports]
    from mpe2 import simple_spread_v3  # pyright: ignore[reportMissingImports]

    env = supersuit.pettingzoo_env_to_vec_env_v1(simple_spread_v3.parallel_env(continuous_actions=True))
    return supersuit.concat_vec_envs_v1(env, worlds, num_cpus=1, base_class="stable_baselines3")


def chain(regime: str, worlds: int) -> Any:
    """The chain of `speed.py`, with kaizen on all of its wastes."""
    from kaizen_env import BatchEnv
    from kaizen_env.envs.sb3 import BatchVecEnv

    return BatchVecEnv(BatchEnv(CHAIN, regime, worlds))


def measure(side: str, updates: int) -> dict[str, float]:
    """Agent-steps per second, and CPU µs per agent-step of collecting and of updating, after one update to warm up."""
    import torch
    from stable_baselines3 import PPO

    torch.set_num_threads(1)
    env = simple_spread(WORLDS["supersuit"]) if side == "supersuit" else chain(side, WORLDS["ours"])
    n_steps = max(1, round(ROLLOUT / env.num_envs))
    rollout = n_steps * env.num_envs  # not seeded: copies of SuperSuit cannot be
    model = PPO("MlpPolicy", env, n_steps=n_steps, batch_size=rollout // MINIBATCHES, device="cpu", **SETTINGS)
    updating = 0.0
    train = model.train

    def timed() -> None:
        nonlocal updating
        begun = time.process_time()
        train()
        updating += time.process_time() - begun

    model.learn(rollout)
    model.train = timed  # type: ignore[method-assign]
    begun = time.process_time()
    model.learn(updates * rollout)
    whole, steps = time.process_time() - begun, updates * rollout
    return {
        "rate": steps / whole,
        "collect": 1e6 * (whole - updating) / steps,
        "update": 1e6 * updating / steps,
        "elements": float(env.observation_space.shape[0]),
        "rows": float(env.num_envs),
        "periods": float(n_steps),
    }


def in_turns(repetitions: int) -> dict[str, list[dict[str, float]]]:
    """Every side, each time in a fresh process, one after the other, as often as asked. Raises SystemExit."""
    if not SUPERSUIT.exists():
        sys.exit(f"{SUPERSUIT} is not there, which the comparison runs in; make speed-training sets it up")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "SDL_AUDIODRIVER": "dsp", "PYTHONWARNINGS": "ignore"}
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(repetitions):
        for side in SIDES:
            python = str(SUPERSUIT) if side == "supersuit" else sys.executable
            updates = "1" if side == "supersuit" else "8"
            run = subprocess.run(
                [python, __file__, side, updates], env=environment, capture_output=True, text=True, check=False
            )
            if run.returncode != 0:
                sys.exit(f"speed: measuring {side} failed\n{run.stderr}")
            found[side].append(json.loads(run.stdout.splitlines()[-1]))
    return found


def report(repetitions: int = REPETITIONS) -> int:
    """Print the table of medians, the ratios, and the settings; 0 where the target is met, else 1."""
    from rich.console import Console
    from rich.table import Table

    found = in_turns(repetitions)
    middle = {
        side: {what: statistics.median(run[what] for run in runs) for what in runs[0]} for side, runs in found.items()
    }
    table = Table(title="Training with SB3 PPO, collecting and updating, one thread, CPU time")
    for column in ("environment", "sees", "rows × periods", "agent-steps/s (all)", "collect µs", "update µs", "ratio"):
        table.add_column(column, justify="left" if column == "environment" else "right")
    base = middle["supersuit"]["rate"]
    for side in SIDES:
        m = middle[side]
        every = [f"{run['rate'] / 1e3:.1f}k" for run in found[side]]
        table.add_row(
            NAMES[side],
            f"{m['elements']:.0f}",
            f"{m['rows']:,.0f} × {m['periods']:.0f}",
            f"{m['rate']:,.0f} ({', '.join(every)})",
            f"{m['collect']:.1f}",
            f"{m['update']:.1f}",
            f"{m['rate'] / base:.1f}",
        )
    console = Console(width=None if sys.stdout.isatty() else 132)
    console.print(table)
    console.print(
        f"both: n_epochs={SETTINGS['n_epochs']}, {MINIBATCHES} minibatches, networks 64×64 (actor and critic), all else"
        f" as in SB3; rows: {WORLDS['supersuit']} copies × 3 agents, {WORLDS['ours']} worlds × 8 companies"
    )
    ratio = middle["isolated"]["rate"] / base
    console.print(f"own twin: {ratio:.1f} × SuperSuit's agent-steps per second; target: ≥ {TARGET:.0f} ×")
    return 0 if ratio >= TARGET else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="One repetition of one side, as JSON.")
    parser.add_argument("side", choices=SIDES)
    parser.add_argument("updates", type=int)
    given = parser.parse_args()
    print(json.dumps(measure(given.side, given.updates)))
