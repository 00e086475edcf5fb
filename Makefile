# Each target is one plain command; the README shows them without make.
PYTHON ?= python3
BIN := .venv/bin
SITE := _build/html/index.html
TEST := $(BIN)/python -m pytest -n auto
BENCH = for name in compact_cnn compact_cnn_tuned resnet8 depthwise; do \
  $(BIN)/python -m ptq bench $$name --json $(KEPT)/$$name.json \
    --page $(KEPT)/$$name.html $(MORE) || exit; done
KEPT := runs/bench
PAGES = $(wildcard _config.yml _toc.yml book/*.* book/*/*.* \
  book/_static/vendor/*/*.* ptq/*.py ptq/*/*.py ptq/*/*/*.py)

.PHONY: help book env data run site style test test-package test-slow lab train sweeps coverage bench bench-bar headline clean
.DEFAULT_GOAL := help

help: ## show what can be made
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /make \1\t/' | expand -t 16

book: run ## environment, data, execute all chapters, build the site
	@$(MAKE) --no-print-directory site
	@echo "The book: $(CURDIR)/$(SITE)"

env: .venv/.installed ## the environment in .venv

.venv/.installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.txt
	@touch $@

data: env ## fetch and verify CIFAR-10
	$(BIN)/python -m ptq data

run: data ## execute the chapters that changed
	$(BIN)/python -m ptq assets
	$(BIN)/python -m ptq run

site: $(SITE) ## build the site from the executed chapters

$(SITE): $(PAGES)
	$(BIN)/jupyter-book build . --all -W --keep-going -n
	@touch $@

style: env ## check code, notebooks and spelling; chapters beside guide values
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/nbstripout --verify --keep-id notebooks/*.ipynb
	$(BIN)/codespell
	$(BIN)/python -m ptq style

test: env ## run the tests
	$(TEST)

test-package: env ## run those that need neither chapters nor pages
	$(TEST) -m "not slow and not book"

test-slow: env ## run the tests that take minutes each
	$(BIN)/python -m pytest -m slow

lab: env ## JupyterLab on the start notebook
	$(BIN)/jupyter lab notebooks/start.ipynb

sweeps: data ## remake the reference results of the sweeps (some hours)
	$(BIN)/python -m ptq sweep notebooks/sweeps/replication.yml
	$(BIN)/python -m ptq sweep notebooks/sweeps/factorial.yml
	$(BIN)/python -m ptq sweep notebooks/sweeps/calibration.yml
	$(BIN)/python -m ptq sweep notebooks/sweeps/networks.yml
	$(BIN)/python -m ptq sweep notebooks/sweeps/ranges.yml
	$(BIN)/python -m ptq sweep notebooks/sweeps/rounding.yml
	$(BIN)/python -m ptq sweep notebooks/sweeps/learned.yml
	$(BIN)/python -m ptq sweep notebooks/sweeps/smallest.yml
	$(BIN)/python -m ptq sweep notebooks/sweeps/corruptions.yml
	$(BIN)/python -m ptq reference
	$(BIN)/python -m ptq sweep-overhead --keep

coverage: env ## count how often intervals of time hold (ten quiet minutes)
	$(BIN)/python -m ptq coverage

train: env ## train the network from scratch (about ten minutes)
	$(BIN)/python -m ptq train

bench: MORE = --images 10000
bench: data .venv/.peers ## time the four networks in every runtime here
	$(BENCH)

bench-bar: MORE = --bar --threads 1 --rounds 96
bench-bar: KEPT := runs/bench/$(shell date -u +%Y-%m-%dT%H-%MZ)
bench-bar: data .venv/.peers ## time only what ptq recommends, and its peers
	$(BENCH)

.venv/.peers: requirements-peers.txt .venv/.installed
	$(BIN)/python -m pip install --disable-pip-version-check -r $<
	@touch $@

headline: env ## put the last run's table and figure into the README
	$(BIN)/python -m ptq headline

clean: ## remove what was built; data, trained networks and environment stay
	rm -rf _build book/chapters book/_generated notebooks/export
	find runs -type f ! -name '*-seed*-epochs*' -delete 2>/dev/null; true
