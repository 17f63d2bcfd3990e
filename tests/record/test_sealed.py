"""A sealed study is read as its folder was; a damaged one is refused; sealing and unsealing leave nothing half done."""

import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from small_runs import as_schema_1, assert_same, header, look, samples, write_run, write_study

from taumem.errors import ConfigError, RecordError
from taumem.record import Estimate, Measurement, RunRecord, find_runs, read_runs, seal, unseal
from taumem.record.sealed import SealedStudy
from taumem.record.sealing import _archive


@pytest.fixture(autouse=True, scope="module")
def _a_disk_that_answers_at_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


def same_runs(one: Path, other: Path) -> None:
    mine, theirs = read_runs(one), read_runs(other)
    for a, b in zip(mine, theirs, strict=True):
        assert a.path.relative_to(one) == b.path.relative_to(other)
        assert_same(a, b)


# --- round trip -----------------------------------------------------------------------------------------------------


def test_a_sealed_study_is_read_as_its_folder_was(tmp_path):
    study = write_study(tmp_path / "study")
    file = seal(study)
    assert file == tmp_path / "study.sealed"
    same_runs(study, file)
    assert SealedStudy(file).manifest.files == {"experiment.json": '{"name": "study"}'}


finite = st.floats(allow_nan=False, allow_infinity=False)
measurements = st.builds(
    Measurement,
    quantity=st.sampled_from(["train_loss", "gap", "ü[1]"]),
    t=st.sampled_from([None, 0.15, 1 / 3]),
    value=finite,
    se=st.none() | st.floats(0, 1e300),
    low=st.none() | finite,
    high=st.none() | finite,
    confidence=st.none() | st.sampled_from([0.9, 0.99]),
    count=st.integers(0, 2**40),
    items=st.none() | st.lists(finite, max_size=4).map(tuple) | st.just((0.1234567, -0.0)),
    step=st.integers(0, 20) | st.just(2**60),
    examples=st.integers(0, 2**60),
    seconds=st.floats(0, 1e9),
)
kept = st.dictionaries(
    st.sampled_from(["samples", "nearest", "x"]),
    arrays.arrays(
        st.sampled_from([np.float16, np.float64, np.int32, np.bool_, np.dtype("<U2")]),
        arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3),
    ),
)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*runs are unfinished:taumem.errors.TaumemWarning")
@given(
    st.lists(
        st.tuples(st.lists(measurements, max_size=12), st.dictionaries(st.integers(0, 9), kept, max_size=4)),
        min_size=1,
        max_size=4,
    )
)
def test_whatever_runs_hold_survives_sealing_and_unsealing(tmp_path_factory, runs):
    study = tmp_path_factory.mktemp("study")
    for seed, (facts, looks) in enumerate(runs):
        with RunRecord.open(study / f"run{seed:03d}", header(seed=seed)) as record:
            record.append({m.key: m for m in facts}.values())
            for step, arrays_then in looks.items():
                record.keep_arrays(step, arrays_then)
    file = seal(study)
    same_runs(study, file)
    again = unseal(file, study.with_name(f"{study.name}-again"))
    same_runs(study, again)
    for lines in study.rglob("measurements.jsonl"):
        assert (again / lines.relative_to(study)).read_bytes() == lines.read_bytes()


def test_a_study_is_sealed_to_the_same_bytes_whenever_and_wherever_it_is(tmp_path):
    one, other = (seal(write_study(tmp_path / name / "study")) for name in "ab")
    assert one.read_bytes() == other.read_bytes()
    assert seal(one.with_suffix(""), tmp_path / "third.sealed").read_bytes() == one.read_bytes()
    assert seal(unseal(one, tmp_path / "unsealed"), tmp_path / "fourth.sealed").read_bytes() == one.read_bytes()


def test_runs_of_schema_1_are_sealed_and_unsealed_with_what_they_left_unsaid(tmp_path):
    study = write_study(tmp_path / "study")
    for run in find_runs(study):
        as_schema_1(run)
    file = seal(study)
    same_runs(study, file)
    same_runs(study, unseal(file, tmp_path / "again"))
    assert read_runs(file)[0].curve("copy_fraction").confidence.tolist() == [0.95] * 3


def test_runs_at_any_depth_and_a_single_run_are_studies_too(tmp_path):
    write_study(tmp_path / "both" / "one")
    write_study(tmp_path / "both" / "two")
    same_runs(tmp_path / "both", seal(tmp_path / "both"))
    alone = write_run(tmp_path / "alone")
    (record,) = read_runs(seal(alone))
    assert_same(record, RunRecord.read(alone))
    same_runs(alone, unseal(record.path, tmp_path / "again"))


