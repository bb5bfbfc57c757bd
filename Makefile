# make build   a virtual environment in .venv and the compiled core in flambeau/
# make test    lint and tests      make lint   ruff and mypy       make types   mypy alone
# make demo    train the example model      make wheel   a wheel in dist/      make clean
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TESTS ?= tests
.DEFAULT_GOAL := build
.PHONY: build check core demo test lint types wheel clean

# What must be on the machine; all that is missing is named at once.
check:
	@missing=""; \
	if ! command -v $(PYTHON) >/dev/null 2>&1; then missing="$$missing\n  python3 (3.10 or newer): sudo apt install python3"; \
	else \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || missing="$$missing\n  Python 3.10 or newer: $(PYTHON) is $$($(PYTHON) -V 2>&1); set PYTHON=/path/to/python3"; \
	  $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || missing="$$missing\n  the venv module: sudo apt install python3-venv"; \
	  $(PYTHON) -c 'import os, sysconfig as s, sys; sys.exit(not os.path.exists(os.path.join(s.get_paths()["include"], "Python.h")))' || missing="$$missing\n  Python's headers: sudo apt install python3-dev"; \
	fi; \
	command -v $${CXX:-g++} >/dev/null 2>&1 || missing="$$missing\n  g++ (11 or newer, or CXX=clang++): sudo apt install g++"; \
	if [ -n "$$missing" ]; then printf 'flambeau cannot be built yet; missing:%b\n' "$$missing" >&2; exit 1; fi

# The environment is remade when the requirements change; only what changed is downloaded.
$(VENV)/.ready: pyproject.toml | check
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing requirements into $(VENV)"
	@$(BIN)/python -c "$$REQUIREMENTS" > $(VENV)/requirements.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check -r $(VENV)/requirements.txt
	@$(BIN)/python -c 'import os, sysconfig; open(os.path.join(sysconfig.get_path("purelib"), "flambeau.pth"), "w").write(os.getcwd() + "\n")'
	@touch $@

define REQUIREMENTS
try: import tomllib
except ImportError: from pip._vendor import tomli as tomllib
with open("pyproject.toml", "rb") as file: project = tomllib.load(file)
extras = project["project"]["optional-dependencies"]
wanted = project["build-system"]["requires"] + project["project"]["dependencies"] + extras["tabular"] + extras["dev"]
print("\n".join(["cmake>=3.18", "ninja"] + [name for name in wanted if not name.startswith("flambeau")]))
endef
export REQUIREMENTS

core: $(VENV)/.ready
	@$(BIN)/cmake -S . -B build -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN)/ninja) \
	  -DPython_EXECUTABLE=$(abspath $(BIN)/python) > build.log 2>&1 \
	  && $(BIN)/cmake --build build >> build.log 2>&1 \
	  && { grep -A 6 'warning:' build.log || true; rm -f build.log; } \
	  || { cat build.log; rm -f build.log; echo 'the core did not build' >&2; exit 1; }

build: core

demo: build
	@$(BIN)/python -m flambeau demo

test: build lint
	@$(BIN)/python -m pytest $(TESTS)

lint: $(VENV)/.ready
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --check --quiet . && $(BIN)/mypy --no-error-summary && echo "lint: clean"

types: $(VENV)/.ready
	@$(BIN)/mypy

wheel: $(VENV)/.ready
	@$(BIN)/python -m pip wheel -q --no-deps -w dist .

clean:
	rm -rf build dist .venv .pytest_cache .ruff_cache .mypy_cache .hypothesis build.log flambeau/_core*.so
	find flambeau tests -name __pycache__ -type d -prune -exec rm -rf {} +
