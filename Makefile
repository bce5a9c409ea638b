# Tallybook: `make` lists what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo run test coverage lint bench lock clean browser
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# A lock names everything there is: nothing is left to resolve, and older pips would trip over extras of dependencies.
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-input --no-deps --require-hashes
# Tests start processes of their own, so more workers than cores only make them wait.
WORKERS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n < 2 ? 2 : n > 8 ? 8 : n)))

help: ## List these commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-7s %s\n", $$1, $$2 }'

demo: .venv/app.stamp ## Bill an hour of real traffic, start to end, on real servers
	@$(BIN)/python -m billing_site.demo

run: .venv/app.stamp ## Serve web, worker and beat until Ctrl-C (PORT=8000)
	@$(BIN)/python -m billing_site.supervisor run

test: .venv/dev.stamp browser ## Run every test (ARGS="-k name" for some)
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

coverage: .venv/dev.stamp ## Prove that tests reach every branch of the pure modules
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -q --cov --cov-report=term:skip-covered \
		tests/foundation tests/catalog tests/cases tests/customers tests/meters

lint: .venv/dev.stamp ## Check style, types, import contracts, migrations, settings and locks
	$(BIN)/ruff check --quiet
	$(BIN)/ruff format --check --quiet
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy
	$(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run --skip-checks
	$(BIN)/python manage.py check --fail-level WARNING
	requirements/lock --check
	$(BIN)/python -m pip check

bench: .venv/dev.stamp ## Measure against floors taken in the same run (BENCH=name for one)
	@$(BIN)/python -m tests.benchmarks $(BENCH)

lock: .venv/dev.stamp ## Write the locks from requirements/*.in (UPGRADE=1 for newer pins)
	@requirements/lock $(if $(UPGRADE),--upgrade)

clean: ## Remove the environment and every cache; the data in .state stays
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage test-results
	@find . -name __pycache__ -type d -not -path './.state/*' -prune -exec rm -rf {} +

.venv/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null \
		|| { echo 'Tallybook needs Python 3.11. Install it, or name it: make PYTHON=/path/to/python3.11' >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || requirements/debian python3.11-venv
	@rm -rf .venv
	@$(PYTHON) -m venv .venv

.venv/app.stamp: requirements/app.lock .venv/pyvenv.cfg
	@echo 'Installing the libraries. This takes a minute, once.'
	@$(PIP) -r requirements/app.lock
	@touch $@

.venv/dev.stamp: requirements/dev.lock .venv/app.stamp
	@echo 'Installing what the tests need. This takes a minute, once.'
	@$(PIP) -r requirements/dev.lock
	@touch $@

# The browser, and fonts for names in Hebrew, Arabic, Chinese, Japanese and Korean. CHROMIUM names another browser.
browser:
	@[[ -n "$${CHROMIUM:-}" ]] || requirements/debian chromium fonts-dejavu-core fonts-wqy-zenhei
