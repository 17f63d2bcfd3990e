"""The docs say what the code says."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
SOURCE = DOCS.parent / "src" / "taumem"
_spec = importlib.util.spec_from_file_location("tables", DOCS / "tables.py")
tables = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tables)


@pytest.mark.parametrize("page", tables.TABLES)
def test_a_table_of_the_docs_is_that_of_the_code(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    assert tables.with_table(text, tables.TABLES[page]()) == text, "run: python docs/tables.py"


def described(function: ast.FunctionDef) -> list[str]:
    section = re.search(r"^Args:\n((?: {4}.*\n|\n)*)", (ast.get_docstring(function) or "") + "\n", re.M)
    return re.findall(r"^ {4}\**(\S[^:]*):", section[1], re.M) if section else []


def test_a_docstring_describes_arguments_that_there_are_one_by_one():
    unknown = []
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and (names := described(node)):
                has = {each.arg for each in ast.walk(node.args) if isinstance(each, ast.arg)}
                unknown += [(file.name, node.name, name) for name in names if name not in has]
    assert not unknown, "the strict build of the site refuses these"
