# `make demo` trains a real model on science questions; `make test` checks the project. Both set everything up first,
# and a second call installs nothing.

SHELL  := /bin/bash
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
NODE   := $(VENV)/.node
PIP    := $(BIN)/python -m pip --disable-pip-version-check
# A worker process that dies ends the session: pytest-xdist would wait for ever for the tests that it held.
PARALLEL = -n 2 --dist loadgroup --max-worker-restart=0
DATA   ?= ../shared/data
ARROWS  = PYTHONPATH=. $(BIN)/lint-imports

.PHONY: help setup demo test test-fast check check-js check-docs learn mutants paper docs clean
.DEFAULT_GOAL := help

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) $(NODE)  ## create the virtual environment from the lock
	@echo "Ready: $$($(BIN)/python --version) in $(VENV); delete that folder to set up another Python."

# One line per package while pip downloads, then one for the installation.
COUNT = awk -v total=$$(grep -c '==' requirements/cpu.lock) \
  '/^Collecting / { n++; printf "\r  %d of %d packages, %-50.50s", n, total, $$2 } /^Installing collected/ { printf "\n  installing ...\n" } { fflush() }'

$(STAMP): requirements/cpu.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v == (3, 11) else f"expected Python 3.11, found {v[0]}.{v[1]}: make PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the locked packages into $(VENV) (about 4 minutes, 4 GB):"
	@set -o pipefail; $(PIP) install --progress-bar off --no-deps --require-hashes -r requirements/cpu.lock | $(COUNT)
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(NODE): package-lock.json $(STAMP)
	@echo "Installing the JavaScript checkers:"
	@PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --no-audit --no-fund --loglevel=error
	@touch $@

demo: $(STAMP)  ## train SmolLM2-135M on science questions, with progress on this terminal
	$(BIN)/innovator train configs/train/demo.yaml

test: setup check  ## run every check and every test
	INNOVATOR_STRICT_SKIPS=1 $(BIN)/python -m pytest -m "not slow" $(PARALLEL)
	INNOVATOR_STRICT_SKIPS=1 $(BIN)/python -m pytest -m slow

test-fast: $(STAMP)  ## run the tests that need neither Ray nor vLLM
	$(BIN)/python -m pytest -m "not slow" $(PARALLEL)

check: $(STAMP) check-js check-docs  ## run linters, type checkers, import contracts and the prose checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(ARROWS)
	$(BIN)/python -m tools.mutants --check

check-js: $(NODE)  ## lint, type-check and test the JavaScript of the dashboard
	@PATH="$(CURDIR)/$(BIN):$$PATH" npm run --silent lint
	@PATH="$(CURDIR)/$(BIN):$$PATH" npm run --silent types
	@PATH="$(CURDIR)/$(BIN):$$PATH" npm run --silent test

check-docs: $(STAMP)  ## check spelling, wording, licenses and the documentation site
	$(BIN)/codespell
	$(BIN)/python -m tools.prose_lint
	$(BIN)/reuse lint --quiet
	$(BIN)/python -m tools.check_docs_commands
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir $(VENV)/site

docs: $(STAMP)  ## serve the documentation site on http://127.0.0.1:8001
	$(BIN)/mkdocs serve --dev-addr 127.0.0.1:8001

paper: $(STAMP)  ## run the whole path on SmolLM2-135M, from text to the tables (hours; goes on where it stopped)
	$(BIN)/innovator paper run configs/paper/small.yaml data=$(DATA) scaling=docs/results

mutants: $(STAMP)  ## run the listed mutants and print how many the tests kill (about 5 minutes on two cores)
	$(BIN)/python -m tools.mutants

learn: $(STAMP)  ## train three seeds and plot the curve (about 25 minutes)
	$(BIN)/python -m benchmarks.learn

clean:  ## remove the environment and the caches, keep runs/
	rm -rf $(VENV) node_modules build *.egg-info .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
