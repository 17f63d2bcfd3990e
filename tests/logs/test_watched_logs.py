"""The error rates that docs/logs.md reports, on fewer logs of another seed."""

import importlib.util
from pathlib import Path

import pytest

_file = Path(__file__).parents[2] / "benchmarks" / "watched_logs.py"
_spec = importlib.util.spec_from_file_location("watched_logs", _file)
benchmark = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(benchmark)


def test_few_logs_of_all_kinds_and_formats_get_a_false_verdict():
    pytest.importorskip("tensorboard")
    rates = benchmark.logs(44, seed=3)
    assert rates["false"] <= 0.05
    assert rates["found"] >= 1


@pytest.mark.long
def test_two_hundred_logs_get_at_most_five_percent_false_verdicts():
    pytest.importorskip("tensorboard")
    rates = benchmark.logs(200, seed=4)
    assert rates["false"] <= 0.05
    assert rates["held"] >= 0.85
    assert benchmark.follow(600, seed=4)["false"] <= 0.05
