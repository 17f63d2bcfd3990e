"""Every example runs, and finds what it says it finds."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_tested_here():
    tested = {"watch_your_loop", "forecast_a_run", "monitor_and_record", "total_memorization", "grammar_in_python"}
    assert {file.stem for file in EXAMPLES.glob("*.py")} == tested


def test_a_watched_loop_stops_where_the_heldout_loss_is_lowest(tmp_path, capsys):
    best = load("watch_your_loop").main(tmp_path / "run")
    assert 50 <= best < 750
    assert "keep step" in capsys.readouterr().out


def test_a_model_of_few_strings_copies_them_and_one_of_many_does_not():
    few, many = load("grammar_in_python").main()
    assert few["copy_fraction"] > few["copy_fraction_chance"] + 0.2
    assert many["copy_fraction"] < 0.1
    assert many["valid[1]"] > many["valid[2]"] > many["valid[3]"]


def test_small_runs_forecast_a_large_one():
    if not (EXAMPLES.parent / "experiments" / "images" / "fashion").is_dir():
        pytest.skip("the records of the study are not here (a source distribution leaves them out)")
    forecast = load("forecast_a_run").main()
    assert forecast.low < 3900 < forecast.high  # what the study measured at P = 256


def test_a_monitored_run_leaves_a_record_with_clocks(tmp_path):
    onsets = load("monitor_and_record").main(tmp_path / "run", n_train=8, steps=110)
    assert {"tau_gen", "tau_val", "tau_gap[0.2]", "tau_copy[0.05]"} <= {onset.clock for onset in onsets}


def test_the_optimum_on_the_training_set_copies_it():
    assert load("total_memorization").main() > 0.95


def test_the_python_of_the_readme_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    readme = (EXAMPLES.parent / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    assert "steps=1000" in code
    exec(compile(code.replace("steps=1000", "steps=60"), "README.md", "exec"), {})  # the same, for less long
    assert "tau_val" in capsys.readouterr().out
