# One command each; every one works on a fresh clone.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
DEV_STAMP := .venv/.installed-dev
PORT ?= 8501
export HIGHWATER_HOME ?= var
# every process would else compile Highwater's own modules anew, half a second each
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup run test check audit bench quality clean

setup: $(STAMP)

run: $(STAMP)
	@$(BIN)/python -m pipelines.start --port $(PORT)

test: $(DEV_STAMP)
	@bash tests/system.sh
	@echo "highwater: running the tests"
	@$(BIN)/python -m pytest -n 3 --dist loadgroup tests

check: $(DEV_STAMP)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy .
	@$(MAKE) --no-print-directory audit
	@$(MAKE) --no-print-directory test

audit: $(DEV_STAMP)
	@echo "highwater: asking for known faults of what is installed"
	@$(BIN)/pip-audit --requirement requirements.txt --no-deps --disable-pip --progress-spinner off

bench: $(DEV_STAMP)
	@$(BIN)/python -m benchmarks

quality: $(DEV_STAMP)
	@$(BIN)/python -m benchmarks.quality

clean:
	rm -rf var .pytest_cache .mypy_cache .ruff_cache

.venv/bin/python:
	@echo "highwater: making .venv with $(PYTHON)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "highwater needs Python 3.11 or newer, this is " + sys.version.split()[0])'
	@$(PYTHON) -m venv .venv

$(STAMP): requirements.txt pyproject.toml | .venv/bin/python
	@echo "highwater: installing what it needs (a minute or two the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@echo "highwater: compiling the numeric kernels (one to four minutes, once)"
	@$(BIN)/python -m pipelines.warm
	@touch $@
	@echo "highwater: installed"

$(DEV_STAMP): requirements-dev.txt $(STAMP)
	@echo "highwater: installing what the tests and checks need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@bash tests/system.sh
	@$(BIN)/python -m tests.warm
	@touch $@
