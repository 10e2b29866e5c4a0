# make run            the gateway with two built-in demo engines; REPLICA=http://127.0.0.1:8000 for a real one
# make test           everything that can be tested without real engines
# make soak           the simulation, for as many seeds as wanted: SEEDS=20000
# make fuzz           every parser of wire/, by atheris where there is one: MINUTES=130
# make test-engines   real vLLM and llama.cpp on the CPU, with real clients
# make compiled       what every byte passes through, compiled as it is when it is installed (setup.py says what)
.PHONY: run test unit simulation soak mutants fuzz e2e lint types bench test-engines compiled clean

PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11 python3.14,$(if $(shell $(p) -c 'import sys; assert (3,11) <= sys.version_info < (3,15)' 2>/dev/null && echo y),$(p))))
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
COMPILED := $(VENV)/compiled
# What runs the compiled rooms: they come before the sources, which an editable install puts last.
FAST := PYTHONPATH=$(abspath $(COMPILED))

LISTEN ?= tcp:8080
ARGS ?=
SEEDS ?= 20000
MINUTES ?= 130

$(READY): setup.cfg pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python 3.11 to 3.14 found: install one, or say PYTHON=/path/to/python" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip 'setuptools>=77'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -e '.[test,dev]'
	touch $@

compiled: $(COMPILED)/.ready

$(COMPILED)/.ready: $(READY) setup.py $(shell find aibrix_twisted twisted -name '*.py')
	@echo "compiling what every byte passes through (a minute or two; only after changes)"
	rm -rf $(COMPILED) build
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --target $(COMPILED) .
	rm -rf build
	touch $@

run: $(COMPILED)/.ready
	@sh tools/what-to-try "$(LISTEN)"
	$(FAST) exec $(BIN)/twistd -n --pidfile= aibrix-gateway --listen $(LISTEN) \
	  $(if $(CONFIG),--config $(CONFIG)) $(if $(REPLICA),$(foreach r,$(REPLICA),--replica $(r)),$(if $(CONFIG),,--demo)) $(ARGS)

test: lint types unit simulation e2e
	@echo "make test: all passed"

unit: $(READY)
	$(BIN)/python -m coverage run -m pytest -q tests/house tests/wire tests/domain tests/policy tests/replay tests/service tests/demo tests/ctl tests/benchmarks tests/fuzz $(wildcard tests/test_*.py)
	$(BIN)/python -m coverage report --fail-under 85
	$(BIN)/trial --temp-directory _trial_temp tests.wire tests.domain tests.policy tests.replay tests.service tests.demo tests.ctl $(patsubst tests/%.py,tests.%,$(wildcard tests/test_*.py))

simulation: $(READY)
	$(BIN)/python -m pytest -q tests/simulation

soak: $(READY)
	$(BIN)/python -m tests.simulation 0-$(shell expr $(SEEDS) - 1)

mutants: $(READY)
	$(BIN)/python -m tests.simulation.mutants $(ARGS)

fuzz: $(READY)
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check 'atheris>=3.0'
	$(BIN)/python -m tests.fuzz $(MINUTES) $(TARGETS)

e2e: $(COMPILED)/.ready
	$(FAST) $(BIN)/pytest -q -o addopts="--strict-markers --reactor=default --import-mode=append" tests/e2e
	$(BIN)/python -m pytest -q tests/packaging tests/ops

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

types: $(READY)
	$(BIN)/mypy

bench: $(COMPILED)/.ready
	$(FAST) $(BIN)/python -P -m benchmarks.decisions
	$(FAST) $(BIN)/python -P -m benchmarks $(ARGS)

test-engines: $(COMPILED)/.ready
	$(BIN)/python -m tests.engines.setup_engines
	$(FAST) $(BIN)/pytest -q --import-mode=append tests/engines

clean:
	rm -rf $(VENV) build dist *.egg-info _trial_temp* .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
