# Everything happens in .venv, made at the first call, and .local, where the running system keeps its state.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
BIN := .venv/bin
# By their modules and not their scripts: a script's first line cannot name every directory.
PIP = $(BIN)/python -m pip --disable-pip-version-check
UV = $(BIN)/uv

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name what; do printf '  make %-15s%s\n' "$$name" "$$what"; done

run: override export VIDEO := $(value VIDEO)
run: override export OPTIONS := $(value OPTIONS)
run: override export STATE := $(value STATE)
run: .venv/local ## start the whole system; with VIDEO=video.mp4: make video.mp3 beside it and stop; OPTIONS=format=opus
	@exec $(BIN)/python -m emulator

# More than there are cores, for much of what tests do is waiting.
WORKERS ?= 4
PYTEST = $(BIN)/python -m pytest --numprocesses=$(WORKERS)

check: .venv/dev ## in under a minute: format, lint, types, and the tests that need no server
	@$(MAKE) --no-print-directory --output-sync --jobs=2 lint quick-tests

lint: .venv/dev ## ruff, and mypy --strict
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m mypy

quick-tests: .venv/dev
	$(BIN)/python -m pytest -q --numprocesses=2 tests/check tests/compose tests/k8s $(ARGS)

test: .venv/dev ## run every test against real servers, then some on other Pythons; ARGS=--ff: what failed last comes first
	$(BIN)/python -m emulator.packages browser
	$(PYTEST) $(ARGS)
	$(if $(ARGS),,$(MAKE) --no-print-directory other-pythons)

coverage: .venv/dev ## the same tests, measured in every process that they start, which takes half as long again
	$(BIN)/python -m emulator.packages browser
	$(PYTEST) --cov --cov-processes --cov-report=term:skip-covered $(ARGS)

# What may be another with another Python: ours and the libraries' code in the tests' own processes, and each process of
# the system once. What is left out waits for servers and ffmpeg, which are the same for every Python (the bridge when
# its broker is away, processes that are killed, transcoding, the page, the emulator's terminal), or reads files of the
# repository only.
ON_EVERY_PYTHON = tests/check tests/stores tests/functions tests/events/test_bridge_contract.py \
    tests/acceptance/test_journey.py -k 'not one_command' \
    --ignore=tests/stores/test_history.py \
    $(addprefix --ignore=tests/check/test_,$(addsuffix .py,docs encodings layout platform_settings requirements))

# Of one between the oldest and the newest: what needs no server.
ON_3.12 = tests/check $(filter --ignore=tests/check/%,$(ON_EVERY_PYTHON))

# Those that pyproject.toml promises, side by side.
other-pythons: .venv/dev ## some of the tests on every other supported Python that is here
	@$(MAKE) --no-print-directory --output-sync --jobs=2 python-3.11 python-3.12 python-3.13

# A shim of pyenv's is on the PATH for versions that are not chosen too, so each has to answer.
python-%:
	@says='import sys; print("%d.%d" % sys.version_info[:2])'
	if [ "$$($(BIN)/python -c "$$says")" = $* ]; then exit; fi
	for python in python$* "$${PYENV_ROOT:-$${HOME:-}/.pyenv}"/versions/$*.*/bin/python ''; do
	    if [ "$$("$$python" -c "$$says" 2>/dev/null)" = $* ]; then break; fi
	done
	if [ -z "$$python" ]; then echo "Python $*: there is none here, so nothing is tested on it"; exit; fi
	echo "Python $*: $$python"
	$(UV) venv --quiet --no-config --clear --python "$$python" .venv/$*
	$(call install,.venv/$*/bin/python,dev)
	.venv/$*/bin/python -m pytest -q --numprocesses=$(WORKERS) -o cache_dir=.venv/$*/pytest $(or $(ON_$*),$(ON_EVERY_PYTHON))

bench: .venv/dev ## print how good it is, as ratios within one run
	$(BIN)/python -m emulator.packages
	$(BIN)/python -m tests.bench $(ARGS)

MINUTES ?= 10
SEED ?= 1
soak: .venv/dev ## break a running system at random for MINUTES, by SEED, and audit what is left
	$(BIN)/python -m emulator.packages
	$(BIN)/python -m tests.soak --minutes $(MINUTES) --seed $(SEED)

fuzz: .venv/dev ## send a running system hostile requests for MINUTES, by SEED, and look at what is left
	$(BIN)/python -m emulator.packages
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES) --seed $(SEED)

