"""Train one policy in one regime of one network, with any seeds, and evaluate it on worlds that it has not met.

    python scripts/train.py configs/train_serial.yaml
    python scripts/train.py configs/train_serial.yaml --set seeds=[0,1,2] --jobs 2
    python scripts/train.py configs/train_serial.yaml --resume      go on after Ctrl-C, a kill, a full disk
    python scripts/train.py configs/train_serial.yaml --dry-run     the complete config, and how long it may take

A rule is only evaluated. The run folder holds the complete config and versions, and in `seed_N/` the log of the
training, its checkpoint, the policy, and what it reaches in every world; docs/agents.md says more.

Exit status: 0 all done; 1 a seed failed, and is listed; 2 the command, the config or the folder cannot be used, and
nothing was begun; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import json
import sys

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from agents.experiments.command import carry_out, parser
from agents.experiments.config import Experiment, TrainConfig
from agents.experiments.folder import RunFolder
from agents.experiments.statistics import estimate
from agents.experiments.unit import Outcome
from agents.files import replace


def main(arguments: list[str] | None = None) -> int:
    given = parser("train", __doc__ or "").parse_args(arguments)
    return carry_out("train", TrainConfig, given, report)


def report(experiment: Experiment, folder: RunFolder, outcomes: list[Outcome], console: Console) -> None:
    """Write `summary.json`, and print a line for every seed and for all of them."""
    label = next(iter(experiment.policies))
    done = [outcome for outcome in outcomes if outcome.values is not None]
    summary = {
        "policy": label,
        "scenario": next(iter(experiment.scenarios)),
        "regime": next(iter(experiment.regimes)),
        "worlds": experiment.evaluation.worlds,
        "seeds": {str(outcome.unit.seed): outcome.summary or {"error": outcome.error} for outcome in outcomes},
    }
    table = Table(box=box.SIMPLE_HEAD, title=f"{label} on {summary['scenario']} under {summary['regime']}")
    for name in ("seed", "end-customer value per period", "95 % interval", "training, s", "acting, ms a period"):
        table.add_column(name, justify="right")
    for outcome in done:
        assert outcome.values is not None
        _row(table, str(outcome.unit.seed), outcome.values[None], outcome.timing)
    if done:
        values = np.stack([outcome.values for outcome in done if outcome.values is not None])
        summary["end_customer_value"] = estimate(values)._asdict()
        if len(done) > 1:
            table.add_section()
            _row(table, "all", values, {})
        console.print(table)
    replace(folder.path / "summary.json", json.dumps(summary, indent=1).encode())
    console.print(f"{len(done)} of {len(outcomes)} seeds in {folder.path}", soft_wrap=True, highlight=False)


def _row(table: Table, name: str, values: np.ndarray, timing: dict[str, float]) -> None:
    mean, low, high = estimate(values)
    times = [f"{timing['training_seconds']:.1f}", f"{timing['seconds_per_period'] * 1e3:.2f}"] if timing else ["", ""]
    table.add_row(name, f"{mean:,.3f}", f"{low:,.3f} … {high:,.3f}", *times)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\ntrain: stopped; what is finished stays, and the same command with --resume goes on", file=sys.stderr)
        sys.exit(130)
