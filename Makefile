# Every target makes .venv itself when it is missing, half made, or older than the lock. Nothing else is needed:
# PostgreSQL, Redis and Java come with it.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo test night races check bench chaos up down lock
.DELETE_ON_ERROR:

READY := .venv/.complete
PYTHON := .venv/bin/python

# An account whose home cannot be written to gets one here: caches and histories of half a dozen tools go there.
ifneq ($(shell test -w "$$HOME" && echo writable),writable)
export HOME := $(CURDIR)/.data/home
$(shell mkdir -p .data/home)
endif

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' Makefile

demo: $(READY)  ## the whole story on a year of real purchases: stack, load, train, publish, ask (KEEP=1 leaves it up)
	@$(PYTHON) -m shelfwise demo

# Two processes share the cores: threads of their own would fight for them, and JVMs that live for seconds gain nothing
# from having their code optimised. Without that a JVM reserves 48 MB for compiled code instead of 240, which the one that
# runs all Spark tests fills.
test night: export OMP_NUM_THREADS := 1
test night: export JAVA_TOOL_OPTIONS := -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseSerialGC
test: $(READY)  ## the tests, with real PostgreSQL, Redis and Spark
	@$(PYTHON) -m pytest -n 2 --dist loadfile --no-loadscope-reorder

night: $(READY)  ## those that take long: a night over a made-up shop and one of a real Airflow, a minute of chaos, PostgreSQL gone
	@$(PYTHON) -m pytest -m night

check: $(READY)  ## style, types and import rules
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy
	@$(PYTHON) -c "from importlinter.cli import lint_imports_command; lint_imports_command()"

bench: $(READY)  ## the three benchmarks; each ends with one line of JSON
	@$(PYTHON) -m benchmarks ingest
	@$(PYTHON) -m benchmarks recommend
	@$(PYTHON) -m benchmarks serve

races: export RACE_REPEATS := 20
races: $(READY)  ## the crowds that buy the last units, twenty times each
	@$(PYTHON) -m pytest tests/commerce_core/races

chaos: $(READY)  ## ten minutes of 100 requests/s while Redis, publisher and workers fail; ends with one line of JSON
	@$(PYTHON) -m benchmarks chaos --seconds 600 --rate 100

up: $(READY)  ## start the local stack and return
	@$(PYTHON) -m shelfwise up --detach

down: $(READY)  ## end it; data stay in .data
	@$(PYTHON) -m shelfwise down

lock: $(READY)  ## resolve requirements.in into requirements.lock
	@$(PYTHON) -P shelfwise/install.py lock

# The stamp comes last. Without it whatever lies in .venv is the rest of a broken attempt.
$(READY): requirements.lock
	@if [ ! -f $@ ] || ! $(PYTHON) -c 'import pip, uv' 2>/dev/null; then rm -rf .venv; fi
	@if [ ! -d .venv ]; then \
		for python in python3.11 python3.12 python3.13 python3.14 python3 python; do \
			if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
				echo "making .venv with $$($$python --version)"; \
				$$python -m venv .venv && $(PYTHON) -m pip install --quiet 'uv<1' && break; \
				rm -rf .venv; exit 1; \
			fi; \
		done; \
	fi
	@if [ ! -d .venv ]; then \
		echo "shelfwise needs Python 3.11 or newer with its venv module (on Debian: python3-venv); none was found" >&2; \
		exit 1; \
	fi
	@$(PYTHON) -P shelfwise/install.py
	@touch $@
