# What a newcomer types.  Every target may be repeated; what can be kept is kept in .venv and in the lab's cache.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
AUDIT := .venv-audit
MUTANTS := .venv-mutants
.DEFAULT_GOAL := help
.PHONY: help machine venv bundle demo demo-trove demo-bridge demo-down bare test lint types unit functional long test-long bench bench-trove mutants bandit audit docs samples constraints clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | sort | expand -t 16

machine:  # says in one line each what the machine lacks, before anything is changed
	@$(PYTHON) -B -m lab.preflight

venv: $(VENV)/.complete  ## .venv with the product and its console scripts

$(VENV)/.complete: requirements.txt test-requirements.txt constraints.txt setup.cfg client/requirements.txt client/setup.cfg tools/make-venv
	@tools/make-venv $(PYTHON) $(VENV)

bundle: machine venv  ## dist/ with the bundle for guests that are older than this product, some minutes the first time (BUNDLE_ARGS="--key FILE" signs it)
	@nice -n 19 $(BIN)/python -m tools.bundle $(BUNDLE_ARGS)

demo: machine venv  ## a one-machine cloud, one real guest, one real upgrade, and its proof (KEEP=1 leaves the cloud up)
	@$(BIN)/trove-upgrade-lab demo $(if $(KEEP),--keep) $(DEMO_ARGS)

demo-trove: machine venv  ## the same beside real Trove: its own create, its own guests, its own client's upgrade
	@$(BIN)/trove-upgrade-lab demo --trove $(if $(KEEP),--keep) $(DEMO_ARGS)

demo-bridge: bundle  ## three guests from before the upgrade feature in two tenants' closed networks, upgraded by one run of the bridge
	@$(BIN)/trove-upgrade-lab demo --bridge $(if $(KEEP),--keep) $(DEMO_ARGS)

demo-down: venv  ## end a demo that was kept
	@$(BIN)/trove-upgrade-lab down

bare:  ## "make demo", then "make test", cold, on a minimal Debian 12 made for it (TARGETS="..." for others, KEEP=1 leaves its files)
	@$(PYTHON) -B -m lab.bare $(if $(KEEP),--keep) $(TARGETS)

test: machine venv  ## lint, types, unit and functional tests; the last line is the count
	@$(BIN)/python tools/run_tests.py $(if $(VERBOSE),--verbose)

lint: venv  ## only the linter, and whether the formatter would change anything
	@$(BIN)/python tools/run_tests.py $(if $(VERBOSE),--verbose) lint format

types: venv  ## only the type checker
	@$(BIN)/python tools/run_tests.py $(if $(VERBOSE),--verbose) types

unit: venv  ## only the unit tests
	@$(BIN)/python tools/run_tests.py $(if $(VERBOSE),--verbose) unit

functional: machine venv  ## only the functional tests, on a real one-machine cloud
	@$(BIN)/python tools/run_tests.py $(if $(VERBOSE),--verbose) functional

test-long: long

long: bundle  ## the longer functional tests, then those of the bridge on an old cloud: before a release
	@$(BIN)/python tools/run_tests.py $(if $(VERBOSE),--verbose) long old-cloud

bench: machine venv  ## the benchmarks; figures are written to benchmarks/results
	@$(BIN)/python -m benchmarks

bench-trove: machine venv  ## the benchmarks beside real Trove: stock Trove's work against ours
	@$(BIN)/python -m benchmarks trove

mutants: venv $(MUTANTS)/.complete  ## small changes of core modules that the unit tests must notice, 25 minutes at most (MUTANTS_ARGS="--seed 2 db/tasks.py")
	@$(MUTANTS)/bin/python -m tools.mutants --python $(BIN)/python $(MUTANTS_ARGS)

$(MUTANTS)/.complete: constraints/mutants.txt
	@$(PYTHON) -m venv --clear $(MUTANTS)
	@$(MUTANTS)/bin/pip install -q --disable-pip-version-check --no-deps -r constraints/mutants.txt
	@touch $@

bandit: $(AUDIT)/.complete  ## only the search for insecure code; it takes longer than the linter
	@$(AUDIT)/bin/bandit -q -c pyproject.toml -r trove_upgrade lab client 2> >(grep -v 'nosec encountered' >&2)

audit: $(AUDIT)/.complete  ## the pinned libraries against known holes; asks the index of Python packages, or with AUDIT_ARGS="-s osv" the OSV database
	@$(AUDIT)/bin/pip-audit --strict --progress-spinner off --no-deps --disable-pip -r constraints.txt $(AUDIT_ARGS)

$(AUDIT)/.complete: constraints/audit.txt
	@$(PYTHON) -m venv --clear $(AUDIT)
	@$(AUDIT)/bin/pip install -q --disable-pip-version-check --no-deps -r constraints/audit.txt
	@touch $@

docs: venv  ## the documentation, warnings are errors
	@$(BIN)/python tools/run_tests.py $(if $(VERBOSE),--verbose) docs

samples: venv  ## etc/trove-upgrade's generated samples anew
	@$(BIN)/python -W ignore $(BIN)/oslo-config-generator --config-file etc/trove-upgrade/config-generator.conf
	@$(BIN)/oslopolicy-sample-generator --config-file etc/trove-upgrade/policy-generator.conf

constraints: venv  ## pin anew what the requirements ask for, for Debian 12's Python
	@{ echo '# What was tested together: pip install -c constraints.txt. Made by "make constraints".'; \
	   $(BIN)/uv pip compile -q requirements.txt client/requirements.txt test-requirements.txt --python-version 3.11.2 --universal --no-header --no-annotate; } > constraints.new
	@mv constraints.new constraints.txt

clean:  ## end what runs, remove .venv and every cache
	@if [ -x $(BIN)/trove-upgrade-lab ]; then $(BIN)/trove-upgrade-lab down; $(BIN)/trove-upgrade-lab clean; fi
	@rm -rf $(VENV) $(AUDIT) $(MUTANTS) .stestr .mypy_cache .ruff_cache .hypothesis doc/build *.egg-info client/*.egg-info client/build
