# Everything from a fresh clone with Python 3.11 and pip; `make help` lists the commands.
PYTHON ?= python3.11
MODEL  ?= smollm2-135m
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check
FOLDERS := ir kernels codegen autotune_cache engine text server cli bench
# An editable install compiles no bytecode, and where none may be written every start would wait for it.
COMPILE := $(BIN)/python -m compileall -q inferflux $(FOLDERS)

.DEFAULT_GOAL := help
.PHONY: help run test test-neon test-amx oracle lint type format clean links

help:     ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 18

run: $(VENV)/.run        ## install, then pull, compile and serve the default model (MODEL=...)
	@$(BIN)/inferflux serve $(MODEL)

test: lint type          ## what CI runs: lint, types, tests
	@$(BIN)/pytest -m "not oracle and not gpu and not metal"

test-neon: $(VENV)/.dev  ## every kernel for AArch64, cross-compiled, against NumPy in an emulator
	@command -v aarch64-linux-gnu-gcc >/dev/null && command -v qemu-aarch64 >/dev/null || { echo "make test-neon needs a cross compiler and an emulator: apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user" >&2; exit 1; }
	@$(BIN)/pytest --neon tests/kernels

test-amx: $(VENV)/.dev   ## every product by AMX tiles, on a machine without: instructions trap and are played
	@grep -q avx512_bf16 /proc/cpuinfo && command -v cc >/dev/null || { echo "make test-amx needs Linux on a processor with AVX512-BF16, and a C compiler" >&2; exit 1; }
	@mkdir -p build && cc -O3 -mavx512f -mfma -Wall -Wextra -shared -fPIC -o build/amx.so tests/amx/tiles.c
	@LD_PRELOAD=$(CURDIR)/build/amx.so $(BIN)/pytest -p no:faulthandler -k "avx512-amx or e2e" tests/kernels tests/e2e/test_tiles.py

oracle: $(VENV)/.oracle  ## the long comparisons, against transformers in float32
	@$(BIN)/pytest -m oracle

lint: $(VENV)/.dev links ## formatting, style, and that imports go one way
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@cd build/types && ../../$(BIN)/lint-imports --no-logo --config ../../pyproject.toml

type: $(VENV)/.dev links ## mypy, strict
	@$(BIN)/mypy -p inferflux

# An editable install whose folders are mapped into the package is invisible to tools that read files:
# they get the package as a farm of links.
links:
	@mkdir -p build/types/inferflux
	@for file in inferflux/*.py inferflux/py.typed; do ln -sfn ../../../$$file build/types/$$file; done
	@for folder in $(FOLDERS); do ln -sfn ../../../$$folder build/types/inferflux/$$folder; done

format: $(VENV)/.dev     ## rewrite the files as `make lint` wants them
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean:    ## remove the environment and everything built (models stay in the cache)
	rm -rf $(VENV) build

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found; name another: make PYTHON=python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# $(call install,EXTRAS,WHY): one line before, one after with the time it took.
define install
	@echo "installing $(2) ..."
	@start=$$(date +%s); $(PIP) -e '.[$(1)]' && $(COMPILE) && echo "installed in $$(( $$(date +%s) - start )) s"
	@touch $@
endef

$(VENV)/.run: pyproject.toml | $(BIN)/python
	$(call install,cpu,InferFlux and its CPU toolchain)

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(call install,dev,what the tests need)

$(VENV)/.oracle: pyproject.toml | $(BIN)/python
	$(call install,dev$(comma)oracle,transformers and torch for the long comparisons)

comma := ,
