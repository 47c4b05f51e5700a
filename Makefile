# `make demo` and `make test` set everything up by themselves; all they need is Python 3.11 or newer, git and make.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help demo test check bench drill chaos mutants fuzz docs lock clean

help: ## this list
	@sed -nE 's/^([a-z]+):[^#]*## (.*)/make \1|\2/p' Makefile | while IFS='|' read -r name what; do printf '%-12s %s\n' "$$name" "$$what"; done

demo: $(READY) ## the main job, offline: fetch two symbols, fetch them again, look at the sources
	@MDAGENT_HOME="$$(mktemp -d)"; export MDAGENT_HOME; trap 'rm -rf "$$MDAGENT_HOME"' EXIT; \
	fetch='--sandbox fetch AAPL MSFT --start 2024-01-02 --end 2024-01-10 --format table'; \
	echo 'These prices are SYNTHETIC: the sandbox makes them up. No network is used and no key is needed.'; \
	printf '\n$$ mdagent %s\n' "$$fetch"; $(BIN)/mdagent $$fetch 2>&1; \
	printf '\nThe same again, without the table: the store has every bar, so 0 requests are sent.\n'; \
	printf '\n$$ mdagent %s > /dev/null\n' "$$fetch"; $(BIN)/mdagent $$fetch 2>&1 > /dev/null; \
	printf '\nWhat the source has been asked so far, by the ledger that all processes share:\n'; \
	printf '\n$$ mdagent --sandbox sources status --format table\n'; $(BIN)/mdagent --sandbox sources status --format table; \
	printf '\nAll of these prices were SYNTHETIC. Real ones, from Yahoo: $(BIN)/mdagent fetch AAPL\n'

test: $(READY) ## the tests, with branch coverage and its floor
	$(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term:skip-covered

check: $(READY) ## lint, format, types and the arrows between modules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: $(READY) ## measure; the figures in the README come from here
	$(BIN)/python benchmarks/run.py

drill: $(READY) ## the slow tests: real processes under load, kills, whole scenarios (ONLY=D4: those of one drill, see docs/drills.md)
	$(BIN)/python -m pytest -m "$(if $(ONLY),drill(number='$(ONLY)'),drill)"

chaos: $(READY) ## the standard suite of experiments; its table goes into docs/chaos.md, and in short into the README
	$(BIN)/python benchmarks/chaos.py --write docs/chaos.md --brief README.md

mutants: $(READY) ## each safeguard switched off in turn, and the experiment that notices
	$(BIN)/python -m tests.chaos.mutants

fuzz: $(READY) ## a million spoilt or random answers for every parser of every source (hours on two cores; BODIES=10000 for minutes)
	$(BIN)/python -m tests.sources.fuzz --bodies $(or $(BODIES),1000000)

docs: $(READY) ## remake config.example.yaml and the table of defects, then check every example in the README
	@if $(BIN)/mdagent config init --stdout > config.example.yaml.new; then mv config.example.yaml.new config.example.yaml; \
	else rm -f config.example.yaml.new; echo 'config.example.yaml was left as it is' >&2; fi
	$(BIN)/python benchmarks/defects.py --write docs/grading.md
	$(BIN)/python -m pytest -q tests/docs

lock: ## remake requirements.lock (asks the package registry)
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	@command -v uv >/dev/null || [ -x $(BIN)/uv ] || $(BIN)/python -m pip install --quiet uv
	PATH="$$PATH:$(CURDIR)/$(BIN)" uv pip compile pyproject.toml --quiet --all-extras --universal --generate-hashes --no-emit-index-url --no-header \
		--index-url https://pypi.org/simple -o requirements.lock

clean: ## remove .venv, caches and what was built
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .benchmarks .coverage .coverage.* build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "mdagent needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1 || true). Try: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)
