"""Environments: one model, seen through the interfaces of the field."""

from .batch import BatchEnv
from .parallel import KaizenParallelEnv, env, parallel_env
from .planner import PlannerEnv

__all__ = ["BatchEnv", "KaizenParallelEnv", "PlannerEnv", "env", "parallel_env"]
