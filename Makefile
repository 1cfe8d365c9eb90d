# What developers type. `make` alone shows this list.
PYTHON ?= .venv/bin/python

.PHONY: help venv test lint types stress mutants bench
help:
	@sed -n 's/^\([a-z]*\): .*## /\1\t/p' Makefile

venv: ## a virtual environment with everything tests need
	python3 -m venv .venv
	.venv/bin/pip install --quiet --editable '.[dev]'

test: ## the whole suite
	$(PYTHON) -m pytest

lint: ## ruff and the import contracts
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	.venv/bin/lint-imports

types: ## mypy, strict
	$(PYTHON) -m mypy

stress: ## the dispatcher under killed processes, a minute long
	TASKD_STRESS_SECONDS=60 $(PYTHON) -m pytest tests/store/test_stress.py -s

mutants: ## break the SQL line by line: the tests must notice (takes long)
	$(PYTHON) -m tests.store.mutants

bench: ## the benchmarks, as ratios (run nothing else meanwhile)
	$(PYTHON) -m benchmarks
