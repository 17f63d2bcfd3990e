"""How the command line ends when something outside of it goes wrong: always in words, never in a traceback."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from small_runs import write_run, write_study

from taumem.cli import main

LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0})); from taumem.cli import main; main()"


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    return write_study(tmp_path_factory.mktemp("here") / "study", n=2)


def taumem(*arguments: object, script: str = "from taumem.cli import main; main()", **options):
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, capture_output="stdout" not in options, check=False, timeout=60, **options)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["ls"], ["fit", "--json"]], ids=" ".join)
def test_output_that_nobody_reads_ends_quietly(study, arguments):
    verb, *options = arguments
    read, write = os.pipe()
    os.close(read)
    done = taumem(verb, study, *options, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
@pytest.mark.parametrize("options", [["--json"], ["-o", "/dev/full"]], ids=" ".join)
def test_output_to_a_full_disk_is_one_line_on_standard_error(study, options):
    with Path("/dev/full").open("wb") as full:
        done = taumem("fit", study, *options, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert b"cannot be written: the disk is full." in done.stderr


def code_of(*arguments: object) -> int:
    with pytest.raises(SystemExit) as leaving:
        main([str(argument) for argument in arguments])
    return leaving.value.code


@pytest.mark.slow
@pytest.mark.parametrize("closed", [1, 2])
def test_an_output_that_was_closed_from_the_start_is_no_matter(study, tmp_path, closed):
    found = taumem("ls", study, preexec_fn=lambda: os.close(closed))
    missing = taumem("ls", tmp_path / "missing", preexec_fn=lambda: os.close(closed))
    assert (found.returncode, missing.returncode) == (0, 2)
    assert b"Traceback" not in found.stderr + missing.stderr


@pytest.mark.slow
def test_a_device_stays_a_device(study):
    assert code_of("report", study, "-o", "/dev/null") == 0
    assert Path("/dev/null").is_char_device()


@pytest.mark.slow
def test_files_larger_than_they_may_be_are_told(study, tmp_path):
    done = taumem("seal", study, "-o", tmp_path / "s.sealed", script=LIMITED.format(2000))
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
    assert b"s.sealed: cannot be written: larger than files may be here." in done.stderr


@pytest.mark.slow
def test_a_name_that_is_not_utf8_can_be_printed(tmp_path, capsys):
    run = write_run(Path(os.fsdecode(bytes(tmp_path) + b"/study/\xff")))
    for arguments in (["ls", run.parent], ["fit", run.parent], ["report", run.parent, "-o", tmp_path / "r.html"]):
        assert code_of(*arguments) == 0
    assert "\\udcff" in capsys.readouterr().out
    assert code_of("fit", run.parent / os.fsdecode(b"\xfe")) == 2
    assert "\\udcfe" in capsys.readouterr().err


TOML = """
name = "tiny"
n_train = [8]
data = {source = "mixture", dimensions = 4, n_items = 256, n_heldout = 64}
model = {kind = "mlp", width = 16, depth = 1}
training = {batch_size = 4, min_steps = 100000, steps_per_example = 0}
monitor = {first = 4, per_doubling = 2, n_samples = 8, sampling_steps = 3}
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_three_times_in_half_a_second_shows_no_traceback(tmp_path, workers):
    (tmp_path / "tiny.toml").write_text(TOML)
    command = [sys.executable, "-m", "taumem", "run", "tiny.toml", "-o", "out", "--workers", str(workers)]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        start_new_session=True,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("out/*/measurements.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.02)
    for pause in np.random.default_rng(workers).uniform(0, 0.25, 3):
        time.sleep(pause)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"the same command goes on from there" in errors
    assert b"Traceback" not in errors
    assert b"Exception ignored" not in errors


@pytest.mark.slow
def test_the_script_that_seals_the_published_studies_names_those_that_there_are():
    script = Path(__file__).parents[2] / "experiments" / "seal.py"
    done = subprocess.run([sys.executable, script, "nowhere"], capture_output=True, check=False)
    assert (done.returncode, b"no study 'nowhere'" in done.stderr, b"Traceback" in done.stderr) == (2, True, False)
