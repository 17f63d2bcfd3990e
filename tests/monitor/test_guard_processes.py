import json
import socket
import subprocess
import sys
from pathlib import Path

import processes
import pytest
import torch

from taumem.record import RunRecord

SCRIPT = Path(processes.__file__)


def in_processes(folder, size):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    commands = [[sys.executable, SCRIPT, folder, str(rank), str(size), str(port)] for rank in range(size)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    answers = [process.communicate(timeout=120)[0] for process in started]
    assert all(process.returncode == 0 for process in started)
    return [json.loads(answer) for answer in answers]


def alone_here(folder, capsys):
    with torch.random.fork_rng():
        processes.main(folder, 0, 1)
    return json.loads(capsys.readouterr().out)


def test_two_processes_measure_stop_and_write_as_one(tmp_path, capsys):
    alone = alone_here(tmp_path / "one", capsys)
    first, second = in_processes(tmp_path / "two", 2)
    assert first == second
    assert first["stopped"] == alone["stopped"] == 34
    assert first["said"] == "forecast"
    assert [number[:3] for number in first["numbers"]] == [number[:3] for number in alone["numbers"]]
    for (*_, ours), (*_, theirs) in zip(first["numbers"], alone["numbers"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-4)
    record = RunRecord.read(tmp_path / "two")
    assert [[*m.key, m.value] for m in record.measurements] == first["numbers"]
    assert record.curve("copy_fraction").steps.tolist() == [16, 32]