def test_numpy_alone_opens_the_file(tmp_path):
    with np.load(seal(write_study(tmp_path / "study")), allow_pickle=False) as columns:
        assert "value" in columns.files
        assert json.loads(columns["manifest.json"])["format"] == "taumem sealed study"


# --- smaller files --------------------------------------------------------------------------------------------------


def test_rounded_items_keep_the_mean_of_each_look_and_nothing_else_changes(tmp_path):
    study = write_study(tmp_path / "study")
    file = seal(study, digits=3)
    assert file.stat().st_size < seal(study, tmp_path / "exact.sealed").stat().st_size
    for run, sealed in zip(read_runs(study), read_runs(file), strict=True):
        exact, rounded = run.curve("train_loss"), sealed.curve("train_loss")
        np.testing.assert_array_equal(rounded.values, exact.values)
        np.testing.assert_allclose(rounded.items.mean(1), exact.values, rtol=1e-13)
        assert 0 < np.max(abs(rounded.items - exact.items) / exact.values[:, None]) <= 1.001e-2
        without = [[m.model_copy(update={"items": None}) for m in one.measurements] for one in (run, sealed)]
        assert without[0] == without[1]
    assert seal(unseal(file, tmp_path / "again"), tmp_path / "twice.sealed", digits=3).read_bytes() == file.read_bytes()


def test_the_first_pictures_are_kept_in_shades_and_what_belongs_to_them(tmp_path):
    study = write_study(tmp_path / "study")
    (record, *_) = read_runs(seal(study, pictures=2, shades=256))
    whole, few = samples(8), record.arrays(8)
    assert {name: array.shape for name, array in few.items()} == {
        "samples": (2, 1, 4, 4),
        "gap_ratio": (2,),
        "words": (3,),
    }
    np.testing.assert_allclose(few["samples"], np.clip(whole["samples"][:2], -1, 1), atol=1 / 255 + 1e-3)
    np.testing.assert_array_equal(few["gap_ratio"], whole["gap_ratio"][:2])
    assert few["samples"].dtype == np.float16


def test_short_errors_keep_seven_digits(tmp_path):
    study = write_study(tmp_path / "study")
    for run, sealed in zip(read_runs(study), read_runs(seal(study, short_errors=True)), strict=True):
        exact, short = run.curve("train_loss"), sealed.curve("train_loss")
        np.testing.assert_allclose(short.se, exact.se, rtol=1e-7)
        assert short.se.dtype == np.float64
        assert (short.se != exact.se).all()
        np.testing.assert_array_equal(short.items, exact.items)


def test_errors_that_single_precision_cannot_hold_stay_as_they_are(tmp_path):
    huge = look(64)[1].model_copy(update={"se": 1e200})
    with RunRecord.open(write_study(tmp_path / "study") / "P000064-seed0", header(seed=0)) as run:
        run.append([huge])
    assert read_runs(seal(tmp_path / "study", short_errors=True))[0].curve("train_loss").se[-1] == 1e200


def test_measurements_are_added_to_the_runs_they_are_for(tmp_path):
    study = write_study(tmp_path / "study")
    path = study / "P000064-seed1"
    found = Estimate(quantity="agreement", value=0.5, count=2, items=(0.25, 0.75))
    extra = [Measurement.of(found, step=8, examples=128, seconds=1), look(8)[1].model_copy(update={"value": 7.0})]
    file = seal(study, extra={path: extra})
    plain, more, _ = read_runs(file)
    assert plain.curve_or_none("agreement") is None
    assert more.measurements == [*RunRecord.read(path).measurements, extra[0]]  # what was there first stands
    with pytest.raises(ConfigError, match="which is not a run of"):
        seal(study, tmp_path / "other.sealed", extra={study / "elsewhere": extra})


@pytest.mark.parametrize("options", [{"digits": 1}, {"digits": 8}, {"pictures": -1}, {"shades": 1}, {"shades": 257}])
def test_options_out_of_their_range_are_refused(tmp_path, options):
    (name,) = options
    with pytest.raises(ConfigError, match=rf"{name} = .*expected .* or nothing to keep all"):
        seal(write_study(tmp_path / "study"), **options)


