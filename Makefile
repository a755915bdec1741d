# `make help` lists the targets. Everything is made below .venv*/ and ./data, which git ignores.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
DEV    := $(VENV)/.ready-dev
CLIENT := .venv-clients/.ready
SCRIPT := .venv-javascript/.ready
PEERS  := .venv-bench/.ready
# What docker-up starts of docker-compose.yml: all but our own processes.
SERVERS := postgres redis s3 s3-console clickhouse
PIP    := -m pip --disable-pip-version-check --quiet
SUPPORTED := import sys, platform; \
  ok = (3, 11) <= sys.version_info[:2] < (3, 14); \
  ok or sys.exit("mediaconvert needs Python 3.11, 3.12 or 3.13; this is " + platform.python_version() + ". Try: make PYTHON=python3.12"); \
  (platform.system(), platform.machine()) == ("Linux", "x86_64") or sys.exit("mediaconvert runs on Linux x86-64; this is " + platform.system() + " " + platform.machine())

.DEFAULT_GOAL := help
.PHONY: help setup run run-worker demo test test-fast check format bench soak schema pins clean docker-up docker-down build

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

setup: $(READY)  ## prepare .venv; afterwards .venv/bin/mediaconvert is the program

$(READY): packaging/requirements.txt pyproject.toml
	@$(PYTHON) -c '$(SUPPORTED)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "no virtual environment could be made; on Debian or Ubuntu: apt install python3-venv"; exit 1; }
	@echo "installing MediaConvert and its tools into $(VENV) (the first time this downloads about 170 MB)"
	@$(BIN)/python $(PIP) install --require-hashes -r packaging/requirements.txt
	@PYTHONWARNINGS=ignore $(BIN)/python $(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(DEV): packaging/requirements-dev.txt $(READY)
	@echo "installing the development tools into $(VENV)"
	@$(BIN)/python $(PIP) install --require-hashes -r packaging/requirements-dev.txt
	@touch $@

$(CLIENT): packaging/requirements-clients.txt
	@echo "installing the S3 clients that the tests use into .venv-clients"
	@test -x .venv-clients/bin/python || $(PYTHON) -m venv .venv-clients
	@.venv-clients/bin/python $(PIP) install --require-hashes -r packaging/requirements-clients.txt
	@touch $@

$(SCRIPT): packaging/requirements-javascript.txt $(wildcard packaging/javascript/* packaging/javascript/.npmrc)
	@echo "installing Node.js and the AWS SDK for JavaScript into .venv-javascript"
	@test -x .venv-javascript/bin/python || $(PYTHON) -m venv .venv-javascript
	@.venv-javascript/bin/python $(PIP) install --require-hashes -r packaging/requirements-javascript.txt
	@sh packaging/node.sh .venv-javascript ci
	@touch $@

$(PEERS): packaging/requirements-bench.txt
	@echo "installing what the benches compare with into .venv-bench"
	@test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python $(PIP) install --require-hashes -r packaging/requirements-bench.txt
	@touch $@

run: $(READY)  ## start the service on port 8080 with its data in ./data
	$(BIN)/mediaconvert serve

run-worker: $(READY)  ## only the worker role: beside `make run` after `make docker-up`, or alone on ./data
	$(BIN)/mediaconvert serve --role worker --port 8081

demo: $(READY)  ## one film through the whole service, in a folder of its own
	@$(BIN)/mediaconvert demo

test: $(DEV) $(CLIENT) $(SCRIPT)  ## the whole test suite
	$(BIN)/python -m pytest

test-fast: $(DEV) $(CLIENT) $(SCRIPT)  ## the part of it that is quick
	$(BIN)/python -m pytest -m "not slow"

check: $(DEV)  ## lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(DEV)  ## put the code into its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(DEV) $(PEERS)  ## measure; prints tables, asserts nothing
	$(BIN)/python -m tests.bench

soak: $(DEV) $(CLIENT)  ## storms of kills by the hour; not part of the tests
	$(BIN)/python -m tests.soak

schema: $(READY)  ## write the generated documents anew
	$(BIN)/python -m mediaconvert.cli.main pipeline schema > config/pipeline.schema.json
	$(BIN)/python -m mediaconvert.cli.main config example > config/env.example
	$(BIN)/python -m mediaconvert.cli.main config clickhouse > config/clickhouse.sql

pins: $(DEV) $(SCRIPT)  ## resolve the pinned requirements anew
	sh packaging/pins.sh

build: $(READY)  ## compile all modules, which finds those that cannot be read
	$(BIN)/python -m compileall -q mediaconvert

docker-up:  ## PostgreSQL, Redis, an S3 store, ClickHouse in containers; `make run` then uses them
	@docker compose version >/dev/null 2>&1 || { echo "docker compose was not found: install Docker Engine with its Compose plugin, or name servers of your own in DATABASE_URL, REDIS_URL, S3_ENDPOINT and CLICKHOUSE_DSN. One machine needs none of them: make run"; exit 1; }
	@test -e .env || sh packaging/make-env.sh
	docker compose up --detach --wait $(SERVERS)
	@grep -q '^DATABASE_URL=.' .env && echo "make run and make run-worker use these servers as long as .env names them" \
	  || echo ".env names no servers, so make run stays on ./data; mediaconvert/CLUSTER.md says how to name them"

docker-down:  ## stop what docker-up started; what it holds stays in its volumes
	@docker compose version >/dev/null 2>&1 || { echo "docker compose was not found, so nothing of it runs here"; exit 1; }
	@test -e .env || { echo "there is no .env, so make docker-up has started nothing"; exit 1; }
	docker compose down
	@echo "make run uses ./data again once .env is moved away"

clean:  ## remove everything that was made, but never ./data
	rm -rf $(VENV) .venv-clients .venv-javascript .venv-bench build dist demo-output .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find mediaconvert tests -name __pycache__ -type d -prune -exec rm -rf {} +
