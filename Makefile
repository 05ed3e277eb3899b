# Every recipe of the project; CI calls nothing else. `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help install demo unit test long kernels monitoring browser chaos bench check coverage docs site links picture dist packages notes workflows chart kafka tools hooks lock lock-image secrets containers clean

# What `make bench` measures: all, peers, worker, sparse, default, rebalance, latency, produce, scale, profile or web; of so
# many EVENTS, in so many ROUNDS.
PART ?= all

# What checks the Helm chart and the workflows of GitHub; Go builds them, and MongoDB's tools of deploy/mongo-tools.
HELM := helm.sh/helm/v4/cmd/helm@v4.3.1
ACTIONLINT := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

# The first Python that is new enough; name another with: make PYTHON=/path/to/python3.12 …
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin

# Some images and editors forbid Python to keep what it has compiled; then each process of a test compiles all anew.
export PYTHONDONTWRITEBYTECODE :=

# Tests that are about neither Tansu nor a broker of their own.
ON_ANY_KAFKA := tests/services/test_end_to_end.py tests/services/agents tests/services/client tests/services/runs \
	tests/services/commands/test_rebuild.py tests/services/commands/test_produce.py

##@ Start

# Tests of what kernels do with odd and hostile bytes.
OF_KERNELS := tests/unit/kernels tests/unit/columnar tests/unit/events tests/unit/kafka

help: ## list the recipes
	@awk -F ':.*## ' '/^##@ / {printf "%s%s\n", gap, substr($$0, 5); gap = "\n"} /^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' \
		$(MAKEFILE_LIST)

install: .venv/.installed ## make .venv, with hash-checked dependencies and this package

.venv/.installed: requirements.lock pyproject.toml
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo 'error: movie-stream needs Python 3.11 or newer, and $(or $(PYTHON),python3) is not; install one,' \
			'or name it: make PYTHON=/path/to/python3.12 install' >&2; exit 2; }
	@$(PYTHON) -m venv .venv || { \
		echo 'error: $(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv' >&2; exit 2; }
	@echo 'Installing the pinned dependencies into .venv; this takes about a minute.'
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m movie_stream.kernels
	@touch $@

demo: install ## start a broker and MongoDB, show results live; Ctrl-C ends it
	@$(BIN)/movie-stream demo

hooks: install ## have git run .pre-commit-config.yaml before each commit
	$(BIN)/pre-commit install

clean: ## remove .venv and everything else that is made here
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* dist site .sphinx
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

##@ Test and measure

check: install ## style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

unit: install ## tests without broker and database; TEST=path: only those
	EXAMPLES=$(or $(EXAMPLES),0.1) $(BIN)/pytest $(or $(TEST),--numprocesses=logical --maxprocesses=8 movie_stream tests/unit)

# Hypothesis tries a third of its examples: in CI they are the same ones each time, and `make long` tries many more.
test: install check ## check, and all tests but for those of long and chaos
	EXAMPLES=$(or $(EXAMPLES),0.3) $(BIN)/pytest --numprocesses=5 --dist=loadfile --no-loadscope-reorder --durations=10

long: install ## the tests that are too long for make test; 15 minutes
	EXAMPLES=5 $(BIN)/pytest --numprocesses=2 tests/unit
	$(BIN)/pytest -m long --numprocesses=2 --dist=loadfile

kernels: install ## tests of kernels: uncompiled, and with bounds checked
	NUMBA_DISABLE_JIT=1 EXAMPLES=0.05 $(BIN)/pytest --numprocesses=2 $(OF_KERNELS)
	NUMBA_BOUNDSCHECK=1 $(BIN)/pytest --numprocesses=2 $(OF_KERNELS) tests/unit/aggregates

monitoring: install ## the tests of monitoring/, with promtool and Prometheus
	$(BIN)/pytest -m "long or not long" tests/unit/metrics tests/services/metrics

browser: install ## the tests of the dashboard in Chromium; some minutes
	$(BIN)/pytest -m "browser or not browser" --numprocesses=2 --dist=loadfile --durations=10 tests/browser

chaos: install ## the fault suite, 70 minutes; writes its table of results
	rm -f .chaos/results.jsonl
	$(BIN)/pytest -m 'chaos or not chaos or long' --numprocesses=2 tests/chaos
	$(BIN)/python -m tests.chaos.record

kafka: install ## tests on the Kafka of TESTS_KAFKA_BOOTSTRAP_SERVERS
	@[ -n "$$TESTS_KAFKA_BOOTSTRAP_SERVERS" ] || { \
		echo 'error: name a broker: TESTS_KAFKA_BOOTSTRAP_SERVERS=localhost:9092 make kafka' >&2; exit 2; }
	$(BIN)/pytest $(ON_ANY_KAFKA)

