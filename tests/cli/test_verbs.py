"""The command line, as a user meets it: each verb in a process or in this one, its output, its exit code."""

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from taumem import lab
from taumem.analysis import Onset, order_of, usual_prior
from taumem.cli import main
from taumem.cli.tables import show_order
from taumem.record import DataFacts, Measurement, RunHeader, RunKey, RunRecord, read_runs

TINY = """
name = "tiny"
n_train = [8, 16]
[data]
source = "mixture"
dimensions = 4
n_items = 256
n_heldout = 64
[model]
kind = "mlp"
width = 16
depth = 1
[training]
batch_size = 4
learning_rate = 1e-2
min_steps = 600
steps_per_example = 0
[monitor]
n_items = 16
n_heldout_items = 64
first = 4
n_samples = 8
sampling_steps = 3
"""


def taumem(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    return int(stop.value.code or 0)


def output_of(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict:
    assert taumem(*arguments) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    (folder / "tiny.toml").write_text(TINY)
    taumem("run", folder / "tiny.toml", "-o", folder / "out", "--workers", "1")
    return folder / "out"


def test_run_leaves_runs_a_report_and_the_experiment(study):
    assert {p.name for p in study.iterdir()} >= {"experiment.json", "report.html", "P000008-seed0-a", "P000016-seed0-b"}


OF_THE_DIAGRAM = {"boundaries", "clock", "levels", "over", "price", "sample_complexities"}


@pytest.mark.slow
def test_run_prints_one_json_object(study, capsys):
    content = output_of(capsys, "run", study / "experiment.json", "-o", study, "--workers", "1", "--json")
    assert set(content) == {
        "cautions",
        "confidence",
        "exponents",
        "lacking",
        "laws",
        "not_fitted",
        "onsets",
        "order",
        "report",
        "seconds",
        "stopping_price",
        "unit",
        *OF_THE_DIAGRAM,
    }
    assert Path(content["report"]).exists()
    assert {"tau_gen", "tau_val", "tau_gap[0.2]"} <= {o["clock"] for o in content["onsets"]}


GRAMMAR = """
name = "tiny-grammar"
n_train = [4, 8, 16]
seeds = [0, 1]
twins = false
data = {source = "grammar", v = 4, m = 2, s = 2, L = 2, n_heldout = 16}
diffusion = {kind = "masked", weighting = "x0"}
model = {kind = "tree", widths = [16, 24]}
training = {batch_size = 8, learning_rate = 1e-2, ema_window = 0, min_steps = 300, together = true}
monitor = {times = [0.3, 0.6], n_items = 16, n_heldout_items = 16, first = 4, n_samples = 64}
"""


@pytest.mark.slow
def test_a_study_of_a_grammar_prints_exponents_levels_and_the_price(tmp_path, capsys):
    (tmp_path / "grammar.toml").write_text(GRAMMAR)
    arguments = [tmp_path / "grammar.toml", "-o", tmp_path / "out", "--workers", "1"]
    content = output_of(capsys, "run", *arguments, "--json")
    assert all({"value", "low", "high"} <= set(exponent) for exponent in content["exponents"].values())
    assert [size["n_train"] for size in content["levels"]] == [4, 8, 16]
    assert [level["clock"] for level in content["levels"][0]["levels"]] == ["tau_level[1]", "tau_level[2]"]
    for price in content["price"]:
        assert price["ratio"] == price["n_train"] / 32
        assert {"novel_valid", "loss_above_exact", "grammar_level", "step", "reached"} <= set(price)
    assert content["seconds"] > 0
    assert Path(content["report"]).exists()
    assert taumem("run", *arguments) == 0  # nothing is left to do
    words = capsys.readouterr().out
    assert "novel and valid" in words
    assert "tau_level[2]" in words
    both = output_of(capsys, "fit", tmp_path / "out", "--json")
    assert both["boundaries"] == content["boundaries"]
    narrow = output_of(capsys, "fit", tmp_path / "out", "--confidence", "0.5", "--json")
    assert {law["exponent"]["confidence"] for law in narrow["laws"].values()} == {0.5}
    assert taumem("forecast", tmp_path / "out", "--n-train", "64", "--clock", "tau_level[1]") == 2
    assert "does not grow in proportion to P" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_run_takes_seeds_and_changes(study, tmp_path, capsys):
    arguments = ["--seed", "3", "--seed", "4", "--set", "n_train=[8]", "--set", "training.min_steps=20"]
    output_of(capsys, "run", study.parent / "tiny.toml", *arguments, "-o", tmp_path, "--workers", "1", "--json")
    assert len(list(tmp_path.glob("P000008-seed[34]-[ab]"))) == 4


@pytest.mark.slow
def test_run_reports_on_all_that_the_folder_holds(study, tmp_path, capsys):
    for seed in ("3", "4"):
        run = ["run", study.parent / "tiny.toml", "--seed", seed, "--set", "training.min_steps=20", "-o", tmp_path]
        assert taumem(*run, "--workers", "1") == 0
    page = (tmp_path / "report.html").read_text()
    assert "2 seeds" in page
    assert f"-o {tmp_path}" in page


@pytest.mark.slow
def test_fit_reads_what_run_wrote(study, tmp_path, capsys):
    content = output_of(capsys, "fit", study, "--json", "-o", tmp_path / "law.json")
    assert json.loads((tmp_path / "law.json").read_text()) == content
    assert taumem("fit", study, "--no-free") == 0
    assert "tau_val" in capsys.readouterr().out


@pytest.mark.slow
def test_without_a_terminal_progress_is_a_line_for_each_tenth(tmp_path, capsys):
    (tmp_path / "tiny.toml").write_text(TINY.replace("min_steps = 600", "min_steps = 40"))
    assert taumem("run", tmp_path / "tiny.toml", "-o", tmp_path / "out", "--workers", "1") == 0
    told = capsys.readouterr().err.split("\n")
    assert [line for line in told if line.startswith("runs: ")] == [f"runs: {10 * k} %" for k in range(11)]


def test_fit_prints_the_order_of_the_clocks_where_it_is_asked_for(study, capsys):
    order = output_of(capsys, "fit", study, "--json")["order"]
    assert taumem("fit", study, "--order") == 0
    printed = capsys.readouterr().out
    assert order
    assert "multiple of tau_val" in printed
    assert all(each["clock"] in printed.split("multiple of tau_val")[1] for each in order)


@pytest.mark.parametrize("verb", ["fit", "report"])
def test_what_is_named_and_cannot_be_had_is_one_line_on_standard_error_and_exit_code_2(study, tmp_path, capsys, verb):
    more = ["-o", tmp_path / "page.html"] if verb == "report" else []
    for option, value, words in (
        ("--tau-mem", "tau_vla", "did you mean 'tau_val'?"),
        ("--covariate", "training.lerning_rate", "did you mean 'training.learning_rate'?"),
        ("--all-data", study / "P000008-seed0-a", "all data are P = 8, and these runs have P = 8, 16."),
    ):
        assert taumem(verb, study, option, value, *more) == 2
        came = capsys.readouterr()
        assert (came.out, words in came.err, came.err.count("\n")) == ("", True, 1)
    assert not (tmp_path / "page.html").exists()


def test_the_order_says_what_its_marks_and_its_counts_mean_where_there_are_some(capsys):
    def onset(clock, seed, step, censored="no"):
        low, high = {"no": (step / 1.1, step * 1.1), "right": (step, math.inf), "left": (0.0, step)}[censored]
        return Onset(step, low, high, censored, clock, RunKey(64, 16, seed))

    plain = [onset(clock, seed, step + seed) for seed in (0, 1) for clock, step in (("tau_val", 100), ("tau_gen", 50))]
    show_order(order_of(plain))
    printed = " ".join(capsys.readouterr().out.split())
    assert not re.search(r"one run:|; >|; \?", printed)
    assert "Runs: in how many it is known, of those that tell something of it" in printed
    marked = [onset("tau_split", 0, 200), onset("tau_copy[0.05]", 0, 300, "right"), onset("tau_gap[0.1]", 0, 9, "left")]
    show_order(order_of([*plain, *marked]))
    printed = " ".join(capsys.readouterr().out.split())
    assert re.search(r"tau_split 2\.00, one run 1 of 1", printed)
    assert re.search(r"tau_copy\[0\.05\] > 2\.73 0 of 1", printed)
    assert re.search(r"tau_gap\[0\.1\] \? 0 of 1", printed)
    assert re.search(r"one run: the ratio.*; > what it lies above.*; \? where some run does not bound it", printed)


@pytest.mark.parametrize(("n_train", "off"), [(512, "too late"), (64, "off")])
def test_a_law_that_bends_down_is_said_in_a_fit_and_warned_of_in_a_forecast(study, capsys, monkeypatch, n_train, off):
    steps = {p: 8 * p ** (0.9 - 0.05 * math.log2(p / 16)) for p in (16, 32, 64, 128, 256)}
    onsets = [Onset(step, step, step, "no", "tau_val", RunKey(p, 16)) for p, step in steps.items() for _ in range(2)]
    monkeypatch.setattr("taumem.analysis.study.find_onsets", lambda *runs, **options: onsets)
    assert taumem("forecast", study, "--n-train", str(n_train)) == 0
    warned = " ".join(capsys.readouterr().err.split())
    assert "changes by -0.10 [-0.10, -0.10] from each size to its double" in warned
    assert f"it may well be {off}." in warned
    assert taumem("fit", study) == 0
    told = capsys.readouterr().out
    assert "bent (of 1 clocks tested, each at 5 %)" in told
    assert "tau_gen could not be read: it needs a held-out loss" in told


@pytest.mark.slow
def test_a_forecast_whose_floor_may_bend_the_law_up_does_not_warn_of_that(study, capsys, monkeypatch):
    steps = {p: 8 * p ** (0.7 + 0.1 * math.log2(p / 16)) for p in (16, 32, 64, 128, 256)}
    onsets = [Onset(step, step, step, "no", "tau_val", RunKey(p, 16)) for p, step in steps.items() for _ in range(2)]
    monkeypatch.setattr("taumem.analysis.study.find_onsets", lambda *runs, **options: onsets)
    assert taumem("forecast", study, "--n-train", "512") == 0
    came = capsys.readouterr()
    assert "bend" not in came.err
    kind = read_runs(study)[0].header.data.kind
    usually = "{:g}, give or take {:g}".format(*usual_prior(kind=kind).exponent)
    assert f"(assumed before the pilots were seen: {usually})" in " ".join(came.out.split())


@pytest.mark.filterwarnings("default::taumem.errors.TaumemWarning")
def test_pilots_of_one_size_are_noted_in_a_forecast(study, capsys, monkeypatch):
    onsets = [Onset(step, step, step, "no", "tau_val", RunKey(64, 16)) for step in (480.0, 530.0)]
    monkeypatch.setattr("taumem.analysis.study.find_onsets", lambda *runs, **options: onsets)
    assert taumem("forecast", study, "--n-train", "128") == 0
    assert "located at one size only (P = 64)" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_forecast_gives_an_interval_in_steps_and_in_examples(study, capsys):
    content = output_of(capsys, "forecast", study, "--n-train", "32", "--clock", "tau_gap_sym[0.2]", "--json")
    assert content["steps"]["low"] < content["steps"]["value"] < content["steps"]["high"]
    assert content["examples"]["value"] == pytest.approx(4 * content["steps"]["value"])
    assert taumem("forecast", study, "--n-train", "32", "--clock", "tau_gap_sym[0.2]") == 0
    assert "tau_gap_sym[0.2] forecast at" in capsys.readouterr().out


PLANTED = [Onset(9 * p, 9 * p, 9 * p, "no", "tau_val", RunKey(p, 8)) for p in (16, 32, 64) for _ in range(2)]


def planted(monkeypatch, onsets=PLANTED):
    monkeypatch.setattr("taumem.analysis.study.find_onsets", lambda *runs, **options: onsets)


SEVERAL = [
    Onset(9 * p * (b / 8) ** -0.7, 8.0 * p, 10.0 * p, "no", "tau_val", RunKey(p, b, seed=s))
    for p in (16, 32, 64)
    for b in (8, p)
    for s in (0, 1)
]


@pytest.mark.slow
def test_runs_of_several_batch_sizes_are_printed_as_one_law_and_forecast_at_the_one_that_is_named(
    study, capsys, monkeypatch
):
    planted(monkeypatch, SEVERAL)
    assert taumem("fit", study) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "0.7 [" in told
    assert "steps are those at batch size 8, to which runs of other batch sizes were brought" in told
    assert taumem("forecast", study, "--n-train", "128") == 2
    assert "name the batch size" in capsys.readouterr().err
    for batch_size, given in ((32, "32"), (128, "P")):
        content = output_of(capsys, "forecast", study, "--n-train", "128", "--batch-size", given, "--json")
        assert content["examples"]["value"] == pytest.approx(batch_size * content["steps"]["value"])
    assert taumem("forecast", study, "--n-train", "128", "--batch-size", "32") == 0
    came = capsys.readouterr()
    assert "by tau = tau_0 + c P^a B^-k with a = " in " ".join(came.out.split())
    assert "as the pilots show it" in came.out
    for wrong in ("0", "p", "1.5", "-3"):
        assert taumem("forecast", study, "--n-train", "128", "--batch-size", wrong) == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("default::taumem.errors.TaumemWarning")
def test_a_forecast_says_its_three_units_which_of_them_is_supported_and_which_pilot_is_next(study, capsys, monkeypatch):
    planted(monkeypatch)
    content = output_of(capsys, "forecast", study, "--n-train", "256", "--json")
    assert content["passes"]["value"] == pytest.approx(content["steps"]["value"] * 8 / 256)
    assert content["supported"] == ["steps"]
    assert {"best", "reason", "beyond", "width_now", "budget", "spent_share", "without_smallest"} == set(
        content["next_pilot"]
    )
    assert taumem("forecast", study, "--n-train", "256") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert f"{content['examples']['value']:,.0f} examples, {content['passes']['value']:.1f} passes" in told
    assert "The pilots speak for steps at batch size 8;" in told
    assert "Next pilot: none, since the interval is narrow already" in told
    assert f"To be on the safe side, stop at {content['steps']['low']:,.0f}." in told


@pytest.mark.slow
def test_a_target_is_an_experiment_or_a_run_and_what_differs_is_named(study, capsys, monkeypatch):
    planted(monkeypatch)
    toml = study.parent / "tiny.toml"
    assert output_of(capsys, "forecast", study, "--n-train", "128", "--target", toml, "--json")["differences"] == []
    run = next(study.glob("P000008*"))
    assert output_of(capsys, "forecast", study, "--n-train", "128", "--target", run, "--json")["differences"] == []
    assert taumem("forecast", study, "--n-train", "128", "--target", "images") == 0
    told = capsys.readouterr()
    assert "carried: batch size 4 in the pilots, 16 in the run: " in told.err
    assert "differs: data set source mixture" in told.err
    assert "they speak for none of its steps, examples and passes" in told.out


@pytest.mark.filterwarnings("default::taumem.errors.TaumemWarning")
@pytest.mark.parametrize(
    ("n_train", "sizes", "words"),
    [
        (128, (64,), "located at one size only (P = 64)"),
        (128, (4, 8), "such runs forecast no larger one (none is larger)"),
        (8, (16, 32), "P = 8 is no larger than the largest pilot (P = 32): nothing is extrapolated"),
    ],
)
def test_pilots_that_carry_no_forecast_say_so_in_a_line(study, capsys, monkeypatch, n_train, sizes, words):
    planted(monkeypatch, [Onset(9 * p, 9 * p, 9 * p, "no", "tau_val", RunKey(p, 8)) for p in sizes for _ in range(2)])
    assert taumem("forecast", study, "--n-train", str(n_train)) == 0
    told = capsys.readouterr()
    assert words in " ".join(told.err.split())
    assert "Traceback" not in told.err
    assert "Next pilot: none, since " in told.out


@pytest.mark.slow
def test_report_writes_a_page(study, tmp_path, capsys):
    content = output_of(capsys, "report", study, "-o", tmp_path / "page.html", "--json")
    assert Path(content["report"]).read_text().startswith("<!doctype html>")


def test_ls_lists_runs(study, capsys):
    rows = output_of(capsys, "ls", study, "--json")["runs"]
    assert [(r["n_train"], r["half"], r["step"]) for r in rows] == [
        (8, "a", 600),
        (8, "b", 600),
        (16, "a", 600),
        (16, "b", 600),
    ]
    assert taumem("ls", study) == 0
    assert "P000016-seed0-b" in capsys.readouterr().out


@pytest.mark.slow
def test_a_sealed_study_is_read_like_its_folder(study, tmp_path, capsys):
    shutil.copytree(study, tmp_path / "study")
    before = output_of(capsys, "fit", tmp_path / "study", "--json")
    content = output_of(capsys, "seal", tmp_path / "study", "--json")
    assert content["bytes"] == (tmp_path / "study.sealed").stat().st_size
    assert taumem("seal", tmp_path / "study") == 2
    assert "exists" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "study")
    for place in ("study", "study.sealed"):  # the name of the folder that is gone stands for the file
        assert output_of(capsys, "fit", tmp_path / place, "--json") == before
        assert len(output_of(capsys, "ls", tmp_path / place, "--json")["runs"]) == 4
        assert taumem("ls", tmp_path / place) == 0
        assert "P000016-seed0-b" in capsys.readouterr().out
    again = ["run", study.parent / "tiny.toml", "-o", tmp_path / "study", "--workers", "1"]
    assert taumem(*again) == 2  # a new folder would hide the runs that are sealed
    assert "study.sealed; unseal that to add to them" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "study").exists()
    assert taumem("unseal", tmp_path / "study") == 0
    assert (tmp_path / "study" / "P000016-seed0-b" / "measurements.jsonl").exists()
    capsys.readouterr()
    assert output_of(capsys, "fit", tmp_path / "study", "--json") == before


