PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
.PHONY: run test oracle lint type format clean

run: $(VENV)/.run       ## install, pull, compile and serve the default model
	$(BIN)/inferflux serve smollm2-135m

test: $(VENV)/.dev lint type   ## what CI runs
	$(BIN)/pytest -m "not oracle and not gpu and not metal"

oracle: $(VENV)/.oracle  ## the long comparisons, against transformers
	$(BIN)/pytest -m oracle

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

type: $(VENV)/.dev       ## mypy cannot see an editable install of this shape: a farm of links
	@mkdir -p build/types/inferflux
	@for p in inferflux/*.py inferflux/py.typed; do ln -sfn ../../../$$p build/types/$$p; done
	@for p in ir kernels codegen engine text server cli bench; do ln -sfn ../../../$$p build/types/inferflux/$$p; done
	$(BIN)/mypy -p inferflux

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet -e '.[cpu]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet -e '.[dev]'
	@touch $@

$(VENV)/.oracle: $(VENV)/.dev
	$(BIN)/pip install --quiet -e '.[dev,oracle]'
	@touch $@

clean:
	rm -rf $(VENV) build
