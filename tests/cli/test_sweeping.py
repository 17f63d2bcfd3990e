"""The verbs sweep and ls, as a user meets them."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from taumem.analysis import Onset
from taumem.cli import main
from taumem.errors import ConfigError
from taumem.lab.executors import EXECUTORS
from taumem.record.state import State, note_state

TOML = """
name = "rates"
n_train = [8, 16]
twins = false
data = {source = "mixture", dimensions = 4, n_items = 256, n_heldout = 64}
model = {kind = "mlp", width = 16, depth = 1}
training = {batch_size = 4, min_steps = 300, steps_per_example = 0}
monitor = {n_items = 16, n_heldout_items = 32, first = 4, per_doubling = 2, n_samples = 8, sampling_steps = 3}
"""
NAMES = [f"learning_rate={rate}/P{n:06d}-seed0" for rate in ("0.003", "0.01") for n in (8, 16)]
OVER = "training.learning_rate=3e-3,1e-2"


def taumem(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    return int(stop.value.code or 0)


@pytest.fixture(scope="module")
def swept(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("swept")
    (folder / "rates.toml").write_text(TOML)
    assert taumem("sweep", folder / "rates.toml", "--over", OVER, "-o", folder / "out", "--workers", 1) == 0
    return folder / "out"


@pytest.mark.slow
def test_a_sweep_prints_where_its_runs_stand_and_ls_says_the_same(swept, capsys):
    again = ["sweep", swept.parent / "rates.toml", "--over", OVER, "-o", swept, "--workers", 1]
    assert taumem(*again) == 0
    printed, told = capsys.readouterr()
    assert "Memory" not in told  # nothing is left to make
    assert "learning_rate=0.003/P000008-seed0" in printed
    assert "4 runs: 4 finished." in printed
    assert taumem("ls", swept) == 0
    assert capsys.readouterr().out == printed
    assert taumem(*again, "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert (content["n_runs"], content["failures"]) == (4, {})
    assert taumem("ls", swept, "--json") == 0
    assert json.loads(capsys.readouterr().out)["runs"] == content["runs"]
    assert {run["state"] for run in content["runs"]} == {"finished"}
    assert set(content["runs"][0]["clocks"]["tau_val"]) == {"step", "low", "high", "censored"}


@pytest.mark.slow
def test_the_studies_of_a_sweep_are_fitted_alone_or_as_one_law_with_the_setting_in_it(swept, capsys, monkeypatch):
    def planted(records, **options):
        keys = [(r.header.key, r.header.experiment["training"]["learning_rate"]) for r in records]
        steps = {key: 8 * key.n_train * (rate / 1e-3) ** -0.5 for key, rate in keys}
        return [
            Onset(step, 0.9 * step, 1.1 * step, "no", "tau_val", key, settings={"training.learning_rate": rate})
            for (key, rate), step in zip(keys, steps.values(), strict=True)
        ]

    monkeypatch.setattr("taumem.analysis.study.find_onsets", planted)
    assert taumem("fit", swept / "learning_rate=0.003", "--json") == 0
    assert "Several experiments" not in capsys.readouterr().err
    assert taumem("fit", swept, "--covariate", "training.learning_rate", "--json") == 0
    captured = capsys.readouterr()
    law = json.loads(captured.out)["laws"]["tau_val"]
    (rate,) = law["covariates"]
    assert rate["name"] == "training.learning_rate"
    assert rate["coefficient"]["value"] == pytest.approx(-0.5, abs=1e-3)
    assert law["exponent"]["value"] == pytest.approx(1, abs=1e-3)
    assert "settings that the law is told of (--covariate)" in " ".join(captured.err.split())
    assert taumem("fit", swept, "--covariate", "training.learning_rate") == 0
    assert "-0.5" in capsys.readouterr().out
    assert taumem("fit", swept, "--covariate", "training.lerning_rate") == 2
    assert "did you mean 'training.learning_rate'" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_a_failed_run_is_a_line_on_standard_error_and_exit_code_1(tmp_path, capsys):
    (tmp_path / "rates.toml").write_text(TOML)
    over = "training.learning_rate=1e30,3e-3"
    command = ["sweep", tmp_path / "rates.toml", "--over", over, "-o", tmp_path / "out", "--workers", 1]
    assert taumem(*command) == 1
    captured = capsys.readouterr()
    failures = [line for line in captured.err.splitlines() if line.startswith("failed:")]
    assert len(failures) == 2
    assert re.search(r"^Memory: .* at the peak .*, for each run at once\.$", captured.err, re.MULTILINE)
    assert all("smaller learning rate" in line for line in failures)
    assert "4 runs: 2 finished, 2 failed." in captured.out
    assert taumem("ls", tmp_path) == 0  # which says why, from files alone
    assert capsys.readouterr().out.count("smaller learning rate") == 2


@pytest.mark.slow
def test_ls_tells_what_is_under_way_what_was_killed_and_what_has_not_begun(swept, tmp_path, capsys):
    copy = shutil.copytree(swept, tmp_path / "out")
    runs = [copy / name for name in NAMES]
    shutil.rmtree(runs[0])
    for run in runs[1:3]:
        lines = (run / "measurements.jsonl").read_bytes().splitlines(keepends=True)
        (run / "measurements.jsonl").write_bytes(b"".join(lines[: len(lines) // 2]) + b'{"torn')
    note_state(runs[1], State("running", 123))
    note_state(runs[2], State("running", 123, pid=2**22 + 1))
    assert taumem("ls", copy, "--json") == 0
    told = {
        run["run"]: (run["state"], run["step"], run["steps"]) for run in json.loads(capsys.readouterr().out)["runs"]
    }
    states = [("not begun", 0, 300), ("running", 123, 300), ("interrupted", 123, 300), ("finished", 300, 300)]
    assert told == {str(run): state for run, state in zip(runs, states, strict=True)}
    assert taumem("ls", copy) == 0
    assert "running at 123 of 300" in capsys.readouterr().out
    assert taumem("ls", swept, copy, "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["runs"]) == 8
    assert taumem("ls", copy / NAMES[3]) == 0
    assert "\n1 run: 1 finished." in capsys.readouterr().out


@pytest.mark.slow
def test_the_names_of_runs_are_one_a_line_as_a_job_array_wants_them(swept, capsys):
    assert taumem("sweep", swept.parent / "rates.toml", "--over", OVER, "--names") == 0
    assert capsys.readouterr().out.splitlines() == NAMES


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--over", "training.lerning_rate=1,2"], "did you mean 'learning_rate'"),
        (["--over", "training.learning_rate=1e-3,0.001"], "make the same study"),
        (["--only", "P000064*"], "no such study or run"),
        (["--executor", "slrum"], "did you mean 'slurm'"),
        (["--executor", "ray"], "pip install 'taumem[ray]'"),
        (["--executor", "slurm"], "pip install 'taumem[slurm]'"),
        (["--executor", "slurm", "--slurm", "timeout_min"], "--slurm takes option=value"),
        (["--gpus", "1"], "--gpus is for --executor ray or slurm; here it is local"),
        (["--executor", "ray", "--slurm", "mem_gb=3"], "--slurm is for --executor slurm; here it is ray"),
        (["--executor", "slurm", "--address", "auto"], "--address is for --executor ray; here it is slurm"),
        (["--workers", "0"], "at least 1 process trains"),
    ],
)
def test_bad_input_to_a_sweep_is_one_line_and_leaves_nothing(swept, tmp_path, capsys, monkeypatch, arguments, words):
    for extra in ("ray", "submitit"):
        monkeypatch.setitem(sys.modules, extra, None)
    assert taumem("sweep", swept.parent / "rates.toml", "-o", tmp_path / "out", *arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_file_of_a_sweep_is_refused_by_run_which_names_the_verb(tmp_path, capsys):
    (tmp_path / "rates.toml").write_text(TOML + "[over]\nseeds = [[0], [1]]\n")
    assert taumem("run", tmp_path / "rates.toml", "-o", tmp_path / "out") == 2
    assert "taumem sweep" in capsys.readouterr().err
    assert taumem("sweep", tmp_path / "rates.toml", "--names") == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["run", "sweep"])
def test_what_the_file_tells_submitit_reaches_it(tmp_path, monkeypatch, capsys, verb):
    def submitted(folder, resources):
        raise ConfigError(str(dict(resources.slurm)))

    monkeypatch.setitem(EXECUTORS, "slurm", submitted)
    (tmp_path / "rates.toml").write_text(TOML + "[slurm]\ntimeout_min = 5\nmem_gb = 2\n")
    command = [verb, tmp_path / "rates.toml", "-o", tmp_path / "out", "--executor", "slurm", "--slurm", "mem_gb=3"]
    assert taumem(*command) == 2
    assert "{'timeout_min': 5, 'mem_gb': 3}" in capsys.readouterr().err


@pytest.mark.slow
def test_looking_at_a_sweep_loads_no_torch(swept):
    script = f"import sys; sys.argv = ['taumem', 'ls', {str(swept)!r}]; from taumem.cli import main\n"
    script += "try: main()\nexcept SystemExit: pass\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
