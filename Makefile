# The two main commands are `make night` and `make test`. Both install what they need into .venv/.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
UV_PIN := uv==0.13.9

.DEFAULT_GOAL := help
.PHONY: help night test test-deep check kernels bytecode bench docs pins debian-packages clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(READY): pyproject.toml requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "coldframe needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(UV_PIN)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --requirement requirements/dev.txt
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

night: $(READY)  ## shoot a whole night on the simulated rig into demo-night/, with the dashboard
	$(BIN)/coldframe run --simulate small --folder demo-night
	$(BIN)/coldframe verify demo-night

check: $(READY)  ## check formatting, lint, types and import directions
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

kernels: $(READY)
	$(BIN)/python -m tests.kernels

bytecode: $(READY)
	@$(BIN)/pytest --collect-only --quiet > /dev/null

# The checks use one core. Beside them, kernels and tests are compiled, which each process would otherwise do by itself.
# Many tests wait for real servers, so pytest uses more processes than cores. The tests of a file run in one process;
# tests/conftest.py determines the order of the files.
test: export PYTHONDONTWRITEBYTECODE =
test: $(READY) debian-packages  ## run all checks and the standard tests
	@$(MAKE) --no-print-directory --jobs=2 check kernels bytecode
	$(BIN)/pytest -m "not deep" -n 4 --dist loadfile --no-loadscope-reorder

test-deep: $(READY) debian-packages  ## run all tests, including the long suites
	$(BIN)/pytest

bench: $(READY) debian-packages  ## run the benchmarks
	$(BIN)/python -m benchmarks

# Sphinx imports coldframe for the API reference. It has an environment of its own, so that tests run without it.
DOCS_VENV := .venv-docs
DOCS_READY := $(DOCS_VENV)/.ready

$(DOCS_READY): pyproject.toml requirements/docs.txt $(READY)
	$(PYTHON) -m venv $(DOCS_VENV)
	$(BIN)/uv pip install --quiet --python $(DOCS_VENV)/bin/python --requirement requirements/docs.txt
	$(BIN)/uv pip install --quiet --python $(DOCS_VENV)/bin/python --no-deps --no-build-isolation --editable .
	@touch $@

docs: $(DOCS_READY)  ## build the documentation site into build/docs; a broken link ends the build
	@rm -rf build/docs
	$(DOCS_VENV)/bin/sphinx-build --quiet --fail-on-warning -b html docs build/docs
	@echo "open build/docs/index.html"

debian-packages:
	@tests/install-debian-packages

# The pins omit these packages, because pyindi-client requires but never imports them (see pyproject.toml). apprise needs some.
UNUSED := bottle dbus-python
UNUSED_IN_RUNS := $(UNUSED) requests certifi charset-normalizer idna urllib3
COMPILE = $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-annotate --no-header pyproject.toml --group indi

pins: $(READY)  ## compile requirements/*.txt from pyproject.toml again
	$(COMPILE) $(UNUSED_IN_RUNS:%=--no-emit-package %) --output-file requirements/run.txt
	$(COMPILE) $(UNUSED:%=--no-emit-package %) --group dev --extra dask --extra notify --extra raw --extra web --extra xisf --output-file requirements/dev.txt
	$(COMPILE) $(UNUSED:%=--no-emit-package %) --group docs --output-file requirements/docs.txt

clean:  ## delete the environment and build files, but keep frames
	rm -rf $(VENV) $(DOCS_VENV) build dist *.egg-info
