"""Folders: each run once, in whatever forms it stands there, and no two runs in one."""

import json

import numpy as np
import pytest
from made_up import STEPS, falling, points, turning, write_csv, write_lines

from taumem.errors import DataError
from taumem.logs import Asked, read_logs


def state(folder, n_looks=40, values=None):
    folder.mkdir(parents=True, exist_ok=True)
    history = points(turning() if values is None else values, name="eval_loss")[:n_looks]
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": history}))


def test_checkpoints_hold_the_beginning_of_one_run(tmp_path):
    for n_looks in (10, 20, 40):
        state(tmp_path / f"checkpoint-{100 * n_looks}", n_looks)
    (log,) = read_logs(tmp_path)
    assert len(log.heldout) == 40
    assert sum("The same run" in note for note in log.notes) == 2


def test_a_run_that_stands_there_in_two_formats_is_read_once(tmp_path):
    pytest.importorskip("tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    state(tmp_path)
    writer = SummaryWriter(str(tmp_path / "runs" / "today"))
    for step, value in zip(STEPS, turning(), strict=True):
        writer.add_scalar("eval/loss", value, int(step))
    writer.close()
    assert len(read_logs(tmp_path)) == 1


def test_another_run_in_the_same_folder_stays_another(tmp_path):
    state(tmp_path / "checkpoint-4000")
    state(tmp_path / "old" / "checkpoint-4000", values=falling())
    one, two = read_logs(tmp_path)
    assert not np.allclose(one.heldout.values, two.heldout.values)


def test_event_files_of_a_folder_are_one_run_if_it_was_resumed_and_two_if_not(tmp_path):
    pytest.importorskip("tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    for folder, begin, n_runs in (("resumed", 25, 1), ("again", 0, 2)):
        for k, rows in enumerate((points(falling())[:30], points(turning())[begin:])):
            writer = SummaryWriter(str(tmp_path / folder), filename_suffix=f".{k}")
            for row in rows:
                writer.add_scalar("val/loss", row["val_loss"], row["step"])
            writer.close()
        logs = read_logs(tmp_path / folder)
        assert len(logs) == n_runs, folder
        np.testing.assert_allclose(logs[-1].heldout.values[25:], turning()[25:], rtol=1e-6)


def test_files_that_are_no_logs_are_passed_over_where_a_folder_is_given(tmp_path):
    write_lines(tmp_path / "log.jsonl", points(turning()))
    write_csv(tmp_path / "metadata.csv", ["file_name", "text"], [("a.png", "a cat")])
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 64)
    assert len(read_logs(tmp_path)) == 1


def test_a_log_without_a_held_out_loss_is_told_only_where_there_is_no_other(tmp_path):
    write_lines(tmp_path / "a" / "log.jsonl", points(falling(), name="train/loss"))
    (log,) = read_logs(tmp_path)
    assert log.heldout is None
    assert "no held-out loss among its scalars: train/loss (40)" in log.why
    assert "other items and other noise at every step" in log.why
    write_lines(tmp_path / "b" / "log.jsonl", points(turning()))
    assert [log.path.parent.name for log in read_logs(tmp_path)] == ["b"]


def test_a_folder_without_logs_is_refused_in_one_line(tmp_path):
    with pytest.raises(DataError, match="no logs here; expected event files"):
        read_logs(tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        read_logs(tmp_path / "nothing")
    (tmp_path / "run-1.wandb").write_bytes(b":W&B")
    with pytest.raises(DataError, match="export the run"):
        read_logs(tmp_path)


def test_steps_win_over_epochs_and_a_column_can_be_named(tmp_path):
    rows = [(k // 10, k, s, v) for k, (s, v) in enumerate(zip(STEPS, turning(), strict=True))]
    file = write_csv(tmp_path / "m.csv", ["epoch", "batch", "step", "val_loss"], rows)
    (log,) = read_logs(file)
    assert (log.axis, log.heldout.steps[-1]) == ("steps", 4000)
    (log,) = read_logs(file, asked=Asked(step="batch"))
    assert log.heldout.steps[-1] == 39
    (log,) = read_logs(file, asked=Asked(step="batches"))
    assert "did you mean 'batch'" in log.why


def test_a_step_that_stands_still_is_no_step(tmp_path):
    rows = [(k, 390, v) for k, v in enumerate(turning(), 1)]
    file = write_csv(tmp_path / "m.csv", ["epoch", "step", "val_loss"], rows)
    (log,) = read_logs(file)
    assert "this is not the step" in log.why
    (log,) = read_logs(file, asked=Asked(step="epoch"))
    assert (log.axis, len(log.heldout)) == ("epochs", 40)


def test_a_record_of_a_log_says_that_it_is_one(tmp_path):
    file = write_csv(
        tmp_path / "m.csv",
        ["step", "loss/val", "loss/train-stabilized"],
        [(s, v, 0.9 * v) for s, v in zip(STEPS, turning(), strict=True)],
    )
    (log,) = read_logs(file)
    record = log.record(n_train=40)
    assert record.header.probes["log"]["heldout_loss"] == "loss/val"
    assert record.header.data.n_train == 40
    assert record.quantities == ["heldout_loss", "train_loss"]
    assert record.curve("heldout_loss").items is None


def test_json_of_another_name_that_is_not_whole_is_passed_over_with_a_note(tmp_path):
    state(tmp_path)
    (tmp_path / "half.json").write_text('{"log_history": [{"step": 100, "eval_lo')
    (tmp_path / "config.json").write_text('{"lr": 0.1}')
    (log,) = read_logs(tmp_path)
    (note,) = log.notes
    assert note.endswith("half.json cannot be read as JSON, and was passed over; name it if it is a log.")
