# Each target is enough on its own: it makes .venv and installs what it needs first.
# `make` or `make help` lists the targets.

PYTHON ?= python3
COLAB_PYTHON ?=

BIN := .venv/bin
COLAB_BIN := .venv-colab/bin

# Datasets and trained weights that the chapters make are kept here, not in the home folder.
export DIQA_CACHE_DIR ?= $(CURDIR)/.cache/diqa_utils

PYTEST := $(BIN)/python -m pytest
NBVAL := -m pytest --nbval-lax --nbval-current-env --numprocesses=2 --dist=loadfile --durations=20 notebooks/
# Kernels are killed, and leave what TensorFlow wrote into the temporary folder: give them their own.
OWN_TMP := tmp=$$(mktemp -d) && trap 'rm -rf "$$tmp"' EXIT && TMPDIR="$$tmp"

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install book pdf test lint format test-library test-book test-notebooks test-colab \
	bench links clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: .venv/.installed ## Make .venv and install the library, the book's tools and the tests' tools

# The stamp is renewed, and pip run again, when the list of packages changes. Python compiles what is
# imported; compiling all that is installed would take half of the time.
.venv/.installed: pyproject.toml requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
		|| { echo "Python 3.11, 3.12 or 3.13 is needed, and \`$(PYTHON)\` is not one:" \
		"name one that is, for example \`make $(or $(firstword $(MAKECMDGOALS)),book) PYTHON=python3.12\`." >&2; exit 1; }
	@echo "Installing into .venv: a few minutes the first time."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --no-compile -r requirements.txt
	@touch $@

book: .venv/.installed ## Build the book, every chapter executed: _build/html/index.html
	@$(OWN_TMP) $(BIN)/python tools/build_book.py

pdf: book ## Print the whole book, with the machine's Chromium: _build/html/book.pdf
	@$(BIN)/python tools/make_pdf.py

test: lint test-library test-book test-notebooks ## Check everything: style, types, library, book, notebooks
	@echo "All tests passed. Line coverage of the library: _build/coverage/index.html"

lint: .venv/.installed ## Check style (notebooks too) and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@$(BIN)/python tools/make_lab.py --lint

format: .venv/.installed ## Put code and notebooks into the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test-library: .venv/.installed ## Test the library, with its line coverage
	$(PYTEST) --numprocesses=2 --dist=loadfile --ignore=tests/book --cov --cov-report=term-missing --cov-report=html:_build/coverage

test-book: .venv/.installed ## Test the book as a whole, in a browser too where there is Chromium
	$(PYTEST) -rs --numprocesses=2 --dist=loadfile tests/book

test-notebooks: .venv/.installed ## Run every chapter and compare the outputs that the prose states
	@$(OWN_TMP) $(BIN)/python $(NBVAL)

# pip is run anew when Colab's versions or the library's own packages change.
.venv-colab/.installed: pyproject.toml constraints-colab.txt
	@python=""; \
	for candidate in $(if $(COLAB_PYTHON),"$(COLAB_PYTHON)",python3.13 "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.13*/bin/python3); do \
		if "$$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null; \
		then python="$$candidate"; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "Colab runs Python 3.13, and none was found here: name one," \
		"for example \`make test-colab COLAB_PYTHON=/usr/bin/python3.13\`." >&2; exit 1; \
	fi; \
	echo "Installing Colab's versions into .venv-colab: a few minutes the first time."; \
	"$$python" -m venv .venv-colab
	$(COLAB_BIN)/python -m pip install --quiet --upgrade pip
	$(COLAB_BIN)/python -m pip install --quiet --no-compile -c constraints-colab.txt -e ".[export,search,beam]" \
		pytest pytest-xdist nbval ipykernel ipywidgets
	@touch $@

# With a cache of their own: what a newer Keras saved need not be readable by an older one.
test-colab: .venv-colab/.installed ## Run every chapter under the versions that Colab has
	@$(OWN_TMP) DIQA_CACHE_DIR=$(CURDIR)/.cache/colab $(COLAB_BIN)/python $(NBVAL)
	@echo "All chapters run under Colab's versions (constraints-colab.txt)."

bench: .venv/.installed ## Measure speed beside the original tutorial: diqa_utils/results/speed.json
	$(BIN)/python -m benchmarks.speed

links: .venv/.installed ## Ask every linked site whether its page is still there (needs the web)
	DIQA_BOOK_EXECUTE=off $(BIN)/jupyter-book build . --builder linkcheck --path-output _build/links

clean: ## Remove everything that these targets made
	rm -rf .venv .venv-colab .cache _build book/_figures node_modules build dist *.egg-info .coverage \
		.mypy_cache .pytest_cache .ruff_cache
	find diqa_utils tests tools benchmarks book notebooks \
		\( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +
