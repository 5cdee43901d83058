# `make try` shows a first result, `make reproduce` runs the main job, `make test` the tests, `make
# quick` those that take a third of a second at most, `make docs` builds the site in build/docs; each
# sets up its own .venv first.
PYTHON ?= python3
BIN := .venv/bin

# With LOCK=.ci/newest.lock, versions and hashes are those of the file; torch is still the machine's.
LOCK ?=
LOCKED ?= $(BIN)/python -m pip install --quiet --no-compile

# What pytest is given: CI also runs the slow tests, with --level all.
TESTS ?= --level usual
# A test that hangs ends its worker, with the lines where it waits; no new worker, which may wait.
HANGS := --max-worker-restart=0 -o faulthandler_timeout=600 -o faulthandler_exit_on_timeout=true

# Modules are compiled when they are first imported, and kept: most never are imported.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: try reproduce test quick golden benchmarks lint docs dist kit release lock clean

try: .venv/runtime
	$(BIN)/sequela try

reproduce: .venv/runtime
	$(BIN)/sequela reproduce

# The packages of slow tests, unless these are left out.
test: $(if $(filter quick usual,$(TESTS)),.venv/tests,.venv/development)
	$(BIN)/pytest -n 2 --dist worksteal $(HANGS) $(TESTS)

quick: TESTS = --level quick
quick: test

# The same work with commit BASE and with these files, compared: what differs has a reason, or fails.
BASE ?= HEAD
golden: .venv/development
	$(BIN)/python -m benchmarks.golden --base $(BASE)

# Half an hour on an idle machine; writes benchmarks/*/summary.json and docs/contributing/speed.md. CI passes
# --quick (small inputs, nothing is written), and the works of benchmarks.field that cost least.
BENCHMARKS ?= --write
WORKS ?=
benchmarks: .venv/development
	$(BIN)/python -m benchmarks.field $(BENCHMARKS) $(if $(WORKS),--only $(WORKS)) $(PYHEALTH:%=--pyhealth %)
	$(BIN)/python -m benchmarks.serving.run $(BENCHMARKS)

lint: .venv/development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Pages that were read before are read again (-E): their warnings are errors too.
docs: .venv/documentation
	$(BIN)/sphinx-build -q -E --fail-on-warning $(SPHINX) -c docs -d build/doctrees -b html . build/docs

# Wheel and sdist, the same bytes each time, and what the environment of a run holds (CycloneDX).
dist: .venv/runtime
	rm -rf dist build/dist
	$(PYTHON) -m venv build/dist
	build/dist/bin/python -m pip install --quiet build cyclonedx-bom twine
	build/dist/bin/python -m build --outdir dist .
	build/dist/bin/cyclonedx-py environment --of JSON --output-file dist/sbom.json $(BIN)/python

# A folder that installs Sequela without internet, for this Python and platform: docs/start.md.
kit: dist docs
	rm -rf kit
	build/dist/bin/python -m scripts.make_kit dist/*.whl build/docs kit $(EXTRAS:%=--extras %)

# What a package index reads of each file is complete and renders; each file, installed in an
# environment of its own, runs the quick study.
release: dist
	build/dist/bin/python -m twine check --strict dist/*.whl dist/*.tar.gz
	build/dist/bin/python scripts/check_release.py dist

# The environment is made once, and again when pyproject.toml changes.
.venv/runtime: pyproject.toml
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(if $(LOCK),$(LOCKED) --require-hashes --no-deps -r $(LOCK))
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[train]'
	touch $@

.venv/tests: .venv/runtime
	$(BIN)/python -m pip install --quiet --no-compile --group test
	touch $@

.venv/development: .venv/tests
	$(BIN)/python -m pip install --quiet --no-compile --group dev
	touch $@

# The reference describes what the optional dependencies bring too.
.venv/documentation: .venv/development
	$(BIN)/python -m pip install --quiet --no-compile --group docs
	touch $@

# What CI installs: the newest and the oldest versions that are allowed, and other readers of MEDS.
COMPILE := build/lock/bin/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-annotate \
  --custom-compile-command "make lock" --no-emit-package torch --no-emit-package torchvision
lock:
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet uv
	$(COMPILE) --upgrade --universal --extra train --group dev --group docs -o .ci/newest.lock pyproject.toml
	$(COMPILE) --upgrade --resolution lowest-direct --extra train --group dev -o .ci/oldest.lock pyproject.toml
	$(COMPILE) --upgrade -o .ci/readers.lock .ci/readers.in

clean:
	rm -rf .venv build dist kit docs/reference
