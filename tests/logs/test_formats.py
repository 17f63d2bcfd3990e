"""Each format gives the curve that was written, in files that the real libraries make where they are installed."""

import json
import struct
import subprocess
import sys

import numpy as np
import pytest
from made_up import STEPS, points, turning, write_csv, write_lines

from taumem.errors import DataError
from taumem.logs import read_logs


def the_curve(place, **asked):
    (log,) = read_logs(place, **asked)
    assert log.why == ""
    np.testing.assert_array_equal(log.heldout.steps, STEPS)
    np.testing.assert_allclose(log.heldout.values, turning(), rtol=1e-6)
    return log


@pytest.fixture
def writer(tmp_path):
    pytest.importorskip("tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(tmp_path))


def test_event_files_of_tensorboard(writer, tmp_path):
    for step, value in zip(STEPS, turning(), strict=True):
        writer.add_scalar("val/loss", value, int(step))
        writer.add_scalar("train/loss", 0.9 * value, int(step))
        writer.add_text("prompt", "a cat", int(step))
        writer.add_histogram("weights", np.arange(4.0), int(step))
    writer.close()
    log = the_curve(tmp_path)
    assert (log.format, log.heldout_tag, log.axis, dict(log.tags)) == (
        "TensorBoard",
        "val/loss",
        "steps",
        {"val/loss": 40, "train/loss": 40},
    )


def test_an_event_file_that_is_cut_off_gives_what_is_whole_and_says_so(writer, tmp_path):
    for step, value in zip(STEPS, turning(), strict=True):
        writer.add_scalar("val/loss", value, int(step))
    writer.close()
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-7])
    (log,) = read_logs(tmp_path)
    assert list(log.heldout.steps) == list(STEPS[:-1])
    assert "is cut off" in log.notes[0]


def test_an_event_file_that_is_damaged_in_its_middle_says_how_much_is_left_out(writer, tmp_path):
    for step, value in zip(STEPS, turning(), strict=True):
        writer.add_scalar("val/loss", value, int(step))
    writer.close()
    (file,) = tmp_path.iterdir()
    content = bytearray(file.read_bytes())
    at = 0
    for _ in range(20):
        at += 16 + struct.unpack("<Q", content[at : at + 8])[0]
    content[at + 14] ^= 255
    file.write_bytes(bytes(content))
    (log,) = read_logs(tmp_path)
    assert len(log.heldout) == 19
    assert "is damaged after 20 of 41 events" in log.notes[0]


def test_kohya_logs_epochs_on_the_axis_of_steps(writer, tmp_path):
    for epoch in range(1, 13):
        writer.add_scalar("loss/validation/epoch_average", 1.0 / epoch, epoch)
        writer.add_scalar("loss/validation/epoch_divergence", 0.1, epoch)
    writer.close()
    (log,) = read_logs(tmp_path)
    assert (log.heldout_tag, log.axis) == ("loss/validation/epoch_average", "epochs")
    assert "epoch_divergence" in log.notes[0]


