"""What probes note in a run's header, and runs of the first schema, which noted nothing."""

import json

import numpy as np
import pytest
from small_runs import as_schema_1, header, look, write_run

from taumem.errors import ConfigError, RecordError
from taumem.record import SCHEMA_VERSION, CopyRule, DataFacts, Measurement, RunRecord

RULE = CopyRule(measure="gap_ratio", threshold=1 / 3)


def data(**changes) -> DataFacts:
    facts = {"name": "x", "fingerprint": "0", "n_train": 64, "n_heldout": 16, "item_shape": (1, 8, 8)}
    return DataFacts(**(facts | changes))


def test_settings_are_noted_once_and_found_again(tmp_path):
    with RunRecord.open(tmp_path, header()) as run:
        run.note_probes({"LossGap": {"times": (0.2, 0.5)}}, RULE)
        before = (tmp_path / "run.json").stat().st_mtime_ns
        run.note_probes({"LossGap": {"times": [0.2, 0.5]}}, RULE)
        assert (tmp_path / "run.json").stat().st_mtime_ns == before
        run.note_probes({"Copies": {"n": 128}})
        assert run.header.probes == {"LossGap": {"times": [0.2, 0.5]}, "Copies": {"n": 128}}
    read = RunRecord.read(tmp_path).header
    assert read == run.header
    assert read.copy_rule == RULE


MEASURED = Measurement(quantity="gap", value=0.1, step=8, examples=8, seconds=0.0)


def test_settings_of_numpy_are_numbers_and_others_are_refused(tmp_path):
    with RunRecord.open(tmp_path, header()) as run:
        run.note_probes({"Mine": {"threshold": np.float32(0.5), "n": np.int64(3), "times": np.array([0.5])}})
        assert run.header.probes == {"Mine": {"threshold": 0.5, "n": 3, "times": [0.5]}}
        with pytest.raises(ConfigError, match="values that JSON can hold; got <object"):
            run.note_probes({"Mine": {"what": object()}})


def test_a_setting_that_is_new_in_a_later_version_stops_no_run(tmp_path):
    with RunRecord.open(tmp_path, header()) as run:
        run.note_probes({"LossGap": {"times": [0.2], "former": 1}})
        run.append([MEASURED])
        run.note_probes({"LossGap": {"times": [0.2], "new": 2}})
        assert run.header.probes == {"LossGap": {"times": [0.2], "new": 2}}


def test_other_settings_are_refused_and_change_nothing(tmp_path):
    with RunRecord.open(tmp_path, header()) as run:
        run.note_probes({"LossGap": {"times": [0.3]}})  # nothing was measured by it yet
        run.note_probes({"LossGap": {"times": [0.2, 0.5]}}, RULE)
        run.append([MEASURED])
        noted = (tmp_path / "run.json").read_bytes()
        with pytest.raises(RecordError, match=r"measured otherwise before: its LossGap\.times is \[0\.2, 0\.5\], this"):
            run.note_probes({"LossGap": {"times": [0.2, 0.4]}}, RULE)
        with pytest.raises(RecordError, match=r"its copy rule\.threshold is 0\.33"):
            run.note_probes({}, RULE.model_copy(update={"threshold": 0.5}))
        assert (tmp_path / "run.json").read_bytes() == noted
        assert run.header.copy_rule == RULE
    with RunRecord.open(tmp_path, header()) as run, pytest.raises(RecordError, match="measure as before"):
        run.note_probes({"LossGap": {"times": [0.3]}})


def test_what_is_noted_does_not_make_it_another_run(tmp_path):
    with RunRecord.open(tmp_path, header()) as run:
        run.note_probes({"LossGap": {"times": [0.2]}}, RULE)
        assert run.header.identity == header().identity
    with RunRecord.open(tmp_path, header()) as again:
        assert again.header.probes == {"LossGap": {"times": [0.2]}}


def test_a_record_opened_for_reading_notes_nothing(tmp_path):
    write_run(tmp_path)
    with pytest.raises(RecordError, match="not open for writing"):
        RunRecord.read(tmp_path).note_probes({"LossGap": {}})


def test_a_run_of_schema_1_is_read_with_what_it_left_unsaid(tmp_path):
    write_run(tmp_path, experiment={"name": "study"})
    as_schema_1(tmp_path)
    read = RunRecord.read(tmp_path)
    assert read.header.schema_version == SCHEMA_VERSION
    assert (read.header.data.kind, read.header.copy_rule, read.header.probes) == ("images", RULE, {})
    copies = read.curve("copy_fraction")
    assert copies.confidence.tolist() == [0.95] * 3
    assert read.curve("train_loss").confidence is None


@pytest.mark.parametrize(
    ("facts", "kind", "rule"),
    [
        ({"item_shape": (2,)}, "vectors", RULE),
        ({"item_shape": (8,), "sample_complexities": (4, 16)}, "strings", CopyRule(measure="identical", threshold=0)),
        ({"item_shape": (64,), "alphabet": "ab"}, "texts", CopyRule(measure="hamming", threshold=0.05)),
        ({"item_shape": (2, 2)}, "", None),
    ],
)
def test_schema_1_is_told_the_kind_of_items_by_its_data(tmp_path, facts, kind, rule):
    write_run(tmp_path, experiment={"name": "study"}, data=data(**facts))
    as_schema_1(tmp_path)
    read = RunRecord.read(tmp_path).header
    assert (read.data.kind, read.copy_rule) == (kind, rule)


def test_the_rule_of_ones_own_loop_is_not_guessed(tmp_path):
    write_run(tmp_path)
    as_schema_1(tmp_path)
    assert RunRecord.read(tmp_path).header.copy_rule is None


def test_a_run_of_schema_1_goes_on_as_the_same_run(tmp_path):
    write_run(tmp_path / "run", experiment={"name": "study"})
    write_run(tmp_path / "unbroken", experiment={"name": "study"}, looks=(8, 16, 32, 64))
    as_schema_1(tmp_path / "run")
    wanted = header(seed=0, experiment={"name": "study"}, copy_rule=RULE)
    with RunRecord.open(tmp_path / "run", wanted) as run:
        run.note_probes({"LossGap": {"times": [0.2]}}, RULE)
        for step in (32, 64):
            run.append(look(step))
    read = RunRecord.read(tmp_path / "run")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["schema_version"] == SCHEMA_VERSION
    assert read.header.probes == {"LossGap": {"times": [0.2]}}
    assert read.steps == RunRecord.read(tmp_path / "unbroken").steps == [8, 16, 32, 64]
