# All build .venv first.
# make run: the main job on real data.
# make test: lint, and every test that is cheap: some five minutes on two cores.
# make test-slow: the rest: the commands of README and guides on real data, simulated coverage, kills of whole searches.
# make test-fleet: eight workers on one study, and a shop's tables, in PostgreSQL (Debian: apt-get install postgresql).
# make test-spark: that Spark gives what DuckDB gives (Debian: apt-get install openjdk-17-jre-headless).
# make test-install: that a model's requirements suffice: three minutes, for an installation from the package index.
# make test-all: everything but that, in one pool of two processes, so that no core waits.
# make docs: docs/configuration.md and docs/data-dictionary.md, from the code and conf/.
# make bench: how fast it is, into benchmarks/results.md.  make bench-faults: what SIGKILLs leave, benchmarks/{writes,faults}.md.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
SPARK := .venv/installed-spark
POOL := -n 2 --dist loadgroup --no-loadscope-reorder  # the longest first; see tests/conftest.py for what stays together

.PHONY: run test test-slow test-fleet test-spark test-install test-all install install-spark java postgresql docs
.PHONY: bench bench-amounts bench-attrition bench-coverage bench-decisions bench-faults bench-first-use
.PHONY: bench-monitoring bench-recipes bench-recommendation lint format lock clean

run: $(INSTALLED)
	$(BIN)/experiments run

test: $(INSTALLED)
	$(call with_lint,$(BIN)/pytest $(POOL))

test-slow: $(INSTALLED)
	$(BIN)/pytest -m slow $(POOL)

test-fleet: $(INSTALLED)
	$(BIN)/pytest -m fleet tests/test_fleet.py tests/test_database_server.py

test-spark: java $(SPARK)
	$(BIN)/pytest -m spark $(POOL)

test-install: $(INSTALLED)
	$(BIN)/pytest -m install

test-all: java postgresql $(SPARK)
	$(call with_lint,$(BIN)/pytest -m "not install" $(POOL))

install: $(INSTALLED)

install-spark: $(SPARK)

java:
	@command -v java >/dev/null || { echo "Java 17 is missing: apt-get install openjdk-17-jre-headless"; exit 1; }

postgresql:
	@command -v initdb /usr/lib/postgresql/*/bin/initdb >/dev/null || { echo "PostgreSQL is missing: apt-get install postgresql"; exit 1; }

docs: $(INSTALLED)
	$(BIN)/python docs/generate.py

bench: $(INSTALLED)
	$(BIN)/python benchmarks/speed.py

# Some twenty minutes: how far amounts can be trusted on simulated shops, into benchmarks/amounts.md.
bench-amounts: $(INSTALLED)
	PYTHONPATH=tests $(BIN)/python benchmarks/amounts.py

# Some five minutes: how often facts that know who stayed are found, into benchmarks/attrition.md.
bench-attrition: $(INSTALLED)
	PYTHONPATH=tests $(BIN)/python benchmarks/attrition.py

# Some five minutes: alarms of monitoring in simulated shops, into benchmarks/monitoring.md.
bench-monitoring: $(INSTALLED)
	PYTHONPATH=tests $(BIN)/python benchmarks/monitoring.py

# Some fifteen minutes: how often intervals hold the truth, into benchmarks/coverage.md.
bench-coverage: $(INSTALLED)
	PYTHONPATH=tests $(BIN)/python benchmarks/coverage.py

# An hour and a half on one core: what the gate puts to use in simulated shops, into benchmarks/decisions.md.
bench-decisions: $(INSTALLED)
	PYTHONPATH=tests $(BIN)/python benchmarks/decisions.py

# Some eight minutes: when a baseline should be used first, in simulated and real shops, into benchmarks/first_use.md.
bench-first-use: $(INSTALLED)
	PYTHONPATH=tests $(BIN)/python benchmarks/first_use.py

# Some ten minutes: the search beside recipes by hand, into benchmarks/recipes.md.
bench-recipes: $(INSTALLED)
	PYTHONPATH=tests $(BIN)/python benchmarks/recipes.py

# Some five minutes: counts of pairs, rules, EASE and lists, into benchmarks/recommendation.md.
bench-recommendation: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/recommendation.py

# Some forty minutes; PostgreSQL as above.
bench-faults: $(INSTALLED)
	PYTHONPATH=tests $(BIN)/python benchmarks/writes.py
	PYTHONPATH=tests $(BIN)/python benchmarks/faults.py

# Ruff first, which takes a second; mypy, which takes one core, beside the tests. What fails of both fails all.
define with_lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(BIN)/mypy & types=$$!; $(1); tests=$$?; wait $$types && exit $$tests
endef

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(INSTALLED): requirements.lock pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; sys.version_info[:2] == (3, 11) or sys.exit("Python 3.11 is needed, $(PYTHON) is %d.%d: make PYTHON=python3.11 …" % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -m compileall -qq -j 0 -x /tests/ .venv/lib || true  # on all cores, where pip uses one; templates fail
	$(BIN)/python -m compileall -q src  # where Python may not write it later, each command would take a second more
	@touch $(INSTALLED)

$(SPARK): requirements-spark.lock $(INSTALLED)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-spark.lock
	@touch $(SPARK)

# Needs uv; the lock file holds hashes and no addresses.
lock:
	uv pip compile --universal --generate-hashes --no-header --python-version 3.11 \
	    --extra dev --extra database --extra fleet --upgrade --output-file requirements.lock pyproject.toml
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["spark"])' | \
	    uv pip compile --universal --generate-hashes --no-header --python-version 3.11 \
	    --upgrade --output-file requirements-spark.lock -

clean:
	rm -rf .venv .cache outputs
