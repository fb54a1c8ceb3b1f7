# make run: the main job on real data.  make test: lint and all tests.  All build .venv first.
# make test-fleet: eight workers on one study, by PostgreSQL (Debian: apt-get install postgresql) and an MLflow server.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: run test test-fleet bench-faults lint format lock clean

run: $(INSTALLED)
	$(BIN)/experiments run

test: lint
	$(BIN)/pytest -n 2 --dist worksteal

test-fleet: $(INSTALLED)
	$(BIN)/pytest -m fleet tests/test_fleet.py

# Writes benchmarks/faults.md; some ten minutes, PostgreSQL as above.
bench-faults: $(INSTALLED)
	PYTHONPATH=tests $(BIN)/python benchmarks/faults.py

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info[:2] == (3, 11) or sys.exit("Python 3.11 is needed, $(PYTHON) is %d.%d: make PYTHON=python3.11 …" % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(INSTALLED)

# Needs uv; the lock file holds hashes and no addresses.
lock:
	uv pip compile --universal --generate-hashes --no-header --python-version 3.11 \
	    --extra dev --extra fleet --upgrade --output-file requirements.lock pyproject.toml

clean:
	rm -rf .venv .cache outputs
