# What developers type. `make` alone shows this list.
PYTHON ?= .venv/bin/python

.PHONY: help venv test model stress faults mutants lint types bench bench-resources bench-leaks bench-peers bench-dashboard
.PHONY: bench-small
help:
	@sed -n 's/^\([a-z-]*\): .*## /\1\t/p' Makefile

venv: ## a virtual environment with everything tests need
	python3 -m venv .venv
	.venv/bin/pip install --quiet --editable '.[dev]'

test: ## the whole suite, four tests at a time: most of them wait
	$(PYTHON) -m pytest -n 4 --dist worksteal

model: ## the model of jobs, resources and limits, half a million steps, others each time
	TASKD_MODEL_STEPS=500000 TASKD_MODEL_SEED=$${TASKD_MODEL_SEED:-$$(date +%s)} \
	$(PYTHON) -m pytest -s tests/store/test_mail_model.py

stress: ## many processes, some killed, for two minutes
	TASKD_STRESS_SECONDS=120 $(PYTHON) -m pytest -s tests/store/test_stress.py

faults: ## kill, cut and fill up everything, for about three hours; sizes: tests/faults/sizes.py
	TASKD_FAULTS=long $(PYTHON) -m pytest -s tests/faults

mutants: ## breaks the SQL line by line: each must fail a test
	$(PYTHON) -m tests.store.mutants

lint: ## ruff and the import contracts
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	.venv/bin/lint-imports

types: ## mypy, strict
	$(PYTHON) -m mypy

bench: ## the benchmarks, as ratios (run nothing else meanwhile)
	$(PYTHON) -m benchmarks

bench-resources: ## of these, what resources cost
	$(PYTHON) -m benchmarks resources

bench-leaks: ## whether leaks are found under noisy loads, and nothing else is taken for one
	$(PYTHON) -m benchmarks.leaks --runs 8
	$(PYTHON) -m benchmarks.leaks.replay

bench-dashboard: ## pages with 5,000,000 jobs queued, and what ten viewers cost
	$(PYTHON) -m benchmarks.dashboard

bench-peers: ## taskd beside its peers, hours (BENCH="--scale 0.1 --runs 1" for less)
	$(PYTHON) -m benchmarks.contest $(BENCH)

bench-small: ## of these, taskd alone and tiny: seconds
	$(PYTHON) -m benchmarks.contest --small
