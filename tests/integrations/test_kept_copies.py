import shutil

import pytest
from stand_ins import ToldGuard

from taumem.errors import RecordError, TaumemWarning
from taumem.integrations.kept_copies import FOLDER, KeptCopies


def saver(folder, limit):
    """A saver of folders that deletes the oldest before it writes the next, as scripts of diffusers do."""

    def save(step):
        former = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
        for old in former[: max(len(former) + 1 - limit, 0)]:
            shutil.rmtree(old)
        place = folder / f"checkpoint-{step}"
        place.mkdir(parents=True)
        (place / "model.bin").write_text(f"weights of step {step}")
        return place

    return save


def test_the_checkpoint_to_keep_outlives_a_rotating_saver(tmp_path):
    guard, save = ToldGuard(), saver(tmp_path / "out", limit=2)
    copies = KeptCopies(guard)
    for step in (10, 20, 30, 40, 50):
        guard.best = min(step, 20)  # the best so far; from 20 on it stays
        copies.saved(step, save(step))
    assert {path.name for path in (tmp_path / "out").glob("checkpoint-*")} == {"checkpoint-40", "checkpoint-50"}
    assert sorted(guard.checkpoints) == [20, 40, 50]
    kept = guard.verdict.checkpoint
    assert kept.step == 20
    assert kept.path == str(tmp_path / "out" / FOLDER / "step-20" / "checkpoint-20")
    assert (tmp_path / "out" / FOLDER / "step-20" / "checkpoint-20" / "model.bin").read_text() == "weights of step 20"


def test_there_is_one_copy_at_any_time(tmp_path):
    guard, save = ToldGuard(), saver(tmp_path / "out", limit=3)
    copies = KeptCopies(guard, tmp_path / "kept")
    for step in (1, 2, 3, 4, 5):
        guard.best = step
        copies.saved(step, save(step))
        assert [path.name for path in (tmp_path / "kept").iterdir()] == [f"step-{step}"]
    assert sorted(guard.checkpoints) == [3, 4, 5]


def test_a_file_that_is_written_again_in_place_is_another_checkpoint(tmp_path):
    guard, last = ToldGuard(best=1), tmp_path / "last.ckpt"
    copies = KeptCopies(guard)
    for step in (1, 2, 3):
        last.write_text(f"weights of step {step}")
        copies.saved(step, last)
    assert guard.checkpoints == {1: str(tmp_path / FOLDER / "step-1" / "last.ckpt"), 3: str(last)}
    assert (tmp_path / FOLDER / "step-1" / "last.ckpt").read_text() == "weights of step 1"


def test_only_what_was_written_since_is_found(tmp_path):
    guard, file = ToldGuard(), tmp_path / "a.ckpt"
    file.write_text("a")
    copies = KeptCopies(guard)
    copies.find(3, [file, tmp_path / "missing.ckpt"])
    copies.find(4, [file])
    assert guard.checkpoints == {3: str(file)}


def test_nothing_is_copied_where_nothing_is_deleted_or_the_guard_keeps_weights_itself(tmp_path):
    for guard, wanted in ((ToldGuard(best=1), False), (ToldGuard(best=1, on_onset="checkpoint"), True)):
        KeptCopies(guard, tmp_path / "kept", copies=wanted).saved(1, saver(tmp_path / f"out{wanted}", 2)(1))
        assert sorted(guard.checkpoints) == [1]
    assert not (tmp_path / "kept").exists()


def test_a_disk_that_refuses_is_told_and_stops_nothing_unless_strict(tmp_path):
    place = saver(tmp_path / "out", 2)(1)
    (tmp_path / "kept").write_text("a file where the folder should be")
    with pytest.warns(TaumemWarning, match="was not copied"):
        KeptCopies(ToldGuard(best=1), tmp_path / "kept").saved(1, place)
    with pytest.raises(RecordError, match="was not copied"):
        KeptCopies(ToldGuard(best=1, strict=True), tmp_path / "kept").saved(1, place)


def test_training_that_goes_on_from_a_copy_copies_it_no_further(tmp_path):
    copy = tmp_path / FOLDER / "step-1" / "checkpoint-1"
    copy.mkdir(parents=True)
    KeptCopies(guard := ToldGuard(best=1)).saved(1, copy)
    assert [path.name for path in tmp_path.rglob("*") if path.is_dir()] == [FOLDER, "step-1", "checkpoint-1"]
    assert guard.checkpoints == {1: str(copy)}


def test_a_torn_copy_is_made_again(tmp_path):
    place = saver(tmp_path / "out", 2)(1)
    (tmp_path / "kept" / "step-1.unfinished" / "checkpoint-1").mkdir(parents=True)
    KeptCopies(ToldGuard(best=1), tmp_path / "kept").saved(1, place)
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["step-1"]
    assert (tmp_path / "kept" / "step-1" / "checkpoint-1" / "model.bin").is_file()
