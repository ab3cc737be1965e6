# What a developer or a curious user runs. `make help` lists it.

# The first Python found that is new enough; `make PYTHON=/path/to/python` takes another.
PYTHON ?= $(shell for python in python3 python3.11 python3.12 python3.13 python3.14 python; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
DOCUMENTS ?= 50000
PORT ?= 3000
SOAK_SECONDS ?= 300

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --upgrade --generate-hashes \
	--no-strip-extras --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock"
# What `pip install --editable` needs, since it is told not to fetch anything itself.
BUILD := hatchling\neditables\n

.DEFAULT_GOAL := help
.PHONY: help demo dev test soak benchmark lint lock clean

help: ## print what each target does
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## carry 50,000 sample calls from a MongoDB of its own to tableau/calls.csv (DOCUMENTS=n for more)
	@$(BIN)/python -m callviz_dagster.demo refresh --documents $(DOCUMENTS)

dev: $(VENV)/.demo ## the same MongoDB, with calls coming in, and the Dagster UI on http://127.0.0.1:3000 until Ctrl-C
	@exec $(BIN)/python -m callviz_dagster.demo serve --documents $(DOCUMENTS) --port $(PORT)

test: $(VENV)/.dev ## run all tests, with coverage
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --cov --cov-report=term

soak: $(VENV)/.dev ## change calls and break things for 5 minutes while Dagster runs (SOAK_SECONDS=n)
	@$(BIN)/python -m callviz_dagster_tests.soak --seconds $(SOAK_SECONDS)

benchmark: $(VENV)/.dev ## time a refresh of a million calls against other ways from MongoDB to a file
	@$(BIN)/python -m benchmarks.peers

lint: $(VENV)/.dev ## check style, formatting and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

lock: $(BIN)/uv ## choose the newest dependencies that pyproject.toml allows and write them to requirements/
	@printf '$(BUILD)' | $(LOCK) --extra dev pyproject.toml - --output-file requirements/dev.txt
	@printf '$(BUILD)' | $(LOCK) --extra demo pyproject.toml - --constraint requirements/dev.txt \
		--output-file requirements/demo.txt

clean: ## remove the environment, the demo's data, caches and what a refresh published
	rm -rf $(VENV) .callviz .dagster_home .tmp_dagster_home_* .coverage .coverage.* .mypy_cache .pytest_cache \
		.ruff_cache .hypothesis dist build
	rm -f tableau/calls.csv tableau/call_dashboard.html tableau/callviz.twbx tableau/calls.hyper
	find callviz_dagster callviz_dagster_tests -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.made:
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
