# `make reproduce` runs the main job, `make test` the tests; each sets up its own .venv first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: reproduce test lint clean

reproduce: .venv/runtime
	$(BIN)/sequela reproduce

test: .venv/development
	$(BIN)/pytest -n 2

lint: .venv/development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The environment is made once, and again when pyproject.toml changes.
.venv/runtime: pyproject.toml
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/development: .venv/runtime
	$(BIN)/python -m pip install --quiet --group dev
	touch $@

clean:
	rm -rf .venv build dist
