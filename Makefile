# `make reproduce` runs the main job, `make test` the tests, `make docs` builds the site in build/docs;
# each sets up its own .venv first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: reproduce test lint docs dist release clean

reproduce: .venv/runtime
	$(BIN)/sequela reproduce

test: .venv/development
	$(BIN)/pytest -n 2

lint: .venv/development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Pages that were read before are read again (-E): their warnings are errors too.
docs: .venv/documentation
	$(BIN)/sphinx-build -q -E --fail-on-warning -c docs -d build/doctrees -b html . build/docs

# Wheel and sdist, the same bytes each time, and what the environment of a run holds (CycloneDX).
dist: .venv/runtime
	rm -rf dist build/dist
	$(PYTHON) -m venv build/dist
	build/dist/bin/python -m pip install --quiet build cyclonedx-bom
	build/dist/bin/python -m build --outdir dist .
	build/dist/bin/cyclonedx-py environment --of JSON --output-file dist/sbom.json $(BIN)/python

# Each file of the release, installed in an environment of its own, runs the quick study.
release: dist
	build/dist/bin/python scripts/check_release.py dist

# The environment is made once, and again when pyproject.toml changes.
.venv/runtime: pyproject.toml
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable '.[train]'
	touch $@

.venv/development: .venv/runtime
	$(BIN)/python -m pip install --quiet --group dev
	touch $@

.venv/documentation: .venv/runtime
	$(BIN)/python -m pip install --quiet --group docs
	touch $@

clean:
	rm -rf .venv build dist docs/reference
