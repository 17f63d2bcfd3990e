"""The run on disk: what is written is read back, whatever kills the writer and wherever."""

import json
import math
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taumem.errors import RecordError, TaumemWarning
from taumem.record import DataFacts, Estimate, Measurement, RunHeader, RunRecord, read_runs
from taumem.record.lines import encoded, read_lines

QUANTITIES = [("train_loss", None), ("train_loss", 0.35), ("copy_fraction", None)]


def header(**changes) -> RunHeader:
    data = DataFacts(name="digits", fingerprint="ab" * 32, n_train=64, n_heldout=16, item_shape=(1, 8, 8))
    facts = {
        "name": "study",
        "data": data,
        "seed": 3,
        "half": "a",
        "batch_size": 16,
        "steps": 100,
        "versions": {"torch": "2.4"},
        "experiment": {"model": {"kind": "unet", "channels": 16}, "sizes": [64, 128]},
    }
    return RunHeader(**(facts | changes))


def check(step: int) -> list[Measurement]:
    """Everything that one look measures: an average with items, a level, a share with its interval."""
    return [
        Measurement(
            quantity=quantity,
            t=t,
            value=1 / (step + 3),
            se=0.1 if t is None else None,
            low=0.0 if quantity == "copy_fraction" else None,
            high=0.7 if quantity == "copy_fraction" else None,
            count=2,
            items=(1 / 3, step * 1e-9) if quantity == "train_loss" and t is None else None,
            step=step,
            examples=16 * step,
            seconds=step / 7,
        )
        for quantity, t in QUANTITIES
    ]


CHECKS = [check(step) for step in (8, 16, 32)]


