"""The docs say what the code says."""

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
_spec = importlib.util.spec_from_file_location("tables", DOCS / "tables.py")
tables = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tables)


@pytest.mark.parametrize("page", tables.TABLES)
def test_a_table_of_the_docs_is_that_of_the_code(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    assert tables.with_table(text, tables.TABLES[page]()) == text, "run: python docs/tables.py"
