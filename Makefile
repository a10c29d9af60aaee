# `make study` runs the study from its config to its paper; `make test` checks the code.
# Both first install the packages of requirements.lock into .venv, once; after that, no network.
STUDY ?= laptop
PROFILE ?= default
PYTHON ?= python3.13 python3.12 python3.11 python3

VENV := .venv
BIN := $(VENV)/bin
# A copy of the lock, made when all of it is installed: an interrupted install is begun again.
STAMP := $(VENV)/requirements.lock
LOG := $(VENV)/install.log
UV := uv==0.13.8

.PHONY: help study paper report test lint publish docs lock clean always

help:  ## say what make can do
	@echo 'make TARGET, where TARGET is one of'
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1|\2/p' Makefile | awk -F'|' '{printf "  %-7s  %s\n", $$1, $$2}'

study: $(STAMP)  ## run a study and write its paper [STUDY=laptop, or the path of a config] [PROFILE=default]
	@exec $(BIN)/vanishing study "$(STUDY)" --profile "$(PROFILE)"

paper: $(STAMP)  ## write the paper of what is done so far, while a study may run [STUDY=laptop]
	@exec $(BIN)/vanishing paper "$(STUDY)"

report: $(STAMP)  ## write Snakemake's own report of a study: which rule made what [STUDY=laptop]
	@exec $(BIN)/vanishing report "$(STUDY)" --profile "$(PROFILE)"

test: lint  ## check the style, then run all tests, among them a small study from end to end
	@OMP_NUM_THREADS=1 exec $(BIN)/python -m pytest -q -n logical --maxprocesses 8 --dist worksteal

lint: $(STAMP)  ## check the style of the code and of the workflow
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet || { echo '$(BIN)/ruff format sets this right' >&2; exit 1; }
	@PATH="$(CURDIR)/$(BIN):$$PATH" snakefmt --check Snakefile workflow/rules
	@PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --lint --config study=smoke

publish: $(STAMP)  ## copy paper and verdicts of a finished study to reports/published and README.md [STUDY=laptop]
	@$(BIN)/vanishing publish "results/$(STUDY)"

docs: $(STAMP)  ## write the data dictionary and the schema of the configs anew
	@$(BIN)/vanishing docs

# Pins stay as they are unless pyproject.toml asks for others; UPGRADE=--upgrade takes the newest.
# What torch brings for a GPU on Linux (nvidia, cuda, triton) is left to torch: it is not everywhere.
lock: $(STAMP)  ## write requirements.lock anew from pyproject.toml [UPGRADE=--upgrade]
	@$(BIN)/python -m pip install --quiet '$(UV)'
	@cp requirements.lock $(VENV)/new.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev $(UPGRADE) \
	  --no-annotate --no-header --no-emit-index-url --output-file $(VENV)/new.lock pyproject.toml
	@{ echo '# Exact versions of all that pyproject.toml asks for; `make lock` writes this file.'; \
	  grep -v -E '^(#|nvidia-|cuda-|triton)' $(VENV)/new.lock; } > $(VENV)/requirements.new
	@cmp -s $(VENV)/requirements.new requirements.lock || cp $(VENV)/requirements.new requirements.lock

clean:  ## remove .venv and what the tools left (results/ stays)
	@rm -rf $(VENV) .pytest_cache .ruff_cache build dist src/vanishing/engine/__pycache__

$(STAMP): requirements.lock $(if $(wildcard $(BIN)/python),,always)
	@if test -x $(BIN)/python && cmp -s requirements.lock $@; then touch $@; exit 0; fi; \
	set -e; found=; usable=; \
	for python in $(PYTHON); do \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	  found=$$python; \
	  if "$$python" -c 'import venv, ensurepip' 2>/dev/null; then usable=$$python; break; fi; \
	done; \
	if test -z "$$found"; then \
	  echo 'Python 3.11 or newer is needed, and none was found among: $(PYTHON)' >&2; \
	  echo 'Install one, or say where it is: make study PYTHON=/path/to/python3' >&2; exit 2; \
	elif test -z "$$usable"; then \
	  echo "$$found cannot make virtual environments: its modules venv and ensurepip are missing." >&2; \
	  echo "On Debian and Ubuntu: sudo apt install $${found##*/}-venv" >&2; exit 2; \
	fi; \
	packages=$$(grep -c == requirements.lock); \
	echo "installing $$packages packages into $(VENV), once: about 4 minutes (details: $(LOG))"; \
	rm -rf $(VENV); "$$usable" -m venv $(VENV); \
	{ $(BIN)/python -m pip install --progress-bar off -r requirements.lock && \
	  $(BIN)/python -m pip install --no-deps --no-build-isolation -e . && \
	  $(BIN)/python -m vanishing.engine.ahead; } > $(LOG) 2>&1 || \
	  { tail -n 15 $(LOG) >&2; echo 'the install failed; make starts it again' >&2; exit 1; }; \
	cp requirements.lock $@
