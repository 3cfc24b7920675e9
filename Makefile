# Two commands: `make demo` trains a real model on science questions; `make test` proves the rest.
# Both set everything up first; a second call installs nothing.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: setup demo test test-fast check learn clean
.DEFAULT_GOAL := help

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP)  ## the virtual environment, locked

$(STAMP): requirements/cpu.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v == (3, 11) else f"Python 3.11 is needed, {v[0]}.{v[1]} found: make PYTHON=/path/to/python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar off --no-deps -r requirements/cpu.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP)  ## train SmolLM2-135M on science questions, with progress on this terminal
	$(BIN)/innovator train configs/train/demo.yaml

test: $(STAMP) check  ## every test, slow ones too
	$(BIN)/python -m pytest -m "not slow" -n 2
	$(BIN)/python -m pytest -m slow

test-fast: $(STAMP)  ## the tests that need neither Ray nor vLLM
	$(BIN)/python -m pytest -m "not slow" -n 2

check: $(STAMP)  ## lint, types, import arrows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports

learn: $(STAMP)  ## three seeds of a learning run, with the curve (about 25 minutes)
	$(BIN)/python -m benchmarks.learn

clean:  ## remove the environment and the caches, keep runs/
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