@pytest.mark.slow
def test_a_smaller_sealed_study_keeps_what_samples_say_of_twins(study, tmp_path, capsys):
    before = output_of(capsys, "fit", study, "--json")
    small = ["--digits", "4", "--pictures", "2", "--short-errors"]
    assert taumem("seal", study, "-o", tmp_path / "small.sealed", *small) == 0
    assert "Wrote" in capsys.readouterr().out
    after = output_of(capsys, "fit", tmp_path / "small.sealed", "--json")
    for was, now in zip(before["onsets"], after["onsets"], strict=True):
        assert (was["clock"], was["censored"]) == (now["clock"], now["censored"])
        # Of membership, items are ranked: a few that nearly tie change places.
        exactly = 1e-4 if was["censored"] == "no" else 1e-3
        assert now["step"] == pytest.approx(was["step"], rel=0.05 if "tau_member" in was["clock"] else exactly)


@pytest.mark.slow
@pytest.mark.filterwarnings("default::taumem.errors.TaumemWarning")
def test_the_former_name_of_an_option_goes_on_with_a_note(study, capsys):
    now = output_of(capsys, "fit", study, "--confidence", "0.5", "--json")
    assert taumem("fit", study, "--level", "0.5", "--json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == now
    assert "--level is called --confidence now" in captured.err
    assert taumem("fit", study, "--level", "0.5", "--confidence", "0.8") == 2
    assert "give one of the two" in capsys.readouterr().err


def test_one_bad_record_does_not_hide_the_others(study, tmp_path, capsys):
    shutil.copytree(study, tmp_path / "study")
    header = tmp_path / "study" / "P000008-seed0-a" / "run.json"
    header.write_text(header.read_text().replace('"schema_version": 3', '"schema_version": 99'))
    content = output_of(capsys, "ls", tmp_path, "--json")
    assert len(content["runs"]) == 3
    assert "schema version 99" in next(iter(content["unreadable"].values()))
    assert taumem("ls", tmp_path) == 0
    assert "unreadable" in capsys.readouterr().out


def test_the_help_of_run_names_every_preset_but_the_demos_own(capsys):
    assert taumem("run", "--help") == 0
    told = " ".join(capsys.readouterr().out.replace("│", " ").split())
    presets = [file.stem for file in (Path(lab.__file__).parent / "presets").glob("*.toml")]
    assert [
        name for name in presets if f"{name}," not in told and f"{name};" not in told and f"{name}." not in told
    ] == []


def test_a_folder_of_ones_own_images_is_one_setting_away(tmp_path, capsys):
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for k in range(30):
        pixels = rng.integers(0, 256, (rng.integers(33, 60), rng.integers(33, 60), 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{k}.png")
    small = ["--set", "n_train=[4, 8]", "--set", "training.min_steps=6", "--set", "training.steps_per_example=0"]
    small += ["--set", "monitor.first=2", "--set", "monitor.n_samples=4"]
    command = ["run", "own-images", "--set", f"data.path={tmp_path / 'photos'}", *small, "-o", tmp_path / "out"]
    content = output_of(capsys, *command, "--workers", "1", "--json")
    assert {onset["data"] for onset in content["onsets"]} == {"photos"}
    header = json.loads((tmp_path / "out" / "P000008-seed0-a" / "run.json").read_text())
    assert header["data"]["item_shape"] == [3, 16, 16]
    assert header["data"]["n_heldout"] == 6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "demo", "--set", "training.batchsize=3"], "did you mean 'batch_size'"),
        (["run", "imagess"], "did you mean 'images'"),
        (["run", "mixture", "--seed", "-1", "-o", "{tmp}"], "seeds"),
        (["run", "mixture", "--set", "n_train=[99999]", "-o", "{tmp}"], "P = 99999"),
        (["run", "images", "--set", "data.source=images", "--set", "data.path={tmp}/none", "-o", "{tmp}"], "none"),
        (["fit", "{tmp}"], "no runs here"),
        (["fit", "{tmp}/none"], "no runs here"),
        (["forecast", "{study}", "--n-train", "32", "--clock", "tau_vall"], "did you mean 'tau_val'"),
        (["forecast", "{study}", "--n-train", "32", "--target", "imags"], "did you mean 'images'"),
        (["forecast", "{study}", "--n-train", "32", "--target", "{study}/none.toml"], "none.toml: no such file"),
        (["forecast", "{study}", "--n-train", "0", "--clock", "tau_gap_sym[0.2]"], "at least 1"),
        (
            ["forecast", "{study}", "--n-train", "1.5", "--clock", "tau_gap_sym[0.2]"],
            "--n-train: expected a whole number",
        ),
        (
            ["forecast", "{study}", "--n-train", "nan", "--clock", "tau_gap_sym[0.2]"],
            "--n-train: expected a whole number",
        ),
        (["forecast", "{study}/P000008-seed0-a", "--n-train", "32", "--clock", "tau_copy[0.1]"], "needs 2 located"),
        (["report", "{tmp}"], "no runs here"),
        (["run", "mixture", "-o", "{study}"], "another experiment"),
        (["run", "mixture", "-o", "{study}/experiment.json"], "experiment.json"),
        (["run", "mixture", "-o", "{tmp}", "--device", "abacus"], "device 'abacus'"),
        (["report", "{study}", "-o", "{tmp}"], "is a folder"),
        (["run", "mixture", "-o", "{tmp}", "--workers", "0"], "at least 1 process trains"),
    ],
)
def test_bad_input_is_one_line_on_standard_error_and_exit_code_2(study, tmp_path, capsys, arguments, words):
    code = taumem(*(a.format(tmp=tmp_path, study=study) for a in arguments))
    captured = capsys.readouterr()
    assert code == 2
    assert words.format(tmp=tmp_path) in captured.err
    assert captured.err.startswith("error: ")
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_a_mistyped_verb_or_option_exits_with_2_as_well(capsys):
    for arguments in (["rum"], ["forecast", "--n-trian", "3"]):
        assert taumem(*arguments) == 2


