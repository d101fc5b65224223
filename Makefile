# One way through the house: every command runs in .venv, which the first target that needs it sets up.
#
#   make test PYTHON=python3.13             another interpreter for a new .venv
#   make test PYTEST_ARGS="-m 'not slow'"   anything pytest takes; by default a process per core

PYTHON ?= python3
PYTEST_ARGS ?= -n auto

BIN := .venv/bin
INSTALLED := .venv/.installed
# Ray and TorchRL insist on versions that need not be those of everybody else: an environment of their own.
EXTRAS := .venv-extras
# SuperSuit, which training speed is compared with.
SUPERSUIT := .venv-supersuit

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help install test extras verify demo speed speed-training lint format clean

# pyright looks on PyPI for a newer version of itself unless told not to.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
# The tests run in one process per core; each needs no more than one.
export OMP_NUM_THREADS ?= 1

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## set up .venv with the versions in constraints.txt

test: lint ## lint, format check, types, then the tests
	$(BIN)/pytest $(PYTEST_ARGS)

extras: $(EXTRAS)/.installed ## RLlib and TorchRL on the environments, in .venv-extras; before a release
	RAY_AUTH_MODE=disabled $(EXTRAS)/bin/pytest tests/extras

verify: $(INSTALLED) ## reproduce the known results: a table of ours against the published
	$(BIN)/python scripts/verify.py

demo: $(INSTALLED) ## the main job: isolated kaizen against Kaizen 2.0 on one network; run again, it shows what there is
	$(BIN)/python scripts/compare.py configs/quickstart.yaml --jobs 2 --resume

speed: $(INSTALLED) ## measure simulated periods per second
	$(BIN)/python scripts/speed.py

speed-training: $(INSTALLED) $(SUPERSUIT)/.installed ## measure PPO here against SuperSuit, in .venv-supersuit
	$(BIN)/python scripts/speed.py --training

lint: $(INSTALLED) ## ruff (lint and format check) and pyright
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

format: $(INSTALLED) ## rewrite the code as ruff wants it
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## remove .venv*, caches and builds (runs/ stays)
	rm -rf .venv $(EXTRAS) $(SUPERSUIT) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python $(EXTRAS)/bin/python $(SUPERSUIT)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and "kaizen-env needs Python 3.11 or newer, but $(PYTHON) is %d.%d: install a newer one, or name it: make PYTHON=python3.13 ..." % v[:2])'
	$(PYTHON) -m venv $(@:/bin/python=)

$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

$(EXTRAS)/.installed: pyproject.toml constraints.txt | $(EXTRAS)/bin/python
	$(EXTRAS)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[ray,torchrl]" pytest
	@touch $@

$(SUPERSUIT)/.installed: constraints.txt | $(SUPERSUIT)/bin/python
	$(SUPERSUIT)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt supersuit mpe2 pettingzoo stable_baselines3 torch
	@touch $@
