# Everything sets up what it needs first; only `setup` touches the network, and only when something changed.
.PHONY: help setup run test check fix bench soak docs lambda
.DEFAULT_GOAL := help

help:
	@echo 'make setup   install everything into .venv and node_modules'
	@echo 'make run     start portico demo (options: make run ARGS="--port 9090")'
	@echo 'make test    run the whole test suite (a part: make test ARGS="tests/cli -k login")'
	@echo 'make check   lint, formatting, types, layers'
	@echo 'make fix     apply what the linter and the formatter can'
	@echo 'make bench   measure (docs/benchmarks.md); a part: make bench ARGS="--only cells,lists"'
	@echo 'make soak    half an hour of mixed load (docs/soak.md); shorter: make soak ARGS="--minutes 1"'
	@echo 'make lambda  package the façade for AWS Lambda into .artifacts (docs/aws-lambda.md); make lambda ARGS=x86_64'
	@echo 'make docs    render docs/ to .artifacts/docs and check every link'

setup:
	@scripts/setup.sh dev

run:
	@scripts/setup.sh run
	@exec .venv/bin/portico demo $(ARGS)

test:
	@scripts/setup.sh dev
	.venv/bin/pytest -n auto --dist loadgroup $(ARGS)

check:
	@scripts/setup.sh dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/pyright
	.venv/bin/lint-imports
	@! grep -nE '"resolved"|--(extra-)?index-url|--find-links' requirements*.lock scripts/locks/*.lock package-lock.json

fix:
	@scripts/setup.sh dev
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench:
	@scripts/setup.sh dev
	.venv/bin/python bench/run.py $(ARGS)

soak:
	@scripts/setup.sh dev
	.venv/bin/python bench/soak.py $(ARGS)

docs:
	@scripts/setup.sh dev
	.venv/bin/python scripts/render_docs.py

lambda:
	@deploy/aws/package.sh $(ARGS)