@pytest.mark.slow
def test_what_is_not_a_training_verb_starts_without_torch(study):
    script = f"import sys; sys.argv = ['taumem', 'ls', {str(study)!r}]; from taumem.cli import main\n"
    script += "try: main()\nexcept SystemExit: pass\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


@pytest.mark.slow
def test_a_fit_loads_no_plotly(study):
    script = f"import sys; sys.argv = ['taumem', 'fit', {str(study)!r}]; from taumem.cli import main\n"
    script += "try: main()\nexcept SystemExit: pass\nassert not {'torch', 'plotly'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


@pytest.mark.slow
def test_what_is_to_be_made_is_said_before_it_is_made_and_what_it_teaches(tmp_path, capsys):
    (tmp_path / "tiny.toml").write_text(TINY.replace("min_steps = 600", "min_steps = 20"))
    command = ["run", tmp_path / "tiny.toml", "-o", tmp_path / "out", "--workers", "1"]
    assert taumem(*command, "--set", "training.batch_size=8", "--set", "data.n_heldout=8") == 0
    told = capsys.readouterr().err
    line = "mixture: 256 items, 8 held out; P = 8, 16, 1 seed, 2 models each, batches of 8, 20 steps."
    assert told.index(line) < told.index("P = 8 is no larger than the batch size (8)") < told.index("runs: 0 %")
    assert told.count("0 % [0 %, 37 %]") == 1  # not once more when it has been made


