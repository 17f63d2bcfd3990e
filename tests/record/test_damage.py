"""Damage to a record is found, down to a single bit, wherever it is; what is not found changes nothing that is read."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from small_runs import as_schema_1, as_schema_2, assert_same, header, look, write_run

from taumem.errors import RecordError, TaumemWarning
from taumem.record import SCHEMA_VERSION, RunRecord


def contents(path: Path) -> tuple[object, ...]:
    """All that is read of a run."""
    record = RunRecord.read(path)
    arrays = [
        (step, name, a.dtype.str, a.shape, a.tobytes())
        for step in record.array_steps()
        for name, a in record.arrays(step).items()
    ]
    return record.header, record.measurements, arrays


def found(path: Path) -> bool:
    """Whether reading a run says that something is wrong, by an error or a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", TaumemWarning)
        try:
            contents(path)
        except (RecordError, TaumemWarning):
            return True
    return False


@pytest.mark.parametrize("name", ["run.json", "measurements.jsonl", "arrays/00000008.npz"])
def test_a_flipped_bit_is_found_or_changes_nothing_that_is_read(tmp_path, name):
    path = write_run(tmp_path / "run")
    file, before = path / name, contents(path)
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    n_found = 0
    for place, bit in zip(rng.integers(len(whole), size=150), rng.integers(8, size=150), strict=True):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << bit
        file.write_bytes(damaged)
        if found(path):
            n_found += 1
        else:
            assert contents(path) == before, f"bit {bit} of byte {place}"
    assert n_found == 150 or name == "run.json"  # spaces in a header mean nothing


@pytest.mark.slow
@pytest.mark.parametrize("name", ["measurements.jsonl", "arrays/00000032.npz"])
def test_every_bit_of_a_small_file_counts(tmp_path, name):
    path = write_run(tmp_path / "run", looks=(8,))
    with RunRecord.open(path, header(seed=0)) as record:
        record.keep_arrays(32, {"n": np.arange(2)})
    file, before = path / name, contents(path)
    whole = file.read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        file.write_bytes(damaged)
        assert found(path) or contents(path) == before, f"byte {place}"


@pytest.mark.parametrize("name", ["run.json", "measurements.jsonl", "arrays/00000008.npz"])
def test_a_file_that_was_cut_anywhere_is_found_or_lacks_whole_lines_alone(tmp_path, name):
    path = write_run(tmp_path / "run")
    file, before = path / name, RunRecord.read(path).measurements
    whole = file.read_bytes()
    for size in np.random.default_rng(0).integers(len(whole), size=50):
        file.write_bytes(whole[:size])
        if not found(path):
            assert name == "run.json" or whole[:size].endswith(b"\n") or not size
            measured = RunRecord.read(path).measurements
            assert measured == before[: len(measured)]


LINES = {
    "is missing": lambda lines: [*lines[:3], *lines[4:]],
    "comes twice": lambda lines: [*lines[:4], *lines[3:]],
    "stands elsewhere": lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]],
    "has no check": lambda lines: [*lines[:3], lines[3][: lines[3].index(b',"check"')] + b"}", *lines[4:]],
    "is empty": lambda lines: [*lines[:3], b"", *lines[3:]],
}


@pytest.mark.parametrize("change", LINES.values(), ids=LINES.keys())
def test_a_line_that_was_touched_is_found_and_the_message_says_which_and_what_to_do(tmp_path, change):
    path = write_run(tmp_path / "run")
    file = path / "measurements.jsonl"
    file.write_bytes(b"\n".join(change(file.read_bytes().split(b"\n"))))
    way_out = r"line [45]: damaged, .*Put a copy of the file in its place; or keep only the [34] lines before it"
    for use in (lambda: RunRecord.read(path), lambda: RunRecord.open(path, header(seed=0))):
        with pytest.raises(RecordError, match=way_out):
            use()