def test_without_tensorboard_one_line_says_what_to_install(tmp_path):
    (tmp_path / "events.out.tfevents.1.host").write_bytes(b"x" * 40)
    command = (
        "import sys; sys.modules['tensorboard'] = None\n"
        "from taumem.logs import read_logs; from taumem.errors import DataError\n"
        f"try: read_logs({str(tmp_path)!r})\n"
        "except DataError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert "taumem[trackers]" in done.stdout


def test_trainer_state_of_transformers(tmp_path):
    entries = [{"loss": 1.0, "learning_rate": 1e-4, "epoch": 0.5, "step": 50}]
    looks = zip(STEPS, turning(), strict=True)
    entries += [{"eval_loss": v, "eval_runtime": 1.0, "epoch": s / 50, "step": int(s)} for s, v in looks]
    entries += [{"train_loss": 0.7, "train_runtime": 9.0, "epoch": 80.0, "step": 4000}]
    (tmp_path / "trainer_state.json").write_text(json.dumps({"global_step": 4000, "log_history": entries}))
    log = the_curve(tmp_path)
    assert (log.heldout_tag, log.axis) == ("eval_loss", "steps")


def test_csv_with_rows_that_are_partly_empty_as_lightning_writes_it(tmp_path):
    rows = [row for s, v in zip(STEPS, turning(), strict=True) for row in ((0, s, 0.9 * v, ""), (0, s, "", v))]
    assert the_curve(write_csv(tmp_path / "metrics.csv", ["epoch", "step", "train_loss", "val_loss"], rows))


def test_csv_with_other_delimiters_a_byte_order_mark_and_no_ending_that_says_so(tmp_path):
    for mark, delimiter in (("\ufeff", ";"), ("", "\t")):
        lines = [f"step{delimiter}val_loss", *(f"{s}{delimiter}{v}" for s, v in zip(STEPS, turning(), strict=True))]
        (tmp_path / "log").write_text(mark + "\n".join(lines) + "\n", encoding="utf-8")
        if not mark:
            the_curve(tmp_path / "log")
        (tmp_path / "log.csv").write_text(mark + "\n".join(lines) + "\n", encoding="utf-8")
        the_curve(tmp_path / "log.csv")


def test_a_last_line_of_csv_without_an_end_is_left_out_and_said(tmp_path):
    file = write_csv(tmp_path / "m.csv", ["step", "val_loss"], zip(STEPS, turning(), strict=True))
    file.write_text(file.read_text().rstrip()[:-4])
    (log,) = read_logs(file)
    assert list(log.heldout.steps) == list(STEPS[:-1])
    assert "has no end" in log.notes[0]


def test_of_columns_of_one_name_that_differ_none_is_read_and_those_that_agree_are_one(tmp_path):
    rows = [(s, v, s, 0.9 * v) for s, v in zip(STEPS, turning(), strict=True)]
    assert the_curve(write_csv(tmp_path / "joined.csv", ["step", "val_loss", "step", "loss"], rows)).notes == ()
    (log,) = read_logs(write_csv(tmp_path / "unlike.csv", ["step", "val_loss", "loss", "val_loss"], rows))
    assert log.why == "'val_loss' has no finite value."
    assert log.notes == (
        "unlike.csv has several columns called 'val_loss', and where they differ none of them is read; rename them.",
    )


def test_names_that_are_very_long_are_shortened_in_messages(tmp_path):
    name = "grad_norm/" + 300 * "layer."
    (log,) = read_logs(write_csv(tmp_path / "long.csv", ["step", name], zip(STEPS, turning(), strict=True)))
    assert name[:40] in log.why
    assert name not in log.why


def test_a_log_of_one_column_is_not_told_to_name_it_as_that_of_steps(tmp_path):
    (log,) = read_logs(write_csv(tmp_path / "one.csv", ["val_loss"], zip(turning(), strict=True)))
    assert log.why == "no column says at which step 'val_loss' was logged; there is no other; add one that does."


def test_json_lines_nested_or_not_and_a_torn_last_line(tmp_path):
    the_curve(write_lines(tmp_path / "a.jsonl", points(turning())))
    nested = [{"step": row["step"], "eval": {"loss": row["val_loss"]}, "note": "best"} for row in points(turning())]
    file = write_lines(tmp_path / "b.log", nested)
    with file.open("a") as lines:
        lines.write('{"step": 41')
    log = the_curve(file)
    assert log.heldout_tag == "eval/loss"
    assert "is cut off" in log.notes[0]


def test_exports_of_wandb(tmp_path):
    """As its charts give them (several runs, with extremes), and as run.history() does (rows without a value)."""
    header = ["Step", *(f"lora-{k} - val/loss{end}" for k in (1, 2) for end in ("", "__MIN", "__MAX"))]
    rows = [[s, v, v, v, 2 * v, 2 * v, 2 * v] for s, v in zip(STEPS, turning(), strict=True)]
    one, two = read_logs(write_csv(tmp_path / "chart.csv", header, rows))
    assert (one.run, two.run) == ("lora-1", "lora-2")
    np.testing.assert_allclose(two.heldout.values, 2 * turning())
    history = [
        {"_step": 7 * k, "_timestamp": 1e9 + k, "trainer/global_step": row["step"], "val/loss": row["val_loss"]}
        for k, row in enumerate(points(turning()))
    ]
    history += [{"_step": 300, "_timestamp": 2e9, "trainer/global_step": 1, "train/loss": "NaN"}]
    (tmp_path / "history.json").write_text(json.dumps(history))
    the_curve(tmp_path / "history.json")


def test_exports_of_tensorboard_have_the_name_of_the_scalar_in_that_of_the_file(tmp_path):
    rows = [(1.7e9, s, v) for s, v in zip(STEPS, turning(), strict=True)]
    log = the_curve(write_csv(tmp_path / "run-1-tag-val_loss.csv", ["Wall time", "Step", "Value"], rows))
    assert log.heldout_tag == "val_loss"
    (tmp_path / "run-1-tag-eval_loss.json").write_text(json.dumps([[t, int(s), v] for t, s, v in rows]))
    the_curve(tmp_path / "run-1-tag-eval_loss.json")


def test_columns_as_lists(tmp_path):
    (tmp_path / "history.json").write_text(json.dumps({"step": STEPS.tolist(), "val_loss": turning().tolist()}))
    the_curve(tmp_path / "history.json")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("notes.txt", b"hello\nworld\n", "no log; expected"),
        ("noise.bin", bytes(range(256)) * 9, "no log; expected"),
        ("empty.csv", b"", "an empty log"),
        ("empty", b"", "empty"),
        ("names.csv", b"step,val_loss\n", "an empty log"),
        ("half.json", b'{"log_history": [{"step"', "is it cut off?"),
        ("config.json", b'{"lr": 1}', "no log: expected"),
        ("page.jsonl", b"<html>\n</html>\n", "no JSON objects"),
        ("run.wandb", b":W&B\x00", "W&B's own format"),
        ("picture.csv", b"\x89PNG\r\n\xff\xfe", "no CSV"),
    ],
)
def test_a_file_that_is_no_log_is_refused_in_one_line(tmp_path, name, content, told):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_logs(tmp_path / name)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_event_file_of_noise_is_refused_in_one_line(tmp_path):
    pytest.importorskip("tensorboard")
    (tmp_path / "events.out.tfevents.1.x").write_bytes(bytes(range(250)) * 4)
    with pytest.raises(DataError, match="no event file"):
        read_logs(tmp_path)


@pytest.mark.slow
def test_a_long_log_is_streamed(tmp_path):
    """Batches of training are counted, and only what is wanted is kept."""
    file = tmp_path / "long.csv"
    with file.open("w") as lines:
        lines.write("step,train_loss,val_loss\n")
        for step in range(1, 60_001):
            lines.write(f"{step},0.5,{turning()[step // 1500 - 1] if step % 1500 == 0 else ''}\n")
    (log,) = read_logs(file)
    assert len(log.heldout) == 40
    assert log.tags["train_loss"] == 60_000


@pytest.mark.parametrize(
    "line", ['{"step": 5000, "seed": 1' + "0" * 400 + "}", "[" * 200_000, '{"step": 1e30, "val_loss": 2}']
)
def test_a_line_with_what_no_float_or_parser_can_hold_does_no_harm(tmp_path, line):
    file = write_lines(tmp_path / "log.jsonl", points(turning()))
    with file.open("a") as lines:
        lines.write(line + "\n")
    the_curve(file)
