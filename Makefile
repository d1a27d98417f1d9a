# The commands of this repository. `make help` lists them.
# Environments are made on first use, and anew when pyproject.toml changes.

PYTHON ?= python3
BIN := .venv/bin
PIP := -m pip install --quiet --disable-pip-version-check
JOBS ?= 2
TESTS ?=
PROGRAMS ?= 20000
SEED ?= 1
PEERS ?= jax,torch,cpp,numpy

.DEFAULT_GOAL := help
.PHONY: help tour test oracle fuzz lint types docs docs-examples bench clean
.SILENT:

help:  ## list these commands
	sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | \
		while IFS='|' read -r name says; do printf 'make %-14s %s\n' "$$name" "$$says"; done

tour: .venv/.show  ## run the tour; results as text, pictures in out/tour
	mkdir -p out/tour
	$(BIN)/python examples/tour.py

test: .venv/.test  ## run all tests; those against PyTorch skip unless it is installed
	$(BIN)/python -m pytest -n $(JOBS) $(TESTS)

oracle: .venv/.oracle  ## install PyTorch, and run all tests, also those against it
	$(BIN)/python -m pytest -n $(JOBS) $(TESTS)

fuzz: .venv/.test  ## compare the compiler with eager evaluation on many random programs
	$(BIN)/python tests/fuzz.py --programs $(PROGRAMS) --seed $(SEED)

lint: .venv/.dev  ## check the style of the code
	$(BIN)/ruff check .

types: .venv/.dev  ## check the types
	$(BIN)/mypy

docs: .venv/.docs  ## build the site into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --clean

docs-examples: .venv/.test  ## run the examples of docstrings and documents
	$(BIN)/python -m pytest tests/test_documents.py

bench: .venv-bench/.ready  ## compare with the PEERS (compile takes long), write the pages in docs
	.venv-bench/bin/python bench/run.py --peers $(PEERS) --markdown docs/benchmarks.md
	.venv-bench/bin/python bench/operations.py --markdown docs/operations.md

clean:  ## remove environments, caches and what was built
	rm -rf .venv .venv-bench site out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- environments -----------------------------------------------------------------------------

.venv/.base: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python $(PIP) -e .
	$(BIN)/python -m compileall -q src/wengert  # so that the first import is no slower
	touch $@

.venv/.show: .venv/.base
	$(BIN)/python $(PIP) -e '.[show]'
	touch $@

.venv/.test: .venv/.base
	$(BIN)/python $(PIP) -e '.[test,show]'
	touch $@

.venv/.dev: .venv/.base
	$(BIN)/python $(PIP) -e '.[dev,test,show]'
	touch $@

.venv/.docs: .venv/.base
	$(BIN)/python $(PIP) -e '.[docs,show]'
	touch $@

.venv/.oracle: .venv/.test
	$(BIN)/python $(PIP) torch==2.13.0 expecttest
	touch $@

.venv-bench/.ready: pyproject.toml bench/requirements.txt
	$(PYTHON) -m venv --clear .venv-bench
	.venv-bench/bin/python $(PIP) -r bench/requirements.txt -e .
	touch $@