@pytest.mark.slow
def test_fit_forecast_report_and_their_json_give_the_same_cautions(study, tmp_path, capsys):
    shutil.copytree(study, tmp_path / "study")
    for header in tmp_path.glob("study/P000008-*/run.json"):
        content = json.loads(header.read_text()) | {"name": "other"}
        del content["check"]
        header.write_text(json.dumps(content))
    said = "Several experiments in one (other, tiny)"
    for verb in (["fit"], ["fit", "--json"], ["report", "-o", tmp_path / "page.html"]):
        assert taumem(verb[0], tmp_path / "study", *verb[1:]) == 0
        assert said in capsys.readouterr().err
    assert said in (tmp_path / "page.html").read_text()
    assert said in output_of(capsys, "fit", tmp_path / "study", "--json")["cautions"][0]


@pytest.mark.slow
def test_sizes_that_are_excluded_enter_no_fit(study, capsys, monkeypatch):
    onsets = [Onset(9 * p, 9 * p, 9 * p, "no", "tau_val", RunKey(p, 16)) for p in (16, 32, 64) for _ in range(2)]
    monkeypatch.setattr("taumem.analysis.study.find_onsets", lambda *runs, **options: onsets)
    content = output_of(capsys, "fit", study, "--exclude", "16", "--json")
    assert content["laws"]["tau_val"]["sizes"] == [32, 64]
    assert taumem("forecast", study, "--n-train", "128") == 0
    assert "P = 16 is no larger than the batch size (16)" in capsys.readouterr().err
    assert taumem("forecast", study, "--n-train", "128", "--exclude", "16") == 0
    told = capsys.readouterr()
    assert "From 4 onsets at P = 32, 64," in " ".join(told.out.split())
    assert "batch size" not in told.err


