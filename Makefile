# Every target sets up what it needs: a .venv from python3 >= 3.11 and the hash-locked requirements.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SOURCES := cryo_ingest harness tests scripts benchmarks .ci conftest.py

.PHONY: demo test detect soak fidelity check format coverage images benchmark lock clean

demo: $(READY)  ## real Cryo on a local chain, into ./out
	@$(BIN)/python scripts/demo.py

test: $(READY)  ## every test that this machine can run; what it can't is skipped with the reason
	$(BIN)/pytest -n auto --dist worksteal

detect: $(READY)  ## every bug of the reference worker on its clause's scenarios: caught by which
	@$(BIN)/python scripts/detect.py

soak: $(READY)  ## 200 tasks through two workers that are killed and restarted by a seeded schedule, about two minutes
	$(BIN)/python scripts/soak.py

fidelity: $(READY)  ## real Cryo against the fakes, 25 datasets, about two minutes; the table goes into docs/
	$(BIN)/python scripts/fidelity.py --write docs/fidelity.md

check: $(READY)  ## format, lint, types, imports, unit tests: what every commit passes
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n auto --dist worksteal -m "not docker and not real_cryo" --ignore tests/end_to_end --ignore tests/verdicts --ignore tests/foreign

format: $(READY)
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

coverage: $(READY)  ## branch coverage, child processes included
	$(BIN)/pytest -n auto --dist worksteal --cov --cov-report=term-missing:skip-covered

images: $(READY)  ## the container images that the tests use, from packages
	$(BIN)/cryo-harness images build

benchmark: $(READY)
	$(BIN)/python benchmarks/overhead.py

lock:  ## needs uv; the locks hold names, versions and hashes, no registry's address
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --extra dev pyproject.toml -o requirements/dev.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --extra cryo --extra sqs pyproject.toml -o requirements/worker.lock

clean:
	rm -rf $(VENV) out .coverage* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(READY): requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than 3.11: name a newer one with 'make PYTHON=python3.11 …'"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing requirements/dev.lock into $(VENV) (about a minute, once)"
	@# The lock is whole, so pip resolves nothing: resolving, it takes a newer release than the pin for an extra, and fails.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m pip check --disable-pip-version-check
	@touch $@
