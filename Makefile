# Every chore in one place; `make help` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROCESSES ?= 2

.DEFAULT_GOAL := help
.PHONY: help run test test-published test-all lint format bench docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.installed ## three simulated gateways and the exporter on :9871; CONFIG=file serves real gateways
ifdef CONFIG
	@exec $(BIN)/probe_exporter --config.file="$(CONFIG)" serve $(ARGS)
else
	@exec $(BIN)/probe_exporter simulate --gateways 3 --serve $(ARGS)
endif

test: $(VENV)/.installed-dev ## the tests, without the slow ones
	@$(BIN)/python -m pytest -n $(PROCESSES) -q -m "not slow" $(ARGS)

test-published: $(VENV)/.installed-dev ## the slow tests of what is published: wheel, image, install page, Prometheus 3
	@$(BIN)/python -m pytest -n $(PROCESSES) --dist=loadfile -q tests/test_distribution.py tests/test_image.py \
		tests/test_install_page.py tests/test_newer_prometheus.py $(ARGS)

test-all: $(VENV)/.installed-dev ## all tests, with branch coverage
	@$(BIN)/python -m pytest -n $(PROCESSES) --dist=loadfile -q --cov --cov-report=term $(ARGS)

lint: $(VENV)/.installed-dev ## ruff and mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: $(VENV)/.installed-dev ## lay the code out
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

bench: $(VENV)/.installed-dev ## measure speed and scale; takes minutes
	@$(BIN)/python -m bench $(ARGS)

docs: $(VENV)/.installed-dev ## write METRICS.md, docs/cli.md, docs/faults.md and the tables of other pages anew
	@$(BIN)/python -m tests.metrics_page >METRICS.md.new && mv METRICS.md.new METRICS.md
	@$(BIN)/python -m probe_exporter.cli.reference >docs/cli.md.new && mv docs/cli.md.new docs/cli.md
	@$(BIN)/python -m tests.fault_table >docs/faults.md.new && mv docs/faults.md.new docs/faults.md
	@$(BIN)/python -m tests.session_table >docs/architecture.md.new && mv docs/architecture.md.new docs/architecture.md
	@$(BIN)/python -m tests.configuration_page >docs/configuration.md.new && mv docs/configuration.md.new docs/configuration.md

clean: ## remove the environment and what tools left behind
	rm -rf $(VENV) .cache build dist .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "Python 3.10 or newer is needed; say where: make PYTHON=/path/to/python3 …" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "Python's venv module is needed (Debian: apt install python3-venv)" >&2; exit 1; }

# The stamps make pip run again when the dependencies change, and not otherwise.
$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	@echo "Installing into $(VENV) …"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	@echo "Installing into $(VENV) …"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -e '.[dev]'
	@touch $(VENV)/.installed $@
