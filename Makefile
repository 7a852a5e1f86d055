# Two commands do all the set-up on a fresh machine: `make run` and `make test`.
#
# The environment is `.venv`, made from the first plain Python that is new enough. A stamp is
# written last, so that an interrupted install is done again, and a changed lock file too.

VENV := .venv
PY := $(VENV)/bin/python
RUN_STAMP := $(VENV)/.installed-run
DEV_STAMP := $(VENV)/.installed-dev
# Quiet: pip says nothing unless something is wrong. Wheels only: nothing is compiled here.
INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all:

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test check bench guards lock clean

help:
	@echo 'make run     start the daemon (demo mode: no key, no network needed)'
	@echo 'make test    lint, types, contracts and all tests'
	@echo 'make check   environment, lint, types and contracts, without the tests'
	@echo 'make bench   measurements, each with its peer'
	@echo 'make guards  take each guard out in turn: its test must fail'
	@echo 'make lock    write both lock files anew from pyproject.toml (needs uv)'
	@echo 'make clean   remove the environment and the caches (never data/)'

run: $(RUN_STAMP)
	@exec $(PY) main.py $(ARGS)

# A test file is one piece of work; the cores share the files in the order of the run.
test: check
	$(PY) -m pytest -n auto --maxprocesses 4 --dist loadscope --no-loadscope-reorder $(ARGS)

check: $(DEV_STAMP)
	$(PY) -m pip check --disable-pip-version-check
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy --strict
	$(VENV)/bin/lint-imports

# The peers that are measured against, and the tests' own daemon, come with the tests.
bench: $(DEV_STAMP)
	@if [ -d benchmarks ]; then exec $(PY) -m benchmarks $(ARGS); \
	else echo 'keel: nothing to measure: there is no benchmarks/ folder in this version'; fi

guards: $(DEV_STAMP)
	@exec $(PY) -m tests.removal $(ARGS)

# Hashes and no hosts; what is tested with is what runs, version by version.
LOCK := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-header --no-annotate --quiet pyproject.toml

lock:
	$(LOCK) -o requirements.lock
	$(LOCK) --extra dev -c requirements.lock -o requirements-dev.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A dev environment holds everything that running needs, from the same versions.
$(RUN_STAMP): requirements.lock | $(PY)
	@echo 'keel: installing what running needs into $(VENV)'
	@$(INSTALL) -r requirements.lock
	@touch $@

$(DEV_STAMP): requirements-dev.lock | $(PY)
	@echo 'keel: installing what running and testing need into $(VENV)'
	@$(INSTALL) -r requirements-dev.lock
	@touch $(RUN_STAMP) $@

$(PY):
	@.ci/make-venv $(VENV)
