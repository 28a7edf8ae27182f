# Two commands matter: `make night` and `make test`. Both set up what they need in .venv/.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
UV_PIN := uv==0.13.9

.DEFAULT_GOAL := help
.PHONY: help night test test-deep check bench pins debian-packages clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(READY): pyproject.toml requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "coldframe needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(UV_PIN)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --requirement requirements/dev.txt
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

night: $(READY)  ## a whole calibration night on the simulated rig, with the dashboard; files in demo-night/
	$(BIN)/coldframe run --simulate small --folder demo-night
	$(BIN)/coldframe verify demo-night

check: $(READY)  ## formatting, lint, types, import directions
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Most tests wait, for real servers above all, so more of them than there are cores go on at a time; a file stays in one process.
test: $(READY) debian-packages check  ## everything that must hold at every commit
	$(BIN)/pytest -m "not deep" -n 4 --dist loadfile

test-deep: $(READY) debian-packages  ## the long suites
	$(BIN)/pytest

bench: $(READY) debian-packages  ## measurements, side by side in one run
	$(BIN)/python -m benchmarks

debian-packages:
	@tests/install-debian-packages

# What pyindi-client drags in without importing it (see pyproject.toml) stays out of the pins; apprise does need some of it.
UNUSED := bottle dbus-python
UNUSED_IN_RUNS := $(UNUSED) requests certifi charset-normalizer idna urllib3
COMPILE = $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-annotate --no-header pyproject.toml

pins: $(READY)  ## compile requirements/*.txt anew from pyproject.toml
	$(COMPILE) $(UNUSED_IN_RUNS:%=--no-emit-package %) --output-file requirements/run.txt
	$(COMPILE) $(UNUSED:%=--no-emit-package %) --group dev --extra dask --extra notify --output-file requirements/dev.txt

clean:  ## forget the environment; frames are never touched
	rm -rf $(VENV) build dist *.egg-info
