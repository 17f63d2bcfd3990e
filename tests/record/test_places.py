"""Where runs are found: in folders, in sealed files, and in sealed files under their folders' names."""

import shutil

import pytest
from small_runs import assert_same, header, look, write_run, write_study

from taumem.errors import RecordError
from taumem.record import RunRecord, find_runs, read_runs, seal


def names(runs, root) -> list[str]:
    return [run.relative_to(root).as_posix() for run in runs]


@pytest.fixture
def study(tmp_path):
    return write_study(tmp_path / "study", n=2)


@pytest.fixture
def sealed(study):
    file = seal(study)
    shutil.rmtree(study)
    return file


SEALED = ["study.sealed/P000064-seed0", "study.sealed/P000064-seed1"]


@pytest.mark.parametrize("place", [".", "study", "study.sealed", "study/P*", "study/P000064-seed[01]", "study/."])
def test_a_sealed_study_is_found_by_its_file_its_old_name_and_from_above(tmp_path, sealed, place):
    assert names(find_runs(tmp_path / place), tmp_path) == SEALED


@pytest.mark.parametrize("place", ["study/P000064-seed1", "study.sealed/P000064-seed1", "study/*1"])
def test_one_run_of_a_sealed_study_is_found_by_its_name(tmp_path, sealed, place):
    assert names(find_runs(tmp_path / place), tmp_path) == SEALED[1:]
    assert RunRecord.read(tmp_path / place).path == tmp_path / SEALED[1]


def test_runs_that_are_named_twice_are_found_once(tmp_path, sealed):
    found = find_runs(tmp_path / "study" / "P000064-seed1", sealed, tmp_path, tmp_path / "study")
    assert names(found, tmp_path) == SEALED[::-1]


def test_a_folder_with_runs_wins_over_its_sealed_twin(tmp_path, study):
    seal(study)
    write_run(study / "P000128-seed0", seed=7)
    folder = ["study/P000064-seed0", "study/P000064-seed1", "study/P000128-seed0"]
    for place in (tmp_path, study):
        assert names(find_runs(place), tmp_path) == folder
    assert names(find_runs(tmp_path / "study.sealed"), tmp_path) == SEALED  # who names the file means the file


def test_a_folder_without_runs_does_not_hide_its_sealed_twin(tmp_path, sealed):
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "report.html").write_text("drawn from the sealed file")
    for place in (tmp_path, tmp_path / "study"):
        assert names(find_runs(place), tmp_path) == SEALED


def test_studies_in_folders_and_sealed_ones_are_found_together(tmp_path, sealed):
    write_study(tmp_path / "other", n=1)
    assert names(find_runs(tmp_path), tmp_path) == ["other/P000064-seed0", *SEALED]
    assert len(read_runs(tmp_path)) == 3


def test_hidden_folders_are_passed_over_unless_one_stands_in_them(tmp_path, study):
    write_study(tmp_path / ".aside" / "other", n=1)
    assert names(find_runs(tmp_path), tmp_path) == ["study/P000064-seed0", "study/P000064-seed1"]
    assert len(find_runs(tmp_path / ".aside")) == 1


@pytest.mark.parametrize("place", ["study/P000128*", "study.sealed/nothing", "study.sealed/P000064-seed0/arrays", "x"])
def test_a_place_without_runs_is_refused(tmp_path, sealed, place):
    with pytest.raises(RecordError, match=r"no runs here; .* or a sealed study"):
        find_runs(tmp_path / place)
    with pytest.raises(RecordError, match="no run here"):
        RunRecord.read(tmp_path / place)


def test_several_runs_are_not_read_as_one(sealed):
    with pytest.raises(RecordError, match="holds 2 runs; name one of them"):
        RunRecord.read(sealed)


def test_a_sealed_run_is_not_written_to(tmp_path, sealed):
    (record, _) = read_runs(sealed)
    with pytest.raises(RecordError, match=r"is sealed, and sealed runs are not written to; unseal .*study\.sealed"):
        RunRecord.open(record.path, record.header)
    with pytest.raises(RecordError, match="not open for writing"):
        record.append(look(64))
    with pytest.raises(RecordError, match=r"study\.sealed/P000064-seed0: no measurement of 'gap'"):
        record.curve("gap")
    with pytest.raises(RecordError, match=r"no arrays at step 9; there are some at \[8, 32\]"):
        record.arrays(9)


def test_a_run_is_not_begun_where_it_would_hide_that_of_a_sealed_file(tmp_path, sealed):
    with pytest.raises(RecordError, match=r"study\.sealed holds this run; unseal it to go on with it"):
        write_run(tmp_path / "study" / "P000064-seed0")
    assert not (tmp_path / "study").exists()


def test_a_file_that_was_sealed_anew_is_read_anew(tmp_path, study):
    file = seal(study)
    assert len(read_runs(file)) == 2
    write_run(study / "P000128-seed0", seed=7)
    assert len(read_runs(seal(study, replace=True))) == 3


def test_the_arrays_of_a_sealed_run_are_the_readers_own(sealed):
    (record, _) = read_runs(sealed)
    record.arrays(8)["samples"][:] = 0
    assert record.arrays(8)["samples"].any()


def test_a_run_in_memory_has_curves_and_no_arrays():
    run = RunRecord.of(header(), [*look(8), *look(8), *look(4)])
    assert run.curve("train_loss").steps.tolist() == [4, 8]
    assert run.array_steps() == []
    assert_same(run, RunRecord.of(header(), run.measurements))
