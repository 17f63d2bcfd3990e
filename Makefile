# Each target is complete in itself: it makes .venv if it is missing and installs what it needs.
PYTHON ?= python3
VENV := .venv/bin

.PHONY: demo test check docs package lowest hooks clean

demo: .venv/.installed
	$(VENV)/taumem demo

test: .venv/.installed-test
	$(VENV)/python -m pytest

check: .venv/.installed-dev
	$(VENV)/ruff format --check .
	$(VENV)/ruff check .
	$(VENV)/mypy

# The site, in site/.
docs: .venv/.installed-docs
	$(VENV)/mkdocs build

# The sdist and the wheel, in dist/, and whether they work elsewhere.
package: .venv/.installed-dev
	bash .ci/package

# The lowest versions that pyproject.toml allows.
lowest: .venv/.installed
	bash .ci/lowest

# git runs ruff and mypy before each commit.
hooks: .venv/.installed-dev
	$(VENV)/pre-commit install

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("taumem needs Python 3.11 or later; this is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv

.venv/.installed: .venv/bin/python pyproject.toml
	$(VENV)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

.venv/.installed-%: .venv/bin/python pyproject.toml
	$(VENV)/python -m pip install --quiet --disable-pip-version-check -e '.[$*]'
	touch $@ .venv/.installed

clean:
	rm -rf .venv dist site
