"""A slice of ``benchmarks/malformed.py``, in this process: malformed inputs are read or refused in words."""

import importlib.util
import random
import sys
from pathlib import Path

import pytest

PLACE = Path(__file__).parents[2] / "benchmarks" / "malformed.py"
_spec = importlib.util.spec_from_file_location("malformed", PLACE)
malformed = sys.modules["malformed"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(malformed)

KINDS = malformed.kinds()


@pytest.mark.parametrize("name", KINDS)
def test_what_is_damaged_can_be_read_when_it_is_whole(name, tmp_path):
    assert malformed.outcome(KINDS[name], malformed.make(KINDS[name], None, tmp_path)) == "read"


@pytest.mark.parametrize("name", KINDS)
def test_malformed_inputs_are_read_or_refused_in_words(name, tmp_path):
    for k in range(8):
        folder = tmp_path / str(k)
        folder.mkdir()
        path = malformed.make(KINDS[name], random.Random(f"a slice {k}"), folder)
        ended = malformed.outcome(KINDS[name], path)
        assert ended in ("read", "refused"), f"input {k}: {ended}"