@pytest.fixture(autouse=True, scope="module")
def _a_disk_that_answers_at_once():
    """Waiting for the disk changes no file's content: thousands of waits would take most of this module's time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


def write(path: Path, checks: list[list[Measurement]] = CHECKS, run: RunHeader | None = None) -> Path:
    with RunRecord.open(path, run or header()) as record:
        for measurements in checks:
            record.append(measurements)
    return path


def lines_of(path: Path) -> bytes:
    return (path / "measurements.jsonl").read_bytes()


def key_of(line: bytes) -> tuple[int, str, float | None]:
    """Which fact a line is."""
    content = json.loads(line)
    return content["step"], content["quantity"], content.get("t")


# --- round trip -----------------------------------------------------------------------------------------------------


def test_a_record_is_read_back_as_it_was_written(tmp_path):
    record = RunRecord.read(write(tmp_path / "run"))
    assert record.header == header()
    assert record.measurements == [m for measurements in CHECKS for m in measurements]
    assert (record.steps, record.last_step) == ([8, 16, 32], 32)
    assert record.quantities == ["copy_fraction", "train_loss"]


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(
    value=finite,
    t=st.none() | st.floats(0, 1),
    se=st.none() | st.floats(0, 1e300),
    interval=st.none() | st.tuples(finite, finite),
    items=st.none() | st.lists(finite, max_size=5).map(tuple),
    step=st.integers(0, 2**60),
    quantity=st.text(st.characters(exclude_categories=["Cs"])),
)
def test_every_finite_number_survives_the_disk_bit_for_bit(
    tmp_path_factory, value, t, se, interval, items, step, quantity
):
    low, high = interval or (None, None)
    written = Measurement(
        quantity=quantity, value=value, t=t, se=se, low=low, high=high, items=items, step=step, examples=0, seconds=0
    )
    path = write(tmp_path_factory.mktemp("run"), [[written]])
    assert RunRecord.read(path).measurements == [written]


def test_a_run_that_has_only_begun_is_empty(tmp_path):
    record = RunRecord.read(write(tmp_path, []))
    assert (record.measurements, record.steps, record.last_step, record.quantities) == ([], [], 0, [])


def test_arrays_come_back_with_their_types_and_nothing_else(tmp_path):
    kept = {"samples": np.ones((2, 1, 8, 8), np.float16), "places": np.arange(3)}
    with RunRecord.open(tmp_path, header()) as record:
        record.keep_arrays(16, {"samples": np.zeros(1)})
        record.keep_arrays(16, kept)  # a resumed run draws them again
        record.keep_arrays(8, kept)
    record = RunRecord.read(tmp_path)
    assert record.array_steps() == [8, 16]
    arrays = record.arrays(16)
    assert {name: (a.dtype, a.tolist()) for name, a in arrays.items()} == {
        name: (a.dtype, a.tolist()) for name, a in kept.items()
    }


def test_arrays_at_a_step_without_any_are_refused_and_the_steps_named(tmp_path):
    with RunRecord.open(tmp_path, header()) as record:
        record.keep_arrays(16, {"samples": np.zeros(1)})
        with pytest.raises(RecordError, match=r"no arrays at step 17; there are some at \[16\]"):
            record.arrays(17)


# --- a kill at any byte ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_file_cut_at_any_byte_loses_the_torn_line_alone_and_resumes_to_the_same_bytes(tmp_path):
    whole = lines_of(write(tmp_path / "unbroken"))
    measured = [m for measurements in CHECKS for m in measurements]
    path = write(tmp_path / "cut", [])
    for cut in range(len(whole) + 1):
        (path / "measurements.jsonl").write_bytes(whole[:cut])
        kept = whole[:cut].count(b"\n")
        torn = cut - (whole[:cut].rfind(b"\n") + 1)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            record = RunRecord.read(path)
        assert record.measurements == measured[:kept]
        assert [w.category for w in caught] == [TaumemWarning] * bool(torn)
        if torn:
            assert f"dropped {torn} bytes, kept {kept} measurements" in str(caught[0].message)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            resumed = RunRecord.open(path, header())
        assert [w.category for w in caught] == [TaumemWarning] * bool(torn)
        with resumed:
            assert resumed.measurements == measured[:kept]
            for measurements in CHECKS:
                resumed.append(measurements)
        assert lines_of(path) == whole


@given(st.lists(st.lists(st.integers(0, 12), max_size=6), max_size=8))
def test_no_order_of_appending_and_reopening_writes_a_fact_twice(tmp_path_factory, sessions):
    path = tmp_path_factory.mktemp("run")
    for steps in sessions:
        write(path, [check(step) for step in steps])
        with RunRecord.open(path, header()) as record:  # the same facts twice in one call
            record.append([m for step in steps for m in check(step) + check(step)])
    keys = [key_of(line) for line in lines_of(path).splitlines()] if sessions else []
    assert len(keys) == len(set(keys)) == len(QUANTITIES) * len({step for steps in sessions for step in steps})


def test_of_two_values_for_one_fact_the_first_stands(tmp_path):
    first, second = (check(8)[0].model_copy(update={"value": value}) for value in (1.0, 2.0))
    with RunRecord.open(tmp_path, header()) as record:
        record.append([first, second])
        with pytest.warns(TaumemWarning, match="needs another folder"):
            record.append([second])
        record.append([first.model_copy(update={"value": 1.000001})])  # rounding on another machine is no change
        assert record.measurements == [first]
    assert RunRecord.read(tmp_path).measurements == [first]
    assert lines_of(tmp_path).count(b"\n") == 1


# --- what is refused ------------------------------------------------------------------------------------------------


def rewrite(path: Path, change) -> None:
    content = json.loads((path / "run.json").read_text())
    del content["check"]
    change(content)
    (path / "run.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(schema_version=4), r"schema version 4; this taumem reads versions 1 to 3. Use the"),
        (lambda c: c.pop("schema_version"), r"schema version None; .* or run the experiment again"),
        (lambda c: c.update(mood="good"), r"mood: Extra inputs are not permitted. Use the taumem that wrote it"),
        (lambda c: c["data"].update(mood="good"), r"data.mood: Extra inputs"),
        (lambda c: c.update(batch_size=-1), r"batch_size: Input should be greater than or equal to 0"),
        (lambda c: c.pop("seed"), r"seed: Field required"),
    ],
)
def test_a_header_that_this_version_does_not_understand_is_refused(tmp_path, change, message):
    write(tmp_path)
    rewrite(tmp_path, change)
    for use in (lambda: RunRecord.read(tmp_path), lambda: RunRecord.open(tmp_path, header())):
        with pytest.raises(RecordError, match=message):
            use()
    (tmp_path / "run.json").write_text(header().model_dump_json())
    RunRecord.open(tmp_path, header()).close()  # the refusal let the lock go


@pytest.mark.parametrize("text", ["", '{"name": ', "\x00\xff"])
def test_a_header_that_is_no_json_is_refused(tmp_path, text):
    write(tmp_path)
    (tmp_path / "run.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(RecordError, match=r"run\.json: cannot be read as JSON .*; remove the folder and run again"):
        RunRecord.read(tmp_path)


@pytest.mark.parametrize("text", ["[]", "3", "null"])
def test_a_header_that_is_no_object_is_refused(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(RecordError, match="schema version None"):
        RunRecord.read(tmp_path)


PLAIN = {"quantity": "x", "value": 1, "step": 1, "examples": 1, "seconds": 0}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{nonsense}", r"line 2: not a measurement: the line: Invalid JSON.* run the experiment again"),
        (PLAIN | {"mood": 1}, r"line 2: .*mood: Extra inputs"),
        ({k: v for k, v in PLAIN.items() if k != "step"}, r"line 2: .*step: Field required"),
        (PLAIN | {"se": -1}, r"a standard error is at least 0"),
        (PLAIN | {"t": 1.5}, r"line 2: .*t: Input should be less"),
        (PLAIN | {"value": "much"}, r"line 2: .*value: Input should be a valid number"),
        (PLAIN | {"count": -1}, r"line 2: .*count: Input should be greater"),
        (PLAIN | {"step": 2**63}, r"line 2: .*step: Input should be less"),
        (json.dumps(PLAIN)[:-1].encode() + 5000 * b"0" + b"}", r"line 2: not a measurement"),
        (PLAIN | {"value": math.nan}, r"line 2: not a measurement: x is not finite"),
        (PLAIN | {"items": [1, math.inf]}, r"line 2: not a measurement: x is not finite"),
        (PLAIN | {"seconds": math.inf}, r"line 2: not a measurement: x is not finite"),
        (b'{"quantity":"x","value":1e999,"step":1,"examples":1,"seconds":0}', r"line 2: not a measurement: x is not"),
        (b'{"items":' + 5000 * b"[" + 5000 * b"]" + b"}", r"line 2: not a measurement"),
    ],
)
@pytest.mark.parametrize("schema", [2, 3])
def test_a_whole_line_that_is_no_measurement_is_refused_by_its_number(tmp_path, schema, line, message):
    first, *rest = read_lines(write(tmp_path) / "measurements.jsonl", header().origin, all_checked=True).bodies
    line = line if isinstance(line, bytes) else json.dumps(line).encode()
    bodies = [first, line[:-1], *rest]
    text, _ = encoded(bodies, header().origin)
    if schema == 2:
        rewrite(tmp_path, lambda content: content.update(schema_version=2))
        text = b"".join(body + b"}\n" for body in bodies)
    (tmp_path / "measurements.jsonl").write_bytes(text)
    for use in (lambda: RunRecord.read(tmp_path), lambda: RunRecord.open(tmp_path, header())):
        with pytest.raises(RecordError, match=message):
            use()


def test_a_folder_without_a_run_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(RecordError, match=r"no run here \(no run\.json\); expected a run's folder"):
            RunRecord.read(path)


def test_measurements_that_lost_their_header_are_not_adopted_by_another_run(tmp_path):
    write(tmp_path)
    (tmp_path / "run.json").unlink()
    with pytest.raises(RecordError, match=r"no run\.json that says of which run. Choose another output folder"):
        RunRecord.open(tmp_path, header(seed=4))
    assert not (tmp_path / "run.json").exists()


@pytest.mark.parametrize("where", ["file", "file/run"])
def test_a_file_where_the_folder_should_be_is_refused(tmp_path, where):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match=r"is a file; expected (a folder|folders)\. Choose another"):
        RunRecord.open(tmp_path / where, header())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 4}, r"its seed is 3, this one has 4. Choose another output folder, or remove this one"),
        ({"half": None}, r'its half is "a", this one has null'),
        (
            {"experiment": {"model": {"kind": "unet", "channels": 32}, "sizes": (64, 128)}},
            r"its experiment\.model\.channels is 16, this one has 32",
        ),
        ({"experiment": {"model": {"kind": "unet", "channels": 16}}}, r"its experiment\.sizes is \[64, 128\], .* null"),
        ({"experiment": {**header().experiment, "clip": None}}, r"its experiment\.clip is null"),
        ({"data": header().data.model_copy(update={"fingerprint": "cd" * 32})}, r'its data\.fingerprint is "abab'),
        ({"weights": "ema"}, r'its weights is "raw"'),
        (
            {"steps": 60},
            r"its steps is 100, this one has 60; a run can be made longer, not shorter. Ask for at least 100",
        ),
    ],
)
def test_another_run_may_not_continue_and_is_told_what_differs(tmp_path, changes, message):
    write(tmp_path)
    before = lines_of(tmp_path)
    with pytest.raises(RecordError, match=message):
        RunRecord.open(tmp_path, header(**changes))
    assert lines_of(tmp_path) == before
    RunRecord.open(tmp_path, header()).close()


def test_the_same_run_may_continue_on_another_machine_and_keeps_its_first_header(tmp_path):
    write(tmp_path)
    same = {**header().experiment, "sizes": (64, 128)}  # a tuple is a list once it is on disk
    with RunRecord.open(tmp_path, header(device="cuda", versions={"torch": "9"}, experiment=same)) as record:
        assert record.header == header()
    assert RunRecord.read(tmp_path).header == header()


@pytest.mark.parametrize("number", [math.nan, math.inf])
@pytest.mark.parametrize("place", ["value", "se", "low", "high", "items"])
def test_a_number_that_is_not_finite_is_refused_with_its_step_and_leaves_no_trace(tmp_path, number, place):
    estimate = Estimate(
        **{"quantity": "train_loss", "value": 1.0, place: (1.0, number) if place == "items" else number}
    )
    bad = Measurement.of(estimate, step=64, examples=1, seconds=0)
    write(tmp_path)
    before = lines_of(tmp_path)
    with (
        RunRecord.open(tmp_path, header()) as record,
        pytest.raises(RecordError, match=r"train_loss.*not finite at step 64.*diverged \(try a smaller learning rate"),
    ):
        record.append([*check(64), bad.model_copy(update={"t": 0.5})])
    assert lines_of(tmp_path) == before
    assert RunRecord.read(tmp_path).last_step == 32


def test_a_record_opened_for_reading_or_closed_cannot_be_written(tmp_path):
    write(tmp_path)
    with RunRecord.open(tmp_path, header()) as closed:
        pass
    closed.close()  # a second time does no harm
    for record in (RunRecord.read(tmp_path), closed):
        for use in (lambda r: r.append(check(64)), lambda r: r.keep_arrays(64, {"samples": np.zeros(1)})):
            with pytest.raises(RecordError, match=r"use RunRecord\.open to write"):
                use(record)
    assert RunRecord.read(tmp_path).array_steps() == []


# --- one writer at a time -------------------------------------------------------------------------------------------


def test_a_second_writer_is_refused_until_the_first_is_done(tmp_path):
    with RunRecord.open(tmp_path, header()) as record:
        with pytest.raises(RecordError, match="another process is writing this run; wait for it or stop it"):
            RunRecord.open(tmp_path, header())
        record.append(check(8))
        assert RunRecord.read(tmp_path).last_step == 8  # readers are welcome meanwhile
    write(tmp_path)


WRITER = """
import sys, time
from taumem.record import *
record = RunRecord.open(sys.argv[1], RunHeader.model_validate_json(sys.argv[2]))
record.append([Measurement.model_validate_json(line) for line in sys.argv[3].splitlines()])
print("writing", flush=True)
time.sleep(60)
"""


def test_a_killed_writer_leaves_what_it_wrote_and_no_lock(tmp_path):
    lines = "\n".join(m.model_dump_json() for m in check(8))
    command = [sys.executable, "-c", WRITER, str(tmp_path), header().model_dump_json(), lines]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        with pytest.raises(RecordError, match="another process is writing this run"):
            RunRecord.open(tmp_path, header())
        os.kill(process.pid, signal.SIGKILL)
    assert RunRecord.read(tmp_path).measurements == check(8)
    write(tmp_path)
    assert lines_of(tmp_path) == lines_of(write(tmp_path.with_name("unbroken")))


# --- many runs ------------------------------------------------------------------------------------------------------


def test_runs_are_found_at_any_depth_in_order_and_each_once(tmp_path):
    for name in ("b", "a/deep", "c"):
        write(tmp_path / "study" / name)
    found = read_runs(tmp_path / "study" / "c", tmp_path / "study", tmp_path / "study" / "c" / ".." / "b")
    assert [r.path.relative_to(tmp_path / "study").as_posix() for r in found] == ["c", "a/deep", "b"]


@pytest.mark.parametrize("place", [".", "nowhere"])
def test_a_place_without_runs_is_refused(tmp_path, place):
    with pytest.raises(RecordError, match=r"no runs here; expected a folder with a run\.json in it or below it"):
        read_runs(tmp_path / place)


def test_one_unreadable_run_is_an_error_not_a_missing_row(tmp_path):
    write(tmp_path / "a")
    write(tmp_path / "b")
    (tmp_path / "b" / "run.json").write_text("{")
    with pytest.raises(RecordError, match=r"b/run\.json: cannot be read"):
        read_runs(tmp_path)


def test_damaged_arrays_are_refused_by_name(tmp_path):
    with RunRecord.open(tmp_path / "run", header()) as record:
        record.keep_arrays(4, {"samples": np.zeros((2, 3))})
        file = tmp_path / "run" / "arrays" / "00000004.npz"
        file.write_bytes(file.read_bytes()[:30])
        with pytest.raises(RecordError, match=r"00000004\.npz: damaged"):
            record.arrays(4)
