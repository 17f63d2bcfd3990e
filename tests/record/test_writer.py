"""The writer of a run: what it writes is all there or not at all, whatever the disk does and whatever stood there."""

import errno
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from small_runs import header, look, samples, write_run

from taumem.errors import RecordError, TaumemWarning
from taumem.record import RunRecord, files, seal


class FullAfter:
    """A file on a disk that takes so many bytes more."""

    def __init__(self, file, room: int) -> None:
        self.file, self.room = file, room

    def write(self, content) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self.file.write(content[: self.room])
        self.room -= written
        return written

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.mark.parametrize("room", [0, 1, 100, 300])
def test_a_look_that_the_disk_has_no_room_for_leaves_nothing_and_can_be_written_later(tmp_path, room):
    path = write_run(tmp_path / "run", looks=(8,), sampled=())
    before = (path / "measurements.jsonl").read_bytes()
    with RunRecord.open(path, header(seed=0)) as record:
        plain = record._writer._file
        record._writer._file = FullAfter(plain, room)
        with pytest.raises(RecordError, match=r"measurements\.jsonl: cannot be written: the disk is full. What was"):
            record.append(look(16))
        assert (path / "measurements.jsonl").read_bytes() == before
        assert record.steps == [8]
        record._writer._file = plain
        record.append(look(16))
    assert (path / "measurements.jsonl").read_bytes() == (
        write_run(tmp_path / "unbroken", looks=(8, 16), sampled=()) / "measurements.jsonl"
    ).read_bytes()


def test_a_part_of_a_line_that_could_not_be_cut_is_cut_before_the_next_is_written(tmp_path):
    path = write_run(tmp_path / "run", looks=(8,), sampled=())
    with RunRecord.open(path, header(seed=0)) as record:
        (path / "measurements.jsonl").open("ab").write(b'{"quantity":"half')
        record.append(look(16))
    assert RunRecord.read(path).steps == [8, 16]


def test_samples_that_the_disk_has_no_room_for_leave_those_that_were_there(tmp_path, monkeypatch):
    path = write_run(tmp_path / "run")
    before = (path / "arrays" / "00000008.npz").read_bytes()

    def full(path, content):
        path.write_bytes(content[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "_put", full)
    with RunRecord.open(path, header(seed=0)) as record:
        with pytest.raises(RecordError, match=r"00000008\.npz: cannot be written: the disk is full"):
            record.keep_arrays(8, samples(8))
        assert (path / "arrays" / "00000008.npz").read_bytes() == before
        assert len(list((path / "arrays").iterdir())) == 2


@pytest.mark.parametrize("name", ["measurements.jsonl", "run.json", ".lock", "arrays/00000008.npz"])
def test_a_link_in_place_of_a_runs_own_file_is_refused_and_its_target_stays(tmp_path, name):
    path = write_run(tmp_path / "run")
    target = tmp_path / "of another"
    target.write_bytes((path / name).read_bytes() + b"torn")
    before = target.read_bytes()
    (path / name).unlink()
    (path / name).symlink_to(target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TaumemWarning)
        with pytest.raises(RecordError, match=rf"{name}: is a link to .*of another.*put the file itself in its place"):
            keep_one(path)
    assert target.read_bytes() == before


def keep_one(path: Path) -> None:
    with RunRecord.open(path, header(seed=0)) as record:
        record.keep_arrays(8, {"samples": np.zeros(1)})


def test_a_folder_in_place_of_the_measurements_is_refused(tmp_path):
    path = write_run(tmp_path / "run")
    (path / "measurements.jsonl").unlink()
    (path / "measurements.jsonl").mkdir()
    with pytest.raises(RecordError, match=r"measurements\.jsonl: cannot be read"):
        RunRecord.read(path)
    with pytest.raises(RecordError, match=r"measurements\.jsonl: is no plain file"):
        RunRecord.open(path, header(seed=0))


def test_what_killed_writers_left_in_a_run_is_removed_when_it_goes_on(tmp_path):
    path = write_run(tmp_path / "run")
    (path / "checkpoints").mkdir()
    names = [".run.json.elsewhere.17.tmp", "arrays/.00000008.npz.99.tmp", "checkpoints/.00000037.safetensors.x.y.5.tmp"]
    for name in [*names, ".mine.tmp"]:
        (path / name).write_text("half")
    RunRecord.open(path, header(seed=0)).close()
    assert [name for name in [*names, ".mine.tmp"] if (path / name).exists()] == [".mine.tmp"]


def test_a_run_may_be_made_longer_and_notes_it(tmp_path):
    def plan(steps: int, **training) -> dict:
        return {"steps": steps, "experiment": {"training": {"clip": 1.0, "min_steps": steps, **training}}}

    path = write_run(tmp_path / "run", **plan(32))
    with RunRecord.open(path, header(seed=0, **plan(64, stop_at_copies=0.5))) as record:
        record.append(look(64))
    read = RunRecord.read(path)
    assert (read.header.steps, read.last_step) == (64, 64)
    assert read.header.experiment["training"] == {"clip": 1.0, "min_steps": 64, "stop_at_copies": 0.5}
    with pytest.raises(RecordError, match=r"its steps is 64, this one has 32; a run can be made longer, not shorter"):
        RunRecord.open(path, header(seed=0, **plan(32)))
    with pytest.raises(RecordError, match=r"another run: its experiment\.training\.clip"):
        RunRecord.open(path, header(seed=0, **plan(128, clip=2.0)))


def test_sealing_a_study_that_is_not_finished_says_so(tmp_path):
    write_run(tmp_path / "study" / "one")
    write_run(tmp_path / "study" / "two", seed=1, steps=64)
    with pytest.warns(TaumemWarning, match=r"1 of 2 runs are unfinished, .*\(two is at step 32 of 64\)"):
        seal(tmp_path / "study")


def test_a_run_whose_folder_is_not_named_in_utf8_is_not_sealed_and_the_reason_can_be_printed(tmp_path):
    write_run(Path(os.fsdecode(bytes(tmp_path / "study") + b"/\xff")))
    with pytest.raises(RecordError, match=r"'\\udcff' is no name of a file in a study; rename it"):
        seal(tmp_path / "study")
