# `make digits` and `make test` need nothing beside Python 3.10 to 3.13 with venv, and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
DATA ?= ../shared/data

.PHONY: digits test lint benchmark recorded constraints clean

digits: .venv/installed
	$(BIN)/tfmem run configs/digits.yaml --out runs/digits

test: .venv/installed lint
	$(BIN)/pytest

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
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --all-extras \
	  --no-annotate --no-header --upgrade pyproject.toml --output-file constraints.txt

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv runs build *.egg-info
