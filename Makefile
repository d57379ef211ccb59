# Two commands do everything: `make serve` runs the service, `make test` runs every test.
# All of it lives in .venv, installed from uv.lock with every hash checked.

PYTHON ?= python3
UV_VERSION := 0.13.9
PYTEST_WORKERS ?= 2
FUZZ_SECONDS ?= 75

BIN := .venv/bin
export VIRTUAL_ENV := $(CURDIR)/.venv

FRONTEND := src/applyrate/dashboard/frontend
BUNDLE := src/applyrate/dashboard/static/manifest.json

.DEFAULT_GOAL := help
.PHONY: help serve demo install test check audit format docs screenshots fuzz storm soak bench bench-quick lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: install  ## serve the embedded store on http://127.0.0.1:8600
	@$(BIN)/applyrate serve

demo: install  ## the same on a simulated support agent's 90 days
	@$(BIN)/applyrate demo

install: .venv/installed $(BUNDLE)  ## make .venv with what serving needs, and the dashboard's script

test: .venv/installed-dev $(BUNDLE)  ## run every test
	$(BIN)/pytest -n $(PYTEST_WORKERS) --cov --cov-report=term

check: .venv/installed-dev $(BUNDLE)  ## format, lint, types, and the tests of what changed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -q -n $(PYTEST_WORKERS)

format: .venv/installed-dev  ## format and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

audit: .venv/installed-dev  ## ask what is known against the packages that are locked
	$(BIN)/python -m tests.advisories

docs: .venv/installed-dev  ## build the documentation site in docs/_build
	$(BIN)/sphinx-build --fail-on-warning --keep-going -b dirhtml docs docs/_build/site

screenshots: .venv/installed-dev $(BUNDLE)  ## take pictures of every page, and the README's anew
	$(BIN)/python -m tests.browser.screenshots

fuzz: .venv/installed-dev  ## fuzz the whole API and every decoder, ten minutes in all
	$(BIN)/python -m tests.fuzzing $(FUZZ_SECONDS)

storm: .venv/installed-dev  ## kill the service 200 times at random moments, and look for what is lost
	$(BIN)/python -m tests.kill_storm --rounds 200

soak: .venv/installed-dev  ## two hours at half of what the service can take
	$(BIN)/python -m tests.soak --minutes 120

bench: .venv/installed-dev  ## measure everything beside its peers, into bench/results.md
	$(BIN)/python -m bench

bench-quick: .venv/installed-dev  ## the same on little data, in two minutes
	$(BIN)/python -m bench --quick

# uv writes the address of the package index it asked into the lock file. Taking the addresses
# out keeps the lock true behind any mirror: names, versions and hashes say what is installed,
# and the index that pip and uv are set to use says from where.
lock: .venv/uv  ## resolve every dependency anew into uv.lock
	rm -f uv.lock
	$(BIN)/uv lock --quiet
	sed -E -i.orig -e 's#url = "https://[^"]*/([^"/]+)"#path = "\1"#' \
	  -e 's#registry = "https://[^"]*"#registry = "index"#' uv.lock
	rm -f uv.lock.orig

clean:  ## remove everything that was made here, data folders excepted
	rm -rf .venv .cache .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache docs/_build dist
	rm -rf $(FRONTEND)/node_modules $(dir $(BUNDLE))

# Without Node the pages work, with tables in place of charts, and say so.
$(BUNDLE): $(wildcard $(FRONTEND)/*.* $(FRONTEND)/scripts/* $(FRONTEND)/styles/*)
	@if command -v npm >/dev/null; then \
	  echo "Building the dashboard's script and style ..."; \
	  (cd $(FRONTEND) && npm ci --loglevel=error && npm run --silent build) \
	    || echo "It could not be built: the dashboard shows tables in place of charts."; \
	else \
	  echo "npm is not there: the dashboard shows tables in place of charts."; \
	fi

.venv/uv:
	@$(PYTHON) -c 'import sys; sys.exit("Applyrate needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another with make PYTHON=...") if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

# The lock's packages for one set of groups, then the project itself, built by the locked hatchling.
define install-groups
	@$(BIN)/uv export --quiet --frozen --no-emit-project --extra server $(1) --output-file .venv/requirements.txt
	@$(BIN)/uv pip install --quiet --compile-bytecode --require-hashes --requirements .venv/requirements.txt
	@$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
endef

.venv/installed: .venv/uv pyproject.toml uv.lock
	@echo "Installing into .venv from uv.lock ..."
	$(call install-groups,--group build)

.venv/installed-dev: .venv/uv pyproject.toml uv.lock
	@echo "Installing into .venv from uv.lock, with the tools of development ..."
	$(call install-groups,--group dev)
	@touch .venv/installed
