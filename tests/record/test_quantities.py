"""The vocabulary of quantities: whatever the project records has a unit and a meaning."""

import ast
import re
from pathlib import Path

import pytest

import taumem
from taumem.record import QUANTITIES, family_of, find_runs, read_runs

PROBES = Path(taumem.__file__).parent / "probes"
EXPERIMENTS = Path(taumem.__file__).parents[2] / "experiments"


def names_in(file: Path) -> set[str]:
    """The quantities that a module names, with a likely word where a name is put together."""
    named: list[ast.expr] = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and "quantity" in (keywords := {k.arg: k.value for k in node.keywords}):
            named.append(keywords["quantity"])
        elif isinstance(node, ast.Call) and ast.unparse(node.func).lstrip("_") in ("mean", "share", "self._divergence"):
            named += node.args[:1]
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "quantity":
            named.append(node.value)
    # A name that is handed over whole, f"{quantity}[{size}]", stands where it is handed over.
    written = (written_out(node) for node in named if isinstance(node, ast.Constant | ast.JoinedStr))
    return {name for name in written if family_of(name) != "train"}


def written_out(name: ast.expr) -> str:
    text = ast.unparse(name).lstrip("f").strip("'")
    parts = (r"\[\{.*?\}\]", "[1]"), (r"\{(self\.index|ending)\}", ""), (r"^\{.*?\}", "train"), (r"\{.*?\}$", "ngram")
    for pattern, word in parts:
        text = re.sub(pattern, word, text)
    return text


def test_all_that_the_probes_record_is_in_the_table():
    names = set().union(*(names_in(file) for file in PROBES.glob("*.py")))
    assert {"train_loss", "gap_sym", "valid[1]", "ngram_divergence_chance[1]", "heldout_bits_ngram"} <= names
    assert {family_of(name) for name in names} <= set(QUANTITIES)


@pytest.mark.slow
@pytest.mark.skipif(not EXPERIMENTS.is_dir(), reason="the studies are not part of the package")
def test_all_that_the_published_studies_recorded_is_in_the_table():
    one_of_each = {run.parent: run for run in find_runs(EXPERIMENTS)}
    assert one_of_each
    for record in read_runs(*one_of_each.values()):
        assert {family_of(name) for name in record.quantities} <= set(QUANTITIES), record.path


def test_a_quantity_says_its_unit_and_what_it_means():
    for name, quantity in QUANTITIES.items():
        assert name == quantity.name == family_of(name)
        assert quantity.unit
        assert not quantity.unit.endswith(".")
        assert quantity.meaning
        assert not quantity.meaning.endswith(".")