def test_a_run_without_a_clock_prints_no_empty_table_and_says_what_it_lacks(tmp_path, capsys):
    header = RunHeader(
        name="csv",
        data=DataFacts(name="csv", fingerprint="0", n_train=64, n_heldout=64, item_shape=(2,)),
        seed=0,
        batch_size=16,
        steps=100,
    )
    with RunRecord.open(tmp_path / "run", header) as record:
        losses = [("heldout_loss", 0.5), ("train_loss", 0.4)]
        for step in range(1, 7):  # from 8 on, means alone have a clock too
            record.append(
                Measurement(quantity=name, value=value, count=64, step=step, examples=16 * step, seconds=0.0)
                for name, value in losses
            )
    assert taumem("fit", tmp_path / "run") == 0
    told = capsys.readouterr().out
    assert told.startswith("tau_gen, tau_val could not be read")
    assert "means alone" in told
    assert "rain longer" not in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["forecast", "{study}", "--n-train", "1.5"], "expected a whole number; got 1.5"),
        (["run", "mixture", "--seed", "0.5"], "expected a whole number; got 0.5"),
        (["run", "mixture", "--workers", "1.5"], "expected a whole number; got 1.5"),
        (["demo", "--seed", "1.0"], "expected a whole number; got 1.0"),
        (["fit", "{study}", "--exclude", "8.5"], "expected a whole number; got 8.5"),
        (["seal", "{study}", "--digits", "4.5"], "expected a whole number; got 4.5"),
    ],
)
def test_a_number_that_is_not_whole_is_refused_rather_than_rounded(study, capsys, arguments, words):
    assert taumem(*(argument.format(study=study) for argument in arguments)) == 2
    assert f": {words}" in capsys.readouterr().err


