# One command each: make demo, make test, make test-fast, make lint, make docs. The environment is made on first use, in .venv.
PYTHON ?= python3
PIP_FLAGS ?=
VENV := .venv
BIN := $(VENV)/bin
# The tests run in two processes, with a thread each for what computes: twice as many would need twice the memory.
JOBS ?= 2
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest
IN_JOBS := --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) --constraint constraints.txt

.PHONY: demo test test-fast campaign lint docs train bench bench-gpu screenshots clean

demo: $(VENV)/demo.stamp
	rm -rf demo-output
	$(BIN)/nativedl demo --output demo-output

test: $(VENV)/test.stamp
	$(PYTEST) $(IN_JOBS) --cov --cov-report=term $(ARGS)

# The daily round, in two minutes: the tests that start no server, no other process and no Slicer, and train nothing.
test-fast: $(VENV)/test.stamp
	$(PYTEST) $(IN_JOBS) -m "not campaign and not slow" $(ARGS)

campaign: $(VENV)/test.stamp
	$(BIN)/python -m pytest -m campaign $(ARGS)

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The manual, in out/docs.
docs: $(VENV)/docs.stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# Side by side, each on one core, and then one after the other into the registry.
train: $(VENV)/test.stamp
	@export NATIVEDL_TEST_DATA=$${NATIVEDL_TEST_DATA:-$(CURDIR)/../shared/data}; \
	train() { model=$$1; shift; $(BIN)/nativedl train --config Resources/training/$$model.json \
	  --output out/training/$$model "$$@" $(ARGS); }; \
	train liver-ct-demo --overwrite & \
	train vertebra-ct-demo --overwrite || { kill $$!; exit 1; }; \
	wait $$! || exit 1; \
	for model in liver-ct-demo vertebra-ct-demo; do train $$model --resume --publish Resources/registry.json || exit 1; done

bench: $(VENV)/bench.stamp
	PYTHONPATH=Testing $(BIN)/python -m benchmarks $(ARGS)

bench-gpu: $(VENV)/bench.stamp
	@PYTHONPATH=Testing $(BIN)/python -m benchmarks --only gpu --output out/bench/results-gpu.json $(ARGS)

screenshots: $(VENV)/test.stamp
	NATIVEDL_SCREENSHOTS=Resources/Screenshots $(BIN)/python -m pytest Testing/slicer -k "test_journey or test_faults or test_regions or test_picture"

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "no venv module: on Debian, apt-get install python3-venv" >&2; exit 1; }

$(VENV)/demo.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) --editable ".[torch,onnx]"
	touch $@

$(VENV)/test.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) --editable ".[test,dev]"
	touch $@ $(VENV)/demo.stamp

$(VENV)/docs.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) --editable ".[docs]"
	touch $@

$(VENV)/bench.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) --editable ".[bench]"
	touch $@ $(VENV)/demo.stamp

clean:
	rm -rf $(VENV) demo-output out