def test_a_header_that_was_edited_is_refused_until_its_check_is_removed(tmp_path):
    file = write_run(tmp_path / "run") / "run.json"
    file.write_text(file.read_text().replace('"device": "cpu"', '"device": "abacus"'))
    with pytest.raises(RecordError, match=r"its check does not fit.* if you changed it yourself, remove its check"):
        RunRecord.read(file.parent)
    content = json.loads(file.read_text())
    del content["check"]
    file.write_text(json.dumps(content))
    assert RunRecord.read(file.parent).header.device == "abacus"


@pytest.mark.parametrize(
    ("name", "of"),
    [("measurements.jsonl", "measurements.jsonl"), *(("arrays/00000008.npz", f"arrays/{k:08d}.npz") for k in (8, 32))],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_file_of_another_run_or_step_is_not_taken_for_this_ones(tmp_path, name, of, seed):
    path, other = (write_run(tmp_path / f"run{k}", seed=k) for k in (0, 1))
    (path / name).write_bytes((path if seed == 0 else other).joinpath(of).read_bytes())
    assert found(path) == ((seed, name) != (0, of))


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", 300 * "[" + 300 * "]", 200_000 * "[", "9" * 5000])
def test_a_header_of_numbers_and_depths_that_json_does_not_have_is_refused_in_words(tmp_path, value):
    file = write_run(tmp_path / "run") / "run.json"
    file.write_text(file.read_text().replace('"seed": 0', f'"seed": {value}'))
    with pytest.raises(RecordError, match=r"run\.json: (cannot be read as JSON|damaged)"):
        RunRecord.read(file.parent)


@pytest.mark.parametrize("change", [{"seed": 2**63}, {"steps": 10**30}, {"batch_size": 10**30}])
def test_a_header_of_numbers_that_no_run_has_is_refused_in_words(tmp_path, change):
    file = write_run(tmp_path / "run") / "run.json"
    content = json.loads(file.read_text()) | change
    del content["check"]
    file.write_text(json.dumps(content))
    with pytest.raises(RecordError, match=f"{next(iter(change))}: Input should be less than"):
        RunRecord.read(file.parent)


def test_files_of_another_name_among_the_arrays_are_passed_over(tmp_path):
    path = write_run(tmp_path / "run")
    (path / "arrays" / "mine.npz").write_bytes(b"")
    assert RunRecord.read(path).array_steps() == [8, 32]


@pytest.mark.parametrize("as_before", [as_schema_1, as_schema_2])
def test_a_run_of_an_earlier_schema_gets_its_checks_when_it_goes_on(tmp_path, as_before):
    path = write_run(tmp_path / "run")
    unbroken = write_run(tmp_path / "unbroken", looks=(8, 16, 32, 64))
    as_before(path)
    (path / "measurements.jsonl").open("ab").write(b'{"quantity":"torn')
    with pytest.warns(TaumemWarning, match="cut off"), RunRecord.open(path, header(seed=0)) as record:
        record.append(look(64))
    assert json.loads((path / "run.json").read_text())["schema_version"] == SCHEMA_VERSION
    assert RunRecord.read(path).measurements[-3:] == look(64)
    if as_before is as_schema_2:
        assert_same(RunRecord.read(path), RunRecord.read(unbroken))
        assert (path / "measurements.jsonl").read_bytes() == (unbroken / "measurements.jsonl").read_bytes()
    file = path / "measurements.jsonl"
    file.write_bytes(file.read_bytes().replace(b"128", b"129", 1))
    with pytest.raises(RecordError, match="line 1: damaged"):
        RunRecord.read(path)


def test_a_mark_is_held_by_the_same_record_later_and_by_none_that_lost_something(tmp_path):
    with RunRecord.open(tmp_path / "run", header()) as record:
        marks = [record.mark]
        for step in (8, 16):
            record.append(look(step))
            marks.append(record.mark)
        assert all(map(record.holds, marks))
    with RunRecord.open(tmp_path / "run", header()) as record:
        assert all(map(record.holds, marks))
        assert record.mark == marks[-1]
    with RunRecord.open(tmp_path / "other", header()) as record:
        record.append(look(8))
        assert list(map(record.holds, marks)) == [True, True, False]
        record.append(look(16, seed=1))
        assert list(map(record.holds, marks)) == [True, True, False]