def test_a_sealed_file_is_made_smaller_as_its_study_would_be(tmp_path):
    study = write_study(tmp_path / "study")
    small = seal(study, tmp_path / "small.sealed", digits=3, pictures=1, shades=64)
    again = seal(seal(study), tmp_path / "again.sealed", digits=3, pictures=1, shades=64)
    assert again.read_bytes() == small.read_bytes()


def test_progress_is_reported_to_the_end(tmp_path):
    study, calls = write_study(tmp_path / "study"), []
    file = seal(study, progress=lambda *done: calls.append(done))
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert calls[-1][0] == calls[-1][1] > 0
    calls.clear()
    unseal(file, tmp_path / "again", progress=lambda *done: calls.append(done))
    assert calls == [(1, 3), (2, 3), (3, 3)]


# --- what is refused ------------------------------------------------------------------------------------------------


def test_a_flipped_byte_or_a_cut_is_refused_in_one_line(tmp_path):
    file = seal(write_study(tmp_path / "study", n=1))
    whole, damaged = file.read_bytes(), tmp_path / "damaged.sealed"
    contents = [whole[:cut] for cut in range(0, len(whole), 37)]
    flipped = {*range(0, len(whole), 11), *range(len(whole) - 100, len(whole))}
    contents += [whole[:k] + bytes([whole[k] ^ 0x10]) + whole[k + 1 :] for k in flipped]
    contents += [whole + b"x", b"no study"]
    for content in contents:
        damaged.write_bytes(content)
        with pytest.raises(RecordError, match=r"damaged\.sealed: no sealed study, or damaged") as caught:
            SealedStudy(damaged)
        assert "\n" not in str(caught.value)
    with pytest.raises(RecordError, match="no sealed study, or damaged"):
        read_runs(damaged)


def rewritten(file: Path, change) -> Path:
    """A file whose manifest was changed by somebody who knows how to close it."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members["manifest.json"])
    change(manifest, members)
    file.write_bytes(_archive(members | {"manifest.json": json.dumps(manifest).encode()}))
    return file


OUTSIDE = [
    "../x",
    "/x",
    "a/../../x",
    "..",
    "",
    ".hidden",
    "a/.git/x",
    "x\0",
    *(["C:x", "a\\b"] if os.name == "nt" else []),
]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("where", ["runs", "files"])
def test_names_that_lead_out_of_the_study_are_refused(tmp_path, name, where):
    def change(manifest, members):
        manifest[where] = {name: next(iter(manifest[where].values()))}

    file = rewritten(seal(write_study(tmp_path / "deep" / "study", n=1)), change)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RecordError, match="is no name of a file in a study"):
        unseal(file, tmp_path / "deep" / "again")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest, members: manifest.update(version=2),
        lambda manifest, members: manifest.update(format="another"),
        lambda manifest, members: manifest.update(mood="good"),
        lambda manifest, members: manifest["columns"].pop("value"),
        lambda manifest, members: manifest["columns"]["value"].update(shape=[7]),
        lambda manifest, members: members.pop("value.npy"),
        lambda manifest, members: members.update({"value.npy": b"\x93NUMPY"}),
        lambda manifest, members: manifest["runs"]["P000064-seed0"]["header"].update(schema_version=9),
    ],
)
def test_a_file_of_another_make_is_refused(tmp_path, change):
    file = rewritten(seal(write_study(tmp_path / "study", n=1)), change)
    with pytest.raises(RecordError, match="Use the taumem that wrote it"):
        read_runs(file)[0].curve("train_loss")


def test_pickles_are_not_opened(tmp_path):
    def change(manifest, members):
        np.save(tmp_path / "evil.npy", np.array([print], dtype=object), allow_pickle=True)
        members["value.npy"] = (tmp_path / "evil.npy").read_bytes()

    file = rewritten(seal(write_study(tmp_path / "study", n=1)), change)
    with pytest.raises(RecordError, match="cannot be understood"):
        read_runs(file)[0].curve("train_loss")


def test_a_sealed_file_has_its_suffix(tmp_path):
    with pytest.raises(ConfigError, match=r"the name of a sealed study ends in \.sealed"):
        seal(write_study(tmp_path / "study"), tmp_path / "study.npz")


def test_nothing_is_overwritten_unasked(tmp_path):
    study = write_study(tmp_path / "study")
    file = seal(study)
    before = file.read_bytes()
    with pytest.raises(RecordError, match="exists; name another file"):
        seal(study, digits=3)
    assert file.read_bytes() == before
    assert seal(study, digits=3, replace=True).read_bytes() != before
    for place in (study, file):
        with pytest.raises(RecordError, match="is not an empty folder"):
            unseal(file, place)
    (tmp_path / "empty").mkdir()
    same_runs(study, unseal(file, tmp_path / "empty") and study)


@pytest.mark.parametrize("place", ["nowhere", "empty"])
def test_a_place_without_runs_cannot_be_sealed(tmp_path, place):
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecordError, match="no runs here"):
        seal(tmp_path / place)
    assert not list(tmp_path.glob("*.sealed"))


# --- a kill at any time ---------------------------------------------------------------------------------------------

KILLED = """
import sys, os, signal
from pathlib import Path
from taumem.record import files, seal, unseal
verb, source, target, after = sys.argv[1:]
count = 0
def kill(*_):
    global count
    count += 1
    if count == int(after):
        os.kill(os.getpid(), signal.SIGKILL)
