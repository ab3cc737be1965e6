# What a developer or a curious user runs. `make help` lists it.

# The first Python found that is new enough; `make PYTHON=/path/to/python` takes another.
PYTHON ?= $(shell for python in python3 python3.11 python3.12 python3.13 python3.14 python; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
DOCUMENTS ?= 50000
PORT ?= 3000
SOAK_SECONDS ?= 300
MORE ?= 10
SEED ?= $(shell date +%s)
RELEASE := build/release

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --upgrade --generate-hashes \
	--no-strip-extras --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock"
# Tests start many processes: each would compile the package anew where the environment forbids to keep what is compiled.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder
SCHEMA := $(BIN)/check-jsonschema --quiet --builtin-schema
# Build requirements of `pip install --editable`, which runs without build isolation.
BUILD := hatchling\neditables\n

.DEFAULT_GOAL := help
.PHONY: help demo dev test-fast test test-all soak benchmark check-tableau lint docs lock release-check clean writable

help: ## print what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: writable $(VENV)/.demo ## carry 50,000 sample calls from a MongoDB of its own to tableau/calls.csv (DOCUMENTS=n for more)
	@$(BIN)/python -m callviz_dagster.demo refresh --documents $(DOCUMENTS)

dev: writable $(VENV)/.demo ## the same MongoDB, with calls coming in, and the Dagster UI on http://127.0.0.1:3000 until Ctrl-C
	@exec $(BIN)/python -m callviz_dagster.demo serve --documents $(DOCUMENTS) --port $(PORT)

test-fast: $(VENV)/.dev ## run the quick tests: no MongoDB server, no browser, few generated examples
	@CALLVIZ_TEST_MORE=0.05 $(PYTEST) --numprocesses 2 -m "not server and not browser and not namespaces and not slow and not long"

test: $(VENV)/.dev ## run the tests, with coverage
	@CALLVIZ_TEST_MORE=0.25 $(PYTEST) --numprocesses 4 -m "not long" --cov --cov-report=term

test-all: $(VENV)/.dev ## run all tests, also the long ones, in random order with ten times as many generated examples, new ones (MORE=n, SEED=n)
	@CALLVIZ_TEST_MORE=$(MORE) $(PYTEST) --numprocesses 4 --random-order --random-order-seed=$(SEED)

soak: $(VENV)/.dev ## change calls and break things for 5 minutes while Dagster runs (SOAK_SECONDS=n)
	@$(BIN)/python -m callviz_dagster_tests.soak --seconds $(SOAK_SECONDS)

benchmark: $(VENV)/.dev ## time a refresh of a million calls against other ways from MongoDB to a file
	@$(BIN)/python -m benchmarks.peers

check-tableau: $(VENV)/.dev ## publish the packed workbook into a sandbox project of your Tableau server (PROJECT=path)
	@$(BIN)/python -m callviz_dagster.tableau_server.check --project "$(PROJECT)"

lint: $(VENV)/.dev ## check style, formatting, types, layers, complexity, and the files that hosting sites read
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/complexipy --max-complexity-allowed 15 --failed --plain callviz_dagster benchmarks
	@$(SCHEMA) vendor.github-workflows .github/workflows/ci.yml
	@$(SCHEMA) custom.github-workflows-require-timeout .github/workflows/ci.yml
	@$(SCHEMA) vendor.compose-spec deploy/compose.yaml deploy/compose.dask.yaml
	@$(SCHEMA) vendor.dependabot .github/dependabot.yml
	@$(SCHEMA) vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/proposal.yml
	@$(SCHEMA) vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml

docs: $(VENV)/.dev ## build the documentation as a site in docs/_build, every warning an error
	@$(BIN)/sphinx-build --quiet --fresh-env --fail-on-warning --keep-going docs docs/_build
	@echo "The documentation is in docs/_build/index.html"

lock: $(BIN)/uv ## choose the newest dependencies that pyproject.toml allows and write them to requirements/
	@printf '$(BUILD)' | $(LOCK) --extra dev pyproject.toml - --output-file requirements/dev.txt
	@printf '$(BUILD)' | $(LOCK) --extra demo pyproject.toml - --constraint requirements/dev.txt \
		--output-file requirements/demo.txt
	@printf '$(BUILD)' | $(LOCK) --extra cloud --extra dask --extra postgres --extra tableau pyproject.toml - \
		--constraint requirements/dev.txt --output-file requirements/production.txt

release-check: $(VENV)/.dev ## build the release, install it in an environment of its own, run the demo from there (PROJECT_URL=https://...)
	@rm -rf dist $(RELEASE)
	@CALLVIZ_PROJECT_URL="$(PROJECT_URL)" $(BIN)/python -m build --no-isolation --outdir dist
	@test -n "$(PROJECT_URL)" || echo "The wheel does not say where the project lives: PROJECT_URL=https://... adds it."
	@$(BIN)/twine check --strict dist/*
	@$(BIN)/python -m venv $(RELEASE)
	@$(RELEASE)/bin/python -m pip install --quiet --disable-pip-version-check "$$(ls dist/*.whl)[demo]"
	@cd $(RELEASE) && bin/python -c 'import callviz_dagster.notebook as n; assert n.__file__.startswith("$(CURDIR)/$(RELEASE)/")'
	@cd $(RELEASE) && bin/callviz demo refresh --documents 2000

clean: ## remove the environment, the demo's data, caches and what a refresh published
	rm -rf $(VENV) .callviz .dagster_home .tmp_dagster_home_* .coverage .coverage.* .mypy_cache .pytest_cache \
		.ruff_cache .complexipy_cache .import_linter_cache .hypothesis dist build docs/_build docs/api
	rm -f tableau/calls.csv tableau/call_dashboard.html tableau/callviz.twbx tableau/calls.hyper \
		tableau/published.json
	find callviz_dagster callviz_dagster_tests -name __pycache__ -prune -exec rm -rf {} +

writable:
	@test -w . || { echo "$(CURDIR) cannot be written to, and this needs to make $(VENV), .callviz and tableau/calls.csv" \
		"there: clone callviz into a folder of your own." >&2; exit 1; }

$(VENV)/.made: | writable
	@test -n "$(PYTHON)" || { echo "callviz needs Python 3.11 or newer, and none was found: install one, or name" \
		"it with make PYTHON=/path/to/python." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments:" \
		"install its venv module (Debian and Ubuntu: apt-get install python3-venv)." >&2; exit 1; }
	@echo "Making $(VENV) with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv $(VENV)
	@touch $@

# Installed anew only when the lock file or the package's own metadata has changed.
$(VENV)/.demo $(VENV)/.dev: $(VENV)/.%: requirements/%.txt pyproject.toml $(VENV)/.made
	@echo "Installing requirements/$*.txt (takes a minute the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/$*.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(BIN)/uv: $(VENV)/.made
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@touch $@
