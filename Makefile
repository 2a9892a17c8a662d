# Two commands do all set-up: `make demo` and `make test`. They need Python 3.11 or newer and make, and no root.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests run on this many processors at once.
JOBS ?= 2

.PHONY: demo check test test-full drill bench format clean

# One environment in three sizes. A size is current when its mark is newer than what it is made from; half an
# installation leaves no mark.
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "media-gateway needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[dev]'
	@touch $(VENV)/.installed $@

$(VENV)/.installed-full: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[dev,full]'
	@touch $(VENV)/.installed $(VENV)/.installed-dev $@

$(VENV)/.installed-bench: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[bench]'
	@touch $(VENV)/.installed $@

# The main job: the embedded PostgreSQL, the sample catalogue, searches.
demo: $(VENV)/.installed
	$(BIN)/media-gateway demo

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports

# Python and make only, on a real PostgreSQL that the tests start themselves. Files run as they are collected, the small
# ones of tests/unit last, so that no long one is left over for one processor alone.
test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -m "not full and not drill and not live"

# What needs further packages (data sets that a package ships, a notebook kernel, an OpenAI-compatible server, npm), and what
# takes long: three killed transfers, the whole move to PostgreSQL, a small benchmark.
test-full: $(VENV)/.installed-full
	$(BIN)/python -m pytest -m "full and not live"

# Kills at random moments, many times over.
drill: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m drill

# Figures, never a gate: both stores beside their peers. BENCH takes other options, as in make bench BENCH=--quick.
BENCH ?= --json build/benchmarks.json --report build/benchmarks.md
bench: $(VENV)/.installed-bench
	$(BIN)/media-gateway bench $(BENCH)

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache
