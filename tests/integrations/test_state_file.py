import json

import pytest
from stand_ins import ToldGuard, Training, guard

from taumem.errors import RecordError, TaumemWarning
from taumem.integrations.state_file import STATE_FILE, read_state, write_state


def test_a_guard_is_where_it_was(tmp_path):
    training, first = Training(), guard(tmp_path / "run")
    for step in range(1, 31):
        training.update()
        first(training.model, step)
    first.saved(30, tmp_path / "checkpoint-30")
    write_state(first, tmp_path, 30)
    state = first.state_dict()
    first.close()
    second = guard(tmp_path / "run")
    assert read_state(second, tmp_path) == 30
    again = second.state_dict()
    for found in (again, state):
        found["schedule"].pop("budget")  # its clock goes on
    assert again == state


def test_the_state_of_another_step_is_left_alone(tmp_path):
    write_state(ToldGuard(), tmp_path, 30)
    told = ToldGuard()
    assert read_state(told, tmp_path, 20) is None
    assert told.loaded is None
    assert read_state(told, tmp_path / "nowhere") is None


@pytest.mark.parametrize("content", ["{", "[]", '{"step": 3}', json.dumps({"step": 3, "guard": {"version": 99}})])
def test_a_damaged_state_is_told_and_stops_nothing(tmp_path, content):
    (tmp_path / STATE_FILE).write_text(content)
    with pytest.warns(TaumemWarning, match="no state of a guard can be read"):
        assert read_state(guard(), tmp_path) is None


def test_a_disk_that_refuses_is_told_and_stops_nothing_unless_strict(tmp_path):
    (tmp_path / STATE_FILE).mkdir()
    with pytest.warns(TaumemWarning, match="not in the checkpoint"):
        write_state(ToldGuard(), tmp_path, 1)
    with pytest.raises(RecordError):
        write_state(ToldGuard(strict=True), tmp_path, 1)
