"""Every config that is shipped loads, and says how it is run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agents.experiments.config import BenchmarkConfig, CompareConfig, TrainConfig
from agents.experiments.deviations import DeviateConfig
from agents.experiments.loading import load_experiment
from agents.experiments.openings import OpeningConfig
from agents.experiments.unit import is_learner
from kaizen_env import DescriptionError

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))
KINDS = {
    "train": TrainConfig,
    "benchmark": BenchmarkConfig,
    "compare": CompareConfig,
    "deviate": DeviateConfig,
    "opening": OpeningConfig,
}
COMMAND = re.compile(r"^#   python scripts/(\w+)\.py (\S+)", re.MULTILINE)


@pytest.mark.filterwarnings("ignore::kaizen_env.errors.ContractWarning")  # configs/contracts.yaml tries one that pays
@pytest.mark.parametrize("file", [pytest.param(file, id=str(file.relative_to(ROOT))) for file in CONFIGS])
def test_a_config_loads_with_the_command_that_it_names(file: Path) -> None:
    """Seen to fail: with a misspelt key, and with the command of another config."""
    found = COMMAND.search(file.read_text(encoding="utf-8"))
    assert found, "it does not say how it is run"
    script, named = found.groups()
    assert ROOT / named == file
    if "PATH" in file.read_text(encoding="utf-8"):
        with pytest.raises(DescriptionError, match="PATH: there is no such file"):  # the data are the user's own
            load_experiment(file, KINDS[script])
        return
    experiment = load_experiment(file, KINDS[script])
    assert experiment.name == file.stem
    learns = any(is_learner(choice) for choice in experiment.policies.values())
    assert len(experiment.seeds) >= 3 or script != "compare" or not learns
    for choice in experiment.policies.values():
        choice.make()  # with the options that it is given
