# Every target first creates .venv with python3 >= 3.11 and the hash-locked requirements.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SOURCES := cryo_ingest harness tests scripts benchmarks .ci conftest.py

.PHONY: demo demo-sync test detect simulate mutants soak fidelity lint check format coverage images benchmark lock clean

demo: $(READY)  ## real Cryo on a local chain, into ./out
	@$(BIN)/python scripts/demo.py

demo-sync: $(READY)  ## a job of four datasets, 20,000 blocks of a local chain, into ./out/sync; then a query with DuckDB
	@$(BIN)/python scripts/demo_sync.py

test: $(READY)  ## every test that can run on this machine; others are skipped with the reason
	$(BIN)/pytest -n auto --dist worksteal

detect: $(READY)  ## every bug of the reference worker, with the scenario that catches it
	@$(BIN)/python scripts/detect.py

simulate: $(READY)  ## our worker on virtual time: every fault at every operation, and all pairs of them; about three minutes
	@mkdir -p out
	@PYTHONPATH=tests $(BIN)/cryo-harness simulate --target simulation.adapter:worker --pairs --interleavings --seeds 200 --report out/simulation.html

mutants: $(READY)  ## small changes of the workers' source, of which simulated runs and scenarios must notice most
	@$(BIN)/python scripts/mutants.py

soak: $(READY)  ## 200 tasks on two workers that a seeded schedule kills and restarts; about two minutes
	$(BIN)/python scripts/soak.py

fidelity: $(READY)  ## compare real and fake Cryo on 25 datasets and write the table to docs/; about two minutes
	$(BIN)/python scripts/fidelity.py --write docs/fidelity.md

lint: $(READY)  ## format, lint, types, imports
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint  ## lint, and unit tests; every commit must pass
	$(BIN)/pytest -n auto --dist worksteal -m "not docker and not real_cryo" --ignore tests/end_to_end --ignore tests/verdicts --ignore tests/foreign

format: $(READY)
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

coverage: $(READY)  ## branch coverage, with child processes
	$(BIN)/pytest -n auto --dist worksteal --cov --cov-report=term-missing:skip-covered

images: $(READY)  ## build the container images for the tests from packages
	$(BIN)/cryo-harness images build

benchmark: $(READY)
	$(BIN)/python benchmarks/overhead.py

lock:  ## needs uv; the lock files have names, versions and hashes, but no registry address
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --extra dev pyproject.toml -o requirements/dev.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --extra cryo --extra sqs pyproject.toml -o requirements/worker.lock

clean:
	rm -rf $(VENV) out .coverage* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(READY): requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than 3.11: give a newer one with 'make PYTHON=python3.11 …'"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing requirements/dev.lock into $(VENV) (about a minute, once)"
	@# --no-deps because the lock is complete; if pip resolved the extras, it would choose newer releases and fail.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m pip check --disable-pip-version-check
	@touch $@
