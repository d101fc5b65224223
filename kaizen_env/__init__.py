"""kaizen_env: a laboratory for value networks that improve alone, or together."""

from .build import build
from .description import Scenario
from .errors import DescriptionError
from .luck import draw
from .network import Network
from .scenarios import load_scenario, scenarios
from .simulation import simulate

__version__ = "0.1.0"
__all__ = ["DescriptionError", "Network", "Scenario", "build", "draw", "load_scenario", "scenarios", "simulate"]
