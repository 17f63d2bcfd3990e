"""The verb watch: what it prints, what it writes, and how it ends."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from taumem.cli import app, main
from taumem.record import read_runs

STEPS = np.arange(100, 4001, 100)


def run(*arguments):
    with pytest.raises(SystemExit) as leaving:
        main(["watch", *map(str, arguments)])
    return leaving.value.code or 0


def values(minimum=1000.0, steps=STEPS, *, seed=0, turns=True):
    u = steps / minimum
    true = 0.2 + 0.1 * (u**-0.6 / 0.6 + (u**0.8 / 0.8 if turns else 0))
    return true * np.exp(0.004 * np.random.default_rng(seed).standard_normal(len(u)))


def log(file, those, steps=STEPS, name="val_loss", axis="step"):
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = (json.dumps({axis: int(s), name: float(v)}) for s, v in zip(steps, those, strict=True))
    file.write_text("\n".join(rows) + "\n")
    return file


@pytest.fixture
def turned(tmp_path):
    return log(tmp_path / "turned.jsonl", values())


@pytest.fixture
def falls(tmp_path):
    return log(tmp_path / "falls.jsonl", values(turns=False))


@pytest.fixture
def study(tmp_path):
    for n_train in (16, 32, 64):
        steps = np.unique(np.round(np.geomspace(0.7 * n_train, 48 * n_train, 28)))
        log(tmp_path / "study" / f"P{n_train}" / "log.jsonl", values(8 * n_train, steps, seed=n_train), steps)
    return tmp_path / "study"


def test_a_log_that_has_turned(turned, capsys):
    assert run(turned) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert re.search(r"lowest at step [\d,]+ and has risen since. It lies between steps [\d,]+ and [\d,]+", printed)
    assert re.search(r"Keep step (900|1,000|1,100)\.", printed)
    assert "knows the jitter of this curve and nothing else" in printed


def test_the_verdict_as_json(turned, falls, capsys):
    assert run(turned, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    verdict = said["verdict"]
    assert verdict["clock"] == "tau_val_mean"
    assert verdict["low"] <= 1000 <= verdict["high"]
    assert verdict["low"] <= verdict["keep"] <= verdict["high"]
    assert verdict["unit"] == "steps"
    assert "was lowest" in said["reason"]
    assert run(falls, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["verdict"] is None
    assert "has not turned by step 4,000. A lasting rise" in said["reason"]
    assert said["logs"][0]["looks"] == 40
    assert run(falls, turned, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["verdict"]["log"] == str(turned)
    assert said["reason"].startswith("1 of 2 logs have turned")


def test_a_gate_for_continuous_integration(turned, falls, tmp_path):
    few = log(tmp_path / "few.jsonl", values()[:5], STEPS[:5])
    only_training = log(tmp_path / "training.jsonl", values(), name="train_loss")
    assert run(turned, "--fail-on", "onset") == 1
    assert run(falls, turned, "--fail-on", "onset") == 1
    assert run(falls, "--fail-on", "onset") == 0
    assert run(few, "--fail-on", "onset") == 3
    assert run(only_training, "--fail-on", "onset") == 3


def test_what_cannot_be_said_is_a_result(tmp_path, capsys):
    assert run(log(tmp_path / "training.jsonl", values(), name="train/loss")) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "no held-out loss among its scalars: train/loss (40)" in printed
    assert "--heldout" in printed


def test_a_scalar_is_named_by_its_option(tmp_path, capsys):
    file = log(tmp_path / "own.jsonl", values(), name="recon")
    assert run(file, "--heldout", "recon", "--json") == 0
    assert json.loads(capsys.readouterr().out)["verdict"] is not None


def test_runs_of_several_sizes_give_a_law_and_a_forecast(study, tmp_path, capsys):
    assert run(study) == 0
    assert "tau_val_mean" in capsys.readouterr().out
    assert run(study, "--forecast", 128, "--json", "-o", tmp_path / "records") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["forecast"]["clock"] == "tau_val_mean"
    assert said["forecast"]["steps"]["low"] < 8 * 128 * 1.3
    assert said["forecast"]["steps"]["high"] > 8 * 128 * 0.8
    records = read_runs(tmp_path / "records")
    assert sorted(record.header.data.n_train for record in records) == [16, 32, 64]
    assert all("log" in record.header.probes for record in records)


def test_sizes_are_given_one_for_each(study, turned, capsys):
    assert run(study, "--n-train", 10, 20, 30, "--json") == 0
    assert [each["n_train"] for each in json.loads(capsys.readouterr().out)["logs"]] == [10, 20, 30]
    assert run(study, "--n-train", 10, 20) == 2
    assert "2 sizes for 3 logs" in capsys.readouterr().err
    assert run(turned, "--forecast", 128) == 2
    assert "give --n-train" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--confidence", "2"), "confidence"),
        (("--n-train", "0"), "at least 1 example"),
        (("--follow", "--forecast", "8"), "once the runs are over"),
        (("--follow", "--every", "0"), "--every"),
        (("--every", "5"), "which --follow asks for"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(turned, capsys, arguments, told):
    assert run(turned, *arguments) == 2
    printed = capsys.readouterr().err.strip()
    assert told in printed
    assert "Traceback" not in printed


@pytest.mark.slow
def test_it_loads_no_torch(turned):
    command = (
        "import sys; from taumem.cli import main\n"
        f"try: main(['watch', {str(turned)!r}])\nexcept SystemExit: pass\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", command], check=True, capture_output=True)


def followed(file, *options):
    command = [sys.executable, "-m", "taumem", "watch", str(file), "--follow", "--every", "0.05", "--json", *options]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # what started the tests may ignore it
    )


@pytest.mark.slow
def test_a_running_training_is_followed_until_ctrl_c(tmp_path):
    file = tmp_path / "log.jsonl"
    process = followed(file)
    assert "waiting" in process.stderr.readline()
    log(file, values()[:12], STEPS[:12])
    assert json.loads(process.stdout.readline())["verdict"] is None
    log(file, values())
    assert json.loads(process.stdout.readline())["verdict"]["low"] <= 1000
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0
    assert "Traceback" not in process.stderr.read()


@pytest.mark.slow
def test_following_ends_with_a_verdict_where_that_fails_the_gate(tmp_path):
    file = log(tmp_path / "log.jsonl", values()[:12], STEPS[:12])
    process = followed(file, "--fail-on", "onset")
    assert json.loads(process.stdout.readline())["verdict"] is None
    time.sleep(0.1)
    log(file, values())
    assert process.wait(timeout=30) == 1


def test_every_option_stands_in_the_guide():
    guide = (Path(__file__).parents[2] / "docs" / "logs.md").read_text(encoding="utf-8")
    flags = {name for argument in app["watch"].assemble_argument_collection() for name in argument.names}
    options = sorted(name for name in flags if name.startswith("--") and not name.startswith("--no-"))
    assert len(options) > 8
    assert [name for name in options if f"`{name}" not in guide] == []


@pytest.mark.slow
def test_a_log_without_a_held_out_loss_is_told_of_once_while_it_grows(tmp_path):
    file = log(tmp_path / "log.jsonl", values()[:12], STEPS[:12], name="loss")
    process = followed(file)
    assert json.loads(process.stdout.readline())["verdict"] is None
    for n in (13, 14, 15):
        log(file, values()[:n], STEPS[:n], name="loss")
        time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[0] == ""


def test_a_log_that_is_removed_while_it_is_looked_for_is_waited_for(tmp_path, turned, monkeypatch):
    from taumem.cli import watching

    found = [turned, tmp_path / "gone.jsonl"]
    monkeypatch.setattr("taumem.logs.files_of", lambda path: found)
    monkeypatch.setattr(watching.time, "sleep", lambda seconds: found.pop())
    assert next(watching._changes([turned], 1)) is None


def test_a_damaged_log_beside_a_good_one_is_told_of_and_does_not_pass_a_gate(falls, tmp_path, capsys):
    (tmp_path / "metadata.csv").write_text("file_name,text\na.png,a cat\n")
    (tmp_path / "metrics.json").write_text('{"fid": 3.5}')
    assert run(tmp_path, "--fail-on", "onset") == 0
    assert "metadata" not in capsys.readouterr().out
    (tmp_path / "checkpoint-9").mkdir()
    (tmp_path / "checkpoint-9" / "trainer_state.json").write_text('{"log_history": [{"step": 100, "eval_lo')
    assert run(tmp_path, "--fail-on", "onset") == 3
    said = " ".join(capsys.readouterr().out.split())
    assert "trainer_state.json: JSON. No verdict: cannot be read as JSON" in said
    assert "not read" in said
    log(tmp_path / "turned.jsonl", values())
    assert run(tmp_path, "--fail-on", "onset") == 1


@pytest.mark.parametrize(
    ("option", "name", "nearest"),
    [("--heldout", "val_los", "val_loss"), ("--train", "val-loss", "val_loss"), ("--step", "stepp", "step")],
)
def test_a_name_that_no_log_has_is_refused_with_the_nearest(turned, falls, capsys, option, name, nearest):
    assert run(turned, falls, option, name) == 2
    assert f"did you mean '{nearest}'" in capsys.readouterr().err


def test_a_name_that_one_of_the_logs_has_is_used_there(turned, tmp_path, capsys):
    assert run(turned, log(tmp_path / "own.jsonl", values(), name="recon"), "--heldout", "recon", "--json") == 0
    first, second = json.loads(capsys.readouterr().out)["logs"]
    assert (first["verdict"], second["heldout"]) == (None, "recon")


def test_the_output_says_from_which_names_sizes_were_read(study, tmp_path, capsys):
    assert run(study) == 0
    assert "was read from names: P16, P32, P64;" in " ".join(capsys.readouterr().out.split())
    assert run(study, "--n-train", 10, 20, 30) == 0
    assert "read from names" not in capsys.readouterr().out
    assert run(log(tmp_path / "n3" / "log.jsonl", values()), "--json") == 0
    assert json.loads(capsys.readouterr().out)["logs"][0]["n_train"] is None


@pytest.fixture
def over_epochs(tmp_path):
    """Three logs that count epochs, and of one larger size one that counts steps."""
    for n_train in (16, 32, 64):
        epochs = np.arange(1, 41)
        log(tmp_path / "epochs" / f"P{n_train}" / "log.jsonl", values(10, epochs, seed=n_train), epochs, axis="epoch")
    log(tmp_path / "steps" / "P256" / "log.jsonl", values(seed=1))
    return tmp_path


def test_epochs_are_never_taken_for_steps(over_epochs, capsys):
    assert run(over_epochs, "-o", over_epochs / "records") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert re.search(r"Left out: \S+P16\S+ \(over epochs\), .*P64\S+ \(over epochs\); name a column of steps", said)
    (record,) = read_runs(over_epochs / "records")
    assert record.header.data.n_train == 256
    assert run(over_epochs / "epochs", over_epochs / "steps", "--forecast", 2048) == 2
    assert "Left out: " in capsys.readouterr().err
    assert run(over_epochs / "epochs") == 0
    assert re.search(r"40 epoch \d+ \[\d+, \d+\] +epoch \d+", capsys.readouterr().out)
    assert run(over_epochs / "epochs") == 0
    assert "tau in optimizer steps" not in capsys.readouterr().out


@pytest.mark.parametrize("option", [("--forecast", 2048), ("-o", "records")])
def test_epochs_alone_are_refused_where_steps_are_needed(over_epochs, capsys, monkeypatch, option):
    monkeypatch.chdir(over_epochs)
    assert run("epochs", *option) == 2
    told = capsys.readouterr().err
    assert f"{option[0]} needs a held-out loss over steps." in told
    assert "--step" in told
    assert not (over_epochs / "records").exists()


def test_a_column_of_epochs_that_the_user_names_counts_epochs(tmp_path, capsys):
    file = log(tmp_path / "log.jsonl", values(10, np.arange(1, 41)), np.arange(1, 41), axis="current_epoch")
    assert run(file, "--step", "current_epoch", "--json") == 0
    assert json.loads(capsys.readouterr().out)["logs"][0]["axis"] == "epochs"


def test_nothing_is_written_before_all_sizes_are_known(study, turned, tmp_path, capsys):
    assert run(study, turned, "-o", tmp_path / "records") == 2
    assert "give --n-train" in capsys.readouterr().err
    assert not (tmp_path / "records").exists()


def test_logs_of_one_size_are_written_apart_whatever_the_folder_is_called(tmp_path):
    folder = tmp_path / "P000064-records"
    for k in range(2):
        log(tmp_path / "logs" / f"P64-{k}" / "log.jsonl", values(seed=k))
    log(tmp_path / "logs" / "P32" / "log.jsonl", values(seed=3))
    assert run(tmp_path / "logs", "-o", folder) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["P000032-seed0", "P000064-seed0", "P000064-seed1"]
