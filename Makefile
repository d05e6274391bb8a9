# Two commands do everything: `make demo` and `make test`. `make help` lists the rest.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow check check-types check-rest check-docs audit rehearse train-zoo

BIN := .venv/bin

# What the user may say on the command line; the scripts read it from the environment.
IMAGE ?=
ARGS ?=
PYTHON ?=
TORCH ?=
export PYTHON TORCH

# Python starts in each worker and in many tests: what is compiled once is kept.
export PYTHONDONTWRITEBYTECODE :=
# Files of tests, each as a whole, shared out among the cores. A process that dies ends the run:
# the rest of its file cannot be given to another.
PYTEST := $(BIN)/python -m pytest --numprocesses=logical --maxprocesses=8 --dist=loadfile --max-worker-restart=0

help: ## Show this list.
	@echo "make demo                    set up, then simulate, restore, segment and localize SrTiO3 [001]"
	@echo "make demo IMAGE=my.tif       set up, then do the same on an image of yours (PNG, TIFF, dm3, dm4, emd, ser, mrc)"
	@echo "make demo ARGS=--no-window   the demo without a window"
	@echo "make test                    set up, then run the tests, a few minutes (ARGS are passed to pytest)"
	@echo "make test-slow               set up, then run the slow tests, and each law with more examples"
	@echo "make check                   set up, then lint, check formats, types, layers, the manifest and the site"
	@echo "make audit                   set up, then check the licences of what is installed with the package"
	@echo "make rehearse                set up, then build a release, and install and use it with every Python that is found"
	@echo "make setup                   only set up"
	@echo "make train-zoo               set up, then train the shipped models in turns, until Ctrl-C; again to go on"
	@echo
	@echo "PYTHON=python3.12 chooses the interpreter (3.11 or newer)."
	@echo "TORCH=torch installs the default build of PyTorch, with CUDA on Linux, instead of the CPU build."

setup: ## Create .venv with everything the demo and the tests need.
	@scripts/setup.sh

demo: ## Run the main job on a simulated image or on IMAGE.
	@scripts/setup.sh demo
	@$(BIN)/napari-atomseg demo $(if $(IMAGE),"$(IMAGE)") $(ARGS)

test: ## Run the tests that are not slow.
	@scripts/setup.sh test
	@$(PYTEST) -m "not slow" $(ARGS)

test-slow: ## Run what `make test` leaves out: the slow tests, and the laws with more examples.
	@scripts/setup.sh test-slow
	@$(PYTEST) -m "slow or hypothesis" --hypothesis-profile=thorough $(ARGS)

check: ## Lint, formats, types, layers, manifest, the site with all its links.
	@scripts/setup.sh check
	@$(MAKE) --no-print-directory --jobs=2 check-types check-rest check-docs

check-types:
	$(BIN)/mypy

check-rest:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	QT_QPA_PLATFORM=offscreen $(BIN)/npe2 validate napari-atomseg --imports

check-docs:
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --site-dir build/site

audit: ## Check licences, and write the bill of materials.
	@scripts/setup.sh test
	@mkdir -p build
	$(BIN)/python scripts/audit.py --extras all,em,multislice --sbom build/sbom.cdx.json

rehearse: ## Build a release, install it into empty environments, use it.
	@scripts/setup.sh check
	$(BIN)/python scripts/rehearse_release.py $(ARGS)

train-zoo: ## Train the shipped models in turns, on one core at the lowest priority.
	@scripts/setup.sh test
	OMP_NUM_THREADS=1 nice -n 19 $(BIN)/python scripts/train_zoo.py $(ARGS)
