# Two commands matter: `make run` and `make test`. Both create what they need.
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UPSTREAM ?=
ARGS ?=
# Test processes side by side; 0 runs all in one, for a debugger.
SIDE_BY_SIDE ?= 2

.PHONY: wheel test-compiled run test check shows schemathesis bench parity console snapshots format jail clean

# pip compiles what it copies; what lies in a checkout would be compiled by its first start, or by every
# start where PYTHONDONTWRITEBYTECODE is set.
$(STAMP): pyproject.toml .ci/constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed: install it, or say make PYTHON=python3.12" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c .ci/constraints.txt -e '.[dev]'
	$(BIN)/python -m compileall -q proxy console
	touch $(STAMP)

# Patched code only ever runs inside bubblewrap. Installed where that is possible, named where it is not.
jail:
	@command -v bwrap >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    (apt-get install -y -qq bubblewrap || { apt-get update -qq && apt-get install -y -qq bubblewrap; }) >/dev/null 2>&1; \
	  fi; \
	  command -v bwrap >/dev/null || echo "bubblewrap is missing, so no patch can be tried: sudo apt-get install bubblewrap" >&2; }

## the sidecar in front of UPSTREAM=http://…, or the demo
run: $(STAMP) jail
ifeq ($(UPSTREAM),)
	$(BIN)/selfheal demo $(ARGS)
else
	@echo "The console: open a second terminal here and type  make console" >&2
	$(BIN)/selfheal up --upstream $(UPSTREAM) $(ARGS)
endif

console: $(STAMP)
	$(BIN)/selfheal console $(ARGS)

## every test, under 10 minutes; long campaigns sampled by seed
test: $(STAMP) jail
	$(BIN)/python -m pytest -q -n $(SIDE_BY_SIDE) --dist worksteal $(ARGS)

## format, lint, import contracts, types
check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Built in a copy of what git knows: the hook leaves its .so files beside the sources it compiles.
## the wheel with the hot path compiled, into dist/; needs a C compiler
wheel: $(STAMP)
	rm -rf build/wheel && mkdir -p build/wheel dist
	git ls-files -z | tar --create --null --files-from=- --ignore-failed-read | tar --extract --directory=build/wheel
	HATCH_BUILD_HOOKS_ENABLE=1 $(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist build/wheel
	rm -rf build/wheel

# The wheel's package beside a copy of the tests, so that what they import is what was compiled.
## the tests of the data plane, its parity and the record path against the compiled wheel
test-compiled: wheel
	rm -rf build/compiled && mkdir -p build/compiled
	cp -R pyproject.toml tests config sql docs build/compiled/
	$(BIN)/python -m zipfile -e "$$(ls -t dist/selfheal_sidecar-*-cp*.whl | head -1)" build/compiled
	cd build/compiled && SELFHEAL_EXPECT_BUILD=compiled ../../$(BIN)/python -P -m pytest -q -n $(SIDE_BY_SIDE) --dist worksteal \
	  -p no:cacheprovider tests/proxy/dataplane tests/proxy/observability tests/parity $(ARGS)

## the long campaigns whole
shows: $(STAMP) jail
	SELFHEAL_CAMPAIGN=full $(BIN)/python -m pytest -q --timeout 1800 $(ARGS)
	$(MAKE) parity
	$(MAKE) test-compiled
	$(MAKE) schemathesis

## every documented operation asked by a program that knows nothing but /openapi.json
schemathesis: $(STAMP)
	test -x $(VENV)-schemathesis/bin/schemathesis || { $(PYTHON) -m venv $(VENV)-schemathesis && \
	  $(VENV)-schemathesis/bin/pip install --quiet --disable-pip-version-check 'schemathesis>=4,<5'; }
	$(BIN)/python -m tests.support.schemathesis $(VENV)-schemathesis/bin/schemathesis

## CPU, latency, memory and stalls beside every peer installed; ARGS="--quick --only get200"
bench: $(STAMP)
	$(BIN)/python -m tests.bench $(ARGS)

## the data port's answers to about 1,000 raw cases beside those of nginx and HAProxy; ARGS="--only faults --cases"
parity: $(STAMP)
	$(BIN)/python -m tests.parity $(ARGS)

## draw the console's snapshots anew, after looking at them
snapshots: $(STAMP)
	SELFHEAL_SNAPSHOTS=update $(BIN)/python -m pytest -q tests/console/test_snapshots.py

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
