"""Every example runs, and finds what it says it finds."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


FRAMEWORKS = {
    "guard_lightning_ddpm": ("lightning",),
    "guard_monai_ignite": ("ignite", "monai", "einops"),
    "guard_transformers_masked_lm": ("transformers", "accelerate"),
    "train_unconditional": ("accelerate", "diffusers"),
}
"""Examples with a framework, and what they import."""


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_tested_here():
    tested = {"forecast_a_run", "monitor_and_record", "total_memorization", "grammar_in_python", "audit_samples"}
    tested |= {"guard_your_loop", "guard_without_heldout", "guard_flow_matching", "scan_checkpoints", *FRAMEWORKS}
    tested |= {"diffusers_lora"}  # in tests/examples/
    assert {file.stem for file in EXAMPLES.glob("*.py")} == tested


@pytest.mark.slow
def test_a_guarded_loop_stops_once_the_gap_has_opened(capsys):
    verdict = load("guard_your_loop").main()
    assert verdict.stop
    assert verdict.since < verdict.step < 4000
    assert "Stop." in capsys.readouterr().out


@pytest.mark.slow
def test_an_audit_finds_the_copies_of_a_model_that_was_trained_too_long():
    record = load("audit_samples").main()
    assert record.verdict.state == "copies"
    assert record.copies.chance.count == 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*held-out items count as copies:taumem.errors.TaumemWarning")
def test_a_scan_of_saved_adapters_keeps_one_that_exists(tmp_path, capsys):
    found = load("scan_checkpoints").main(tmp_path)
    assert len(found.record.steps) == 21
    assert found.choice.verdict.stop
    assert 0 < found.choice.keep < 640
    assert Path(found.choice.verdict.checkpoint.path).exists()
    assert "Keep checkpoint-" in capsys.readouterr().out


@pytest.mark.slow
def test_flow_matching_stops_before_its_samples_are_copies():
    verdict = load("guard_flow_matching").main()
    assert verdict.stop
    assert verdict.reason == "gap_opened"
    assert verdict.step < 1500


@pytest.mark.slow
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_foreign_trainer_stops_and_its_checkpoint_to_keep_exists(name, tmp_path):
    missing = [package for package in FRAMEWORKS[name] if importlib.util.find_spec(package) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    output = f'["--output", {str(tmp_path)!r}]' if name == "train_unconditional" else f"pathlib.Path({str(tmp_path)!r})"
    # In a process of its own: frameworks take long to import, and change what others do.
    script = f"""
import importlib, pathlib, sys
verdict = importlib.import_module({name!r}).main({output})
assert verdict.stop and verdict.reason == "gap_opened", verdict
assert pathlib.Path(verdict.checkpoint.path).exists(), verdict.checkpoint
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(EXAMPLES), *sys.path]), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Stop." in done.stdout


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The forecast's interval spans:taumem.errors.TaumemWarning")
def test_pilots_say_when_a_run_on_all_items_is_to_stop(tmp_path, capsys):
    verdict = load("guard_without_heldout").main(tmp_path)
    assert verdict.stop
    assert verdict.reason == "forecast"
    told = capsys.readouterr().out
    assert told.count("tau_val is located") == 4
    assert "Forecast for all 128: tau_val at" in told


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_monitored_run_leaves_a_record_with_clocks(tmp_path):
    onsets = load("monitor_and_record").main(tmp_path / "run", n_train=8, steps=110)
    assert {"tau_gen", "tau_val", "tau_gap[0.2]", "tau_copy[0.05]"} <= {onset.clock for onset in onsets}


def test_the_optimum_on_the_training_set_copies_it():
    assert load("total_memorization").main() > 0.95


def test_the_python_of_the_readme_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    readme = (EXAMPLES.parent / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    (code,) = (block for block in blocks if "steps=1000" in block)
    monkeypatch.chdir(tmp_path)
    exec(compile(code.replace("steps=1000", "steps=60"), "README.md", "exec"), {})  # the same, for less long
    assert "tau_val" in capsys.readouterr().out