@pytest.mark.parametrize(("verb", "name", "other"), [("fit", "law.csv", "law.json"), ("report", "a.md", "a.html")])
def test_a_file_is_not_written_under_the_name_of_another_kind(study, tmp_path, capsys, verb, name, other):
    assert taumem(verb, study, "-o", tmp_path / name) == 2
    assert f"call it {tmp_path / other}" in " ".join(capsys.readouterr().err.split()).replace(" .", ".")
    assert not (tmp_path / name).exists()


def start(study: Path, output: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "taumem", "run", study.parent / "tiny.toml", "-o", output]
    return subprocess.Popen(
        [*map(str, command), "--workers", "2"],
        start_new_session=True,
        stderr=subprocess.PIPE,
        # A shell that puts the tests into the background has them ignore Ctrl-C, and their children with them.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, f"not within two minutes: {what}"
        time.sleep(0.02)


def processes_of(session: int) -> list[int]:
    """The processes that were started with this one, if any of them still runs."""
    listing = subprocess.run(["ps", "-o", "pid=", "--sid", str(session)], capture_output=True, text=True, check=False)
    return [int(pid) for pid in listing.stdout.split()]


@pytest.mark.filterwarnings("ignore::taumem.errors.TaumemWarning")  # a torn line, perhaps
@pytest.mark.skipif(shutil.which("ps") is None, reason="needs ps to see processes")
@pytest.mark.slow
@pytest.mark.parametrize("how", ["interrupted", "killed alone", "killed with its workers"])
def test_a_study_that_was_stopped_goes_on_and_loses_nothing(study, tmp_path, how):
    stopped = tmp_path / "stopped"
    process = start(study, stopped)
    try:
        wait_until(lambda: [p for p in stopped.glob("*/measurements.jsonl") if p.stat().st_size > 9_000], "measuring")
        if how == "killed alone":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGINT if how == "interrupted" else signal.SIGKILL)
        _, errors = process.communicate(timeout=120)
        wait_until(lambda: not processes_of(process.pid), "workers leaving with their parent")
    finally:
        if processes_of(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
    if how == "interrupted":
        assert process.returncode == 130
        assert b"the same command goes on from there" in errors
        assert b"Traceback" not in errors
    assert taumem("run", study.parent / "tiny.toml", "-o", stopped, "--workers", "1") == 0

    def lines(folder: Path) -> dict[str, list[dict[str, object]]]:
        facts = {}
        for file in sorted(folder.glob("*/measurements.jsonl")):
            rows = [json.loads(line) for line in file.read_text().splitlines()]
            facts[file.parent.name] = [{k: v for k, v in row.items() if k not in ("seconds", "check")} for row in rows]
        return facts

    assert len(lines(stopped)) == 4
    assert lines(stopped) == lines(study)
