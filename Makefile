# Everything from a fresh clone: `make quickstart` and `make test` build what they need.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: quickstart test lint check clean screenshots

quickstart: $(VENV)/installed
	$(BIN)/orchid run quickstart

test: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pytest -n 2 --dist worksteal

screenshots: $(VENV)/installed  # of the quickstart's report, for the README; needs chromium
	test -e runs/quickstart-smoke/ledger.sqlite || $(BIN)/orchid run quickstart
	$(BIN)/python -m reports.screenshot runs/quickstart-smoke docs

check:
	@command -v $(PYTHON) >/dev/null || { echo "missing: $(PYTHON). Install Python 3.11 or later, or: make PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "missing: Python 3.11 or later; $(PYTHON) is `$(PYTHON) --version`. Try: make PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "missing: the venv module of $(PYTHON) (Debian: apt install python3-venv)"; exit 2; }
	@test -d $(VENV) || test `df -Pk . | awk 'NR == 2 {print int($$4 / 1048576)}'` -ge 3 || { echo "missing: disk space; the environment takes 2 GB and room to install it, here are `df -Ph . | awk 'NR == 2 {print $$4}'`"; exit 2; }

$(VENV)/installed: setup.cfg constraints.txt | check
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -e .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/pip install --quiet -c constraints.txt -e '.[test]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
