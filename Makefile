# The commands of this checkout. On a machine with Python 3.11+ and nothing else each of them sets up what it needs
# (deploy/setup.sh), once: the stamps under .venv/ and build/ say what is done.

BIN := .venv/bin
PYTHON_READY := .venv/.ready
JARS_READY := build/broker/jars/.ready
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help setup broker demo up down test check format bench sizes dashboards lock lock-jars clean setup-observability setup-console setup-token

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

demo: setup broker ## the whole way with twelve agencies on a real Kafka; writes build/demo/report.json
	$(BIN)/python -m deploy.demo

test: setup broker ## unit, property, contract and broker tests
	$(BIN)/pytest $(ARGS)

check: setup ## lint, format, types, and the layers of the imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

up: setup broker ## start the demo's stack and leave it running; writes build/stack/stack.json
	$(BIN)/python -m deploy.demo up

down: setup ## stop what `make up` started
	$(BIN)/python -m deploy.demo down

bench: setup broker ## measure against the plain way; writes build/bench/report.json
	$(BIN)/python -m benchmarks.run

dashboards: setup ## render deploy/grafana's code to the JSON that Grafana reads
	$(BIN)/python -m deploy.grafana

sizes: setup broker ## measure memory and bytes on disk; writes build/sizes/report.json
	$(BIN)/python -m benchmarks.sizes

format: setup ## put the code into its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

setup: $(PYTHON_READY) ## only the Python environment, .venv

broker: $(JARS_READY) ## only the broker's jars, build/broker/jars

setup-observability: ## only Prometheus and Alertmanager, from Debian; without root and apt-get it says so and goes on
	@deploy/setup.sh observability

setup-console: ## only htmx for the console's pages, and Chromium for their tests; without npm it says so and goes on
	@deploy/setup.sh console

setup-token: ## only SoftHSM2, from Debian, for the tests of keys in a token; without root and apt-get it says so and goes on
	@deploy/setup.sh token

lock: ## pin the newest versions that pyproject.toml allows, with hashes and without addresses
	@test -x $(BIN)/uv || deploy/setup.sh python
	deploy/lock.sh

lock-jars: ## write the hashes of the jars that deploy/broker/pom.xml names
	deploy/lock.sh jars

clean: ## remove what was made, but for .venv
	rm -rf build dist

$(PYTHON_READY): requirements/dev.txt requirements/bootstrap.txt pyproject.toml deploy/setup.sh
	@deploy/setup.sh python
	@touch $@

$(JARS_READY): deploy/broker/pom.xml deploy/broker/jars.sha256 deploy/setup.sh
	@deploy/setup.sh jars
	@touch $@
