# `make digits` and `make test` need nothing beside Python 3.10 to 3.13 with venv, and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
DATA ?= ../shared/data

.PHONY: digits test test-tfx lint benchmark recorded constraints clean

digits: .venv/installed
	$(BIN)/tfmem run configs/digits.yaml --out runs/digits

test: .venv/installed lint
	$(BIN)/pytest

# The main chain under TFX and under Kubeflow's local runner. Their packages go into an environment of
# their own; below Debian 13 and Ubuntu 24.04 it must be Python 3.10 or 3.11.
test-tfx: .venv-tfx/installed
	.venv-tfx/bin/pytest -m orchestrators tests/test_tfx.py tests/test_kubeflow.py

lint: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Ratios against what one would use instead, and the tests that take too long for `make test`.
benchmark: .venv/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,benchmark]'
	$(BIN)/pytest -m slow
	$(BIN)/python -m benchmarks.kernel
	$(BIN)/python -m benchmarks.training --data $(DATA)
	$(BIN)/python -m benchmarks.mnist $(DATA)/mnist
	$(BIN)/python -m benchmarks.input
	$(BIN)/python -m benchmarks.farm $(DATA)
	$(BIN)/python -m benchmarks.digits

# Two runs on real data, and the table of what they find (two hours; resumable).
recorded: .venv/installed
	$(BIN)/python -m benchmarks.recorded $(DATA)

# Versions for every supported Python, resolved anew.
constraints: .venv/installed
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --extra dev --extra benchmark \
	  --no-annotate --no-header --upgrade pyproject.toml --output-file constraints.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --extra dev --extra kfp --extra tfx \
	  --overrides overrides-tfx.txt --no-annotate --no-header --upgrade pyproject.toml \
	  --output-file requirements-tfx.txt

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# Complete and without the resolver: packages ask for less than works (overrides-tfx.txt).
.venv-tfx/installed: pyproject.toml requirements-tfx.txt
	$(PYTHON) -m venv .venv-tfx
	.venv-tfx/bin/pip install --quiet --no-deps --requirement requirements-tfx.txt
	.venv-tfx/bin/pip install --quiet --no-deps --editable .
	touch $@

clean:
	rm -rf .venv .venv-tfx runs build *.egg-info