coverage: install ## make test, and the lines that none of its tests ran
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

bench: install ## measure speed for an hour; writes its tables
	$(BIN)/python -m bench $(PART) $(if $(EVENTS),--events $(EVENTS)) $(if $(ROUNDS),--rounds $(ROUNDS))
	$(BIN)/python -m bench.report

##@ Documentation

docs: install ## remake what is made from the code: docs/, bi/, the chart, ...
	$(BIN)/movie-stream settings --example > .env.example
	$(BIN)/python docs/generate.py
	$(BIN)/python -m bi.generate
	$(BIN)/python -m monitoring.dashboard
	$(BIN)/python -m deploy.chart

# Links and anchors are checked by it. Each page is read anew: what a page no longer has would else still be found.
SPHINX := $(BIN)/python -m sphinx --fail-on-warning --nitpicky --keep-going --fresh-env --jobs auto --quiet

site: install ## build the site of docs/ in site/, strictly
	rm -rf site
	$(SPHINX) -b html -d .sphinx/html docs site
	@echo 'The site is built; open site/index.html in a browser.'

links: install ## ask each address outside that docs/ names; takes a network
	$(SPHINX) -b linkcheck -d .sphinx/links docs .sphinx/linkcheck

picture: install ## remake the pictures in docs/ of demo, dashboard, tutorial
	$(BIN)/python docs/picture.py
	$(BIN)/python docs/dashboard_picture.py
	$(BIN)/python -m docs.tutorial_picture

##@ Release

dist: install ## build and check wheel and sdist in dist/
	rm -rf dist
	SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2> /dev/null || echo 1577836800)} \
		$(BIN)/python -m build --no-isolation
	$(BIN)/twine check --strict dist/*

packages: install ## install those by pip, uvx and pipx; some minutes
	$(BIN)/pytest -m "long or not long" tests/deploy/test_distribution.py tests/deploy/test_installed.py

notes: ## print what CHANGELOG.md says of VERSION
	@$(PYTHON) docs/changelog.py "$(VERSION)"

SUBSET := --quiet --universal --python-version 3.11 --constraint requirements.lock --generate-hashes \
	--no-emit-index-url --no-annotate --custom-compile-command 'make lock'

lock: install ## remake requirements.lock, as new as pyproject.toml allows
	$(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --upgrade \
		--extra embedded --extra web --extra dev --generate-hashes --no-emit-index-url \
		--custom-compile-command 'make lock' --output-file requirements.lock
	@$(MAKE) --no-print-directory lock-image

# Held to requirements.lock: the image has the very versions that the tests ran with.
# setuptools builds sly, of odata-query, which its authors publish as source alone.
lock-image: install ## remake the image's two locks from requirements.lock
	rm -f requirements-runtime.lock requirements-build.lock
	$(BIN)/uv pip compile pyproject.toml $(SUBSET) --extra fast --extra web --extra notify --extra xlsx \
		--output-file requirements-runtime.lock
	$(BIN)/python -c 'import tomllib; print("setuptools", *tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
		| $(BIN)/uv pip compile - $(SUBSET) --output-file requirements-build.lock

##@ Deploy

secrets: ## make secrets/ for compose.yaml; what is there stays
	@bash deploy/secrets.sh

containers: install ## run compose.yaml on a Docker engine; a quarter of an hour
	$(BIN)/pytest -m containers -v --durations=0 -rP tests/containers

.tools/.installed: Makefile deploy/tools.txt deploy/mongo-tools/go.mod | .venv/.installed
	@command -v go > /dev/null || { echo 'error: helm, actionlint and mongodump are built with Go; install that: https://go.dev/dl' >&2; exit 2; }
	GOBIN=$(CURDIR)/.tools/bin go install $(ACTIONLINT)
	GOBIN=$(CURDIR)/.tools/bin go install $(HELM)
	cd deploy/mongo-tools && for tool in mongodump mongorestore; do \
		go build -o $(CURDIR)/.tools/bin/$$tool github.com/mongodb/mongo-tools/$$tool/main || exit; done
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --upgrade --target .tools/python --requirement deploy/tools.txt
	@touch $@

tools: install .tools/.installed ## build helm, actionlint and MongoDB's tools, by Go

chart: tools ## check the Helm chart, by the schemas of Kubernetes
	$(BIN)/pytest --numprocesses=2 tests/deploy/test_chart*.py tests/deploy/test_kubernetes_docs.py

workflows: tools ## check .github: actionlint, zizmor, schemas
	$(BIN)/pytest tests/deploy/test_workflows.py
