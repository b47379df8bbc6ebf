# Each target does all its own set-up on a machine with Python 3.11+, pip and make (and apt for the tests).
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
DEBIAN_PARTS := openssh-server openssh-client p7zip-full gnupg age postgresql chromium libreoffice-calc-nogui systemd strace

.PHONY: demo compiled test test-long fuzz bench lint tools wheelhouse install-offline clean

demo: compiled
	rm -rf demo-out
	$(RUN) -m enclave demo demo-out

test: tools lint
	$(RUN) -m pytest -m "not long" --numprocesses 2 --dist loadfile

test-long: tools
	$(RUN) -m pytest -m long --numprocesses 2 --dist loadfile --timeout 7200

# Hours. Not part of `test`: atheris has wheels for some Pythons only, so it has a lock of its own.
fuzz: $(VENV)/.dev
	$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-fuzz.lock
	$(RUN) -m tests.fuzz

bench: $(VENV)/.dev $(VENV)/peers/.made
	$(RUN) -m benchmarks.identity
	$(RUN) -m benchmarks.linkage $(VENV)/peers/bin/python

lint: $(VENV)/.dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports

# The programs that the tests run against; a missing one fails the tests, so it is installed here.
tools: $(VENV)/.dev
	@missing=""; for program in /usr/sbin/sshd ssh-keygen 7z gpg age chromium soffice systemd-analyze strace; do \
		command -v $$program >/dev/null || missing="$$missing $$program"; done; \
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$$missing postgresql"; \
	if [ -n "$$missing" ]; then echo "installing Debian packages for:$$missing"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(DEBIAN_PARTS); fi

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python requirements.lock pyproject.toml
	$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# Jobs are confined and cannot write their own bytecode; compiled once, each of their processes starts sooner.
compiled: $(VENV)/.demo
	$(RUN) -m compileall -q enclave jobs

$(VENV)/.dev: $(VENV)/bin/python requirements-dev.lock pyproject.toml
	$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@ $(VENV)/.demo

# For an area without a network: `wheelhouse` outside, the checkout with its folder carried in, `install-offline` inside.
wheelhouse: $(VENV)/bin/python
	$(RUN) -m pip download --quiet --disable-pip-version-check --require-hashes --only-binary :all: --dest wheelhouse -r requirements.lock

install-offline: $(VENV)/bin/python
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-index --find-links wheelhouse --require-hashes -r requirements.lock
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation --editable .
	touch $(VENV)/.demo

# What is measured beside us needs another pandas than the program, and is installed apart from it.
$(VENV)/peers/.made: $(VENV)/bin/python benchmarks/requirements-peers.lock
	$(PYTHON) -m venv $(VENV)/peers
	$(VENV)/peers/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r benchmarks/requirements-peers.lock
	touch $@

clean:
	rm -rf $(VENV) demo-out build wheelhouse *.egg-info