corpus: .venv/dev ## convert every media file below FOLDER, and say what came of each
	$(BIN)/python -m tests.corpus "$(FOLDER)"

UPGRADE ?= --upgrade
LOCK = $(UV) pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate
lock: .venv/dev ## pin the newest versions that requirements/*.in allow; `make lock UPGRADE=` keeps those that are pinned
	$(LOCK) $(UPGRADE) requirements/uv.in -o requirements/uv.txt
	$(LOCK) $(UPGRADE) requirements/dev.in -o requirements/dev.txt
	for set in light convert local; do $(LOCK) requirements/$$set.in -c requirements/dev.txt -o requirements/$$set.txt; done

secrets: ## make passwords and keys in .secrets, for Kubernetes or to have docker compose take them from there
	@python3 -m functions.secrets.passwords

images: ## build video-to-mp3/light and video-to-mp3/convert
	for target in light convert; do docker build --target $$target --tag video-to-mp3/$$target:$(or $(TAG),latest) .; done

# Where there is a maker of the official images beside the checkout, there is no registry to pull them from.
STANDINS := ../shared/standins/build.sh
compose-test: .venv/dev ## the contract in the images; restart every service of docker-compose.yml in mid-work: is anything lost?
	if [ -x $(STANDINS) ]; then $(STANDINS) --buildkit $$($(STANDINS) --tags docker-compose.yml Dockerfile 2>/dev/null); fi
	$(BIN)/python -m tests.compose.restarts
	HOSTED_IN_IMAGES=compose-test $(BIN)/python -m pytest tests/functions/test_hosting.py -k container

SYSTEMS ?= bookworm,trixie
USERS ?= root,user
PIPS ?= oldest,newest
fresh-test: .venv/dev ## the README's commands in fresh roots of SYSTEMS, as USERS, with PIPS (needs root and debootstrap)
	$(BIN)/python -m tests.fresh --systems $(SYSTEMS) --users $(USERS) --pips $(PIPS) $(if $(MIRROR),--mirror $(MIRROR)) $(ARGS)

clean: ## remove .venv, the state of the system and what tools left
	rm -rf .venv .local .coverage* .mypy_cache .ruff_cache .hypothesis .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help run check lint quick-tests test coverage other-pythons bench soak fuzz corpus lock secrets images compose-test fresh-test clean

# What is installed is what was tested. The locks are complete, so nothing is resolved that a registry could answer
# differently tomorrow (pypa/pip#9644), and every file is checked against its hash. uv takes a tenth of pip's time; where
# it does not reach the index that pip is set up for, pip does the same.
define install
	locked='--quiet --require-hashes --no-deps -r requirements/$(2).txt'
	if $(UV) pip install --no-config --python $(1) $$locked; then
	    $(UV) pip check --quiet --no-config --python $(1)
	else
	    $(PIP) --python $(1) install $$locked
	    $(PIP) --python $(1) check
	fi
endef

.venv/local .venv/dev: .venv/%: requirements/%.txt | .venv/bin/uv
	@$(call install,$(BIN)/python,$*)
	touch $@

.venv/bin/uv: requirements/uv.txt | .venv/bin/pip
	@$(PIP) install --quiet --require-hashes --no-deps -r $<
	touch $@

# The first of these that we run on. Debian leaves out what makes virtual environments.
.venv/bin/pip:
	@for python in $(PYTHON) python3 python3.13 python3.12 python3.11; do
	    if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then break; fi
	    python=
	done
	if [ -z "$$python" ]; then
	    echo 'There is no Python 3.11, 3.12 or 3.13 here. Install one, or name it: make PYTHON=/path/to/python3.12 …' >&2; exit 1
	fi
	if ! $$python -c 'import ensurepip, venv' 2>/dev/null; then
	    package=$$($$python -c 'import sys; print(f"python3.{sys.version_info[1]}-venv")')
	    get="$$([ $$(id -u) = 0 ] || echo sudo -n) env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120"
	    echo "installing $$package …"
	    $$get install -y --no-install-recommends $$package || { $$get update && $$get install -y --no-install-recommends $$package; } \
	        || { echo "$$python makes no virtual environments here. As root: apt-get install $$package" >&2; exit 1; }
	fi
	rm -rf .venv
	# As `python -m venv` does it, but also below a directory with a colon in its name, which that refuses because
	# `activate` would write it into PATH. Nothing here is activated.
	$$python -c 'import os, venv; os.pathsep = "\n"; venv.create(".venv", symlinks=True, with_pip=True)'
.ONESHELL:
