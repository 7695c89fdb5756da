# One place for everything that is done with a checkout. `make help` explains it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The newest one that starts: what pyenv and its kin put into the path often does not.
PYTHON ?= $(shell for name in python3.13 python3.12 python3.11 python3; do \
  "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v "$$name" && break; done)
PYTEST_OPTIONS ?=

.PHONY: help setup run test test-matrix check bench clean

help: ## Show this
	@echo 'WhaleFall: what can be done here'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo '  make run ONCE=1                ends by itself instead of staying up'
	@echo '  make test PYTEST_OPTIONS="…"   passes options to pytest, for example -k names'

setup: $(STAMP) ## Make the environment in .venv, from pyproject.toml; again only after it changed

$(STAMP): pyproject.toml
	@if ! "$(or $(PYTHON),missing)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	  echo 'WhaleFall needs Python 3.11 or newer: install it, or name it: make setup PYTHON=/path/to/python3'; exit 1; fi
	@if ! "$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null; then \
	  package=$$("$(PYTHON)" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing $$package, which Debian keeps apart from Python"; \
	    apt-get install -y -q "$$package" >/dev/null || { apt-get update -q >/dev/null && apt-get install -y -q "$$package" >/dev/null; }; \
	  else echo "Python cannot make environments here. On Debian or Ubuntu: sudo apt-get install $$package"; exit 1; fi; fi
	@if ! "$(BIN)/python" -m pip --version >/dev/null 2>&1; then echo 'Making $(VENV)'; "$(PYTHON)" -m venv --clear $(VENV); fi
	@echo 'Installing WhaleFall and its tools into $(VENV)'
	@"$(BIN)/python" -m pip install --disable-pip-version-check --no-input -q -e '.[dev]'
	@touch $@

run: $(STAMP) ## See it work: a demo fleet of real servers, synced, changed, synced again; Ctrl-C ends it
	@"$(BIN)/python" tools/fetch_servers.py --best-effort mariadb
	@"$(BIN)/whalefall" demo --servers .servers $(if $(ONCE),--once)

test: $(STAMP) ## Run every test on real servers: PostgreSQL 18, MariaDB, and MySQL where it can be had
	@"$(BIN)/python" tools/fetch_servers.py --best-effort mariadb mysql
	@"$(BIN)/python" -m pytest $(PYTEST_OPTIONS)

test-matrix: $(STAMP) ## The same on every server version that this machine can get
	@"$(BIN)/python" tools/fetch_servers.py --best-effort all
	@WHALEFALL_TEST_MATRIX=1 "$(BIN)/python" -m pytest $(PYTEST_OPTIONS)

check: $(STAMP) ## Check style, types, layers and the rules of the task layer; needs no server
	@"$(BIN)/ruff" format --check --quiet . || { echo 'Not formatted: $(BIN)/ruff format .'; exit 1; }
	@"$(BIN)/ruff" check --quiet .
	@"$(BIN)/mypy"
	@told=$$("$(BIN)/lint-imports" 2>&1) || { echo "$$told"; exit 1; }
	@"$(BIN)/python" -m pytest -q -p no:cacheprovider tests/test_architecture.py tests/test_import_contracts.py tests/test_settings_docs.py

bench: $(STAMP) ## Measure again what the README says it costs
	@"$(BIN)/python" tools/fetch_servers.py --best-effort mariadb
	@for subject in accounts capacity store forecasts; do "$(BIN)/python" -m benchmarks.$$subject || exit 1; done

clean: ## Remove what was made here: .venv, fetched servers, caches. The ledger is elsewhere and stays
	rm -rf $(VENV) .servers .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