os.fsync = kill
{"seal": seal, "unseal": unseal}[verb](source, target)
"""


def killed(*arguments: object) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, *map(str, arguments)], check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_a_killed_seal_leaves_nothing_that_is_read(tmp_path):
    study = write_study(tmp_path / "a" / "study", n=1)
    killed("seal", study, tmp_path / "b" / "study.sealed", 1)
    assert not (tmp_path / "b" / "study.sealed").exists()
    with pytest.raises(RecordError, match="no runs here"):
        find_runs(tmp_path / "b")


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 3, 8])
def test_a_killed_unseal_leaves_nothing_that_reads_as_a_study(tmp_path, after):
    file = seal(write_study(tmp_path / "a" / "study"), tmp_path / "b" / "study.sealed")
    killed("unseal", file, tmp_path / "b" / "study", after)
    assert not (tmp_path / "b" / "study").exists()
    assert [run.parent for run in find_runs(tmp_path / "b")] == [file] * 3
    same_runs(tmp_path / "a" / "study", unseal(file))


def test_an_unseal_that_fails_cleans_up(tmp_path, monkeypatch):
    file = seal(write_study(tmp_path / "study"), tmp_path / "b" / "study.sealed")
    monkeypatch.setattr(RunRecord, "keep_arrays", lambda *_: os.strerror("no number"))
    with pytest.raises(TypeError):
        unseal(file)
    assert list((tmp_path / "b").iterdir()) == [file]


def test_runs_of_any_name_that_a_folder_can_have_are_sealed_and_unsealed(tmp_path):
    study = write_study(tmp_path / "study", n=1)
    (run,) = (file.parent for file in study.rglob("run.json"))
    run.rename(run.with_name("2026-01-01T12:00:00 'a\\b'"))
    before = [m for r in read_runs(study) for m in r.measurements]
    again = unseal(seal(study), tmp_path / "again")
    assert [m for r in read_runs(again) for m in r.measurements] == before


def test_a_folder_that_holds_a_sealed_study_too_is_not_sealed_without_it(tmp_path):
    write_study(tmp_path / "big" / "one", n=1)
    sealed = seal(write_study(tmp_path / "two", n=1), tmp_path / "big" / "two.sealed")
    with pytest.raises(RecordError, match=r"holds a study that is sealed already, .*two\.sealed"):
        seal(tmp_path / "big")
    sealed.unlink()
    assert len(read_runs(seal(tmp_path / "big"))) == 1


def test_a_study_of_which_only_the_sealed_file_is_left_is_made_smaller_by_its_name(tmp_path):
    study = write_study(tmp_path / "study")
    seal(study)
    shutil.rmtree(study)
    assert len(read_runs(seal(study, tmp_path / "small.sealed", digits=3))) == len(read_runs(study))


def test_a_damaged_file_is_found_and_does_not_hide_the_runs_beside_it(tmp_path):
    write_study(tmp_path / "one", n=1)
    file = seal(write_study(tmp_path / "two", n=1))
    shutil.rmtree(tmp_path / "two")
    file.write_bytes(file.read_bytes()[:-100])
    assert len(find_runs(tmp_path)) == 2
    with pytest.raises(RecordError, match="damaged"):
        read_runs(tmp_path)


def test_runs_in_hidden_folders_do_not_stand_before_a_sealed_study(tmp_path):
    study = write_study(tmp_path / "study")
    seal(study)
    study.rename(tmp_path / "elsewhere")
    (tmp_path / "study" / ".tmp").mkdir(parents=True)
    shutil.copytree(tmp_path / "elsewhere", tmp_path / "study" / ".tmp" / "r")
    assert len(read_runs(study)) == len(read_runs(tmp_path / "elsewhere"))
