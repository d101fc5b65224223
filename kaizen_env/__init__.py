"""kaizen_env: a laboratory for value networks that improve alone, or together."""

import gymnasium
import pettingzoo

from .build import build
from .description import Scenario
from .envs import BatchEnv, PlannerEnv, env, parallel_env
from .errors import DescriptionError
from .luck import draw
from .network import Network
from .regimes import REGIMES, Regime, load_regime
from .scenarios import load_scenario, scenarios
from .simulation import simulate

__version__ = "0.1.0"
__all__ = [
    "REGIMES",
    "BatchEnv",
    "DescriptionError",
    "Network",
    "PlannerEnv",
    "Regime",
    "Scenario",
    "build",
    "draw",
    "env",
    "load_regime",
    "load_scenario",
    "parallel_env",
    "scenarios",
    "simulate",
]

gymnasium.register("Kaizen/ValueNetwork-v1", entry_point="kaizen_env:PlannerEnv")
pettingzoo.register("parallel", "Kaizen/ValueNetwork-v1", entry_point="kaizen_env:parallel_env")
pettingzoo.register("aec", "Kaizen/ValueNetwork-v1", entry_point="kaizen_env:env")
