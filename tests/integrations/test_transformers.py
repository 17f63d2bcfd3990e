"""With a stand-in for the Trainer; real_transformers.py has the real one."""

import importlib
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from stand_ins import ToldGuard

from taumem.errors import TaumemWarning
from taumem.integrations.state_file import STATE_FILE


@pytest.fixture
def adapter(monkeypatch):
    module = ModuleType("transformers")
    module.TrainerCallback = type("TrainerCallback", (), {})
    monkeypatch.setitem(sys.modules, "transformers", module)
    monkeypatch.delitem(sys.modules, "taumem.integrations.transformers", raising=False)
    found = importlib.import_module("taumem.integrations.transformers")
    yield found.TransformersGuard
    sys.modules.pop("taumem.integrations.transformers", None)


def arguments(folder, limit=None, resume=None):
    return SimpleNamespace(output_dir=str(folder), save_total_limit=limit, resume_from_checkpoint=resume)


def state(step):
    return SimpleNamespace(global_step=step, is_world_process_zero=True)


def test_it_stops_the_trainer(adapter, tmp_path):
    told, control = ToldGuard(stop_at=2), SimpleNamespace(should_training_stop=False)
    callback = adapter(told)
    assert not callback.on_step_end(arguments(tmp_path), state(1), control, model="m").should_training_stop
    assert callback.on_step_end(arguments(tmp_path), state(2), control, model="m").should_training_stop
    assert told.calls == [("m", 1), ("m", 2)]


def saved(callback, args, step):

    place = Path(args.output_dir) / f"checkpoint-{step}"
    place.mkdir(parents=True)
    callback.on_save(args, state(step), SimpleNamespace())
    return place


def test_its_state_lies_in_the_checkpoint_and_comes_back(adapter, tmp_path):
    place = saved(adapter(ToldGuard()), arguments(tmp_path), 4)
    assert (place / STATE_FILE).is_file()
    resumed = ToldGuard()
    adapter(resumed).on_train_begin(arguments(tmp_path), state(4), SimpleNamespace())
    assert resumed.checkpoints == {4: str(place)}


def test_the_folder_named_for_resuming_comes_first_and_one_of_another_step_is_passed_over(adapter, tmp_path):
    named = saved(adapter(ToldGuard()), arguments(tmp_path / "a"), 4)
    other = saved(adapter(ToldGuard()), arguments(tmp_path / "b"), 4)
    wrong = saved(adapter(ToldGuard()), arguments(tmp_path / "b"), 6)
    for resume, found in ((named, named), (wrong, other)):
        resumed = ToldGuard()
        adapter(resumed).on_train_begin(arguments(tmp_path / "b", resume=str(resume)), state(4), SimpleNamespace())
        assert resumed.checkpoints == {4: str(found)}


def test_a_checkpoint_without_a_state_is_told(adapter, tmp_path):
    with pytest.warns(TaumemWarning, match="goes on from step 7"):
        adapter(ToldGuard()).on_train_begin(arguments(tmp_path), state(7), SimpleNamespace())


def test_a_copy_is_kept_only_where_old_checkpoints_are_deleted(adapter, tmp_path):
    for limit in (None, 2):
        saved(adapter(ToldGuard(best=4)), arguments(tmp_path / str(limit), limit), 4)
        assert (tmp_path / str(limit) / "_taumem-kept").exists() == (limit is not None)


def test_training_can_go_on_from_the_copy(adapter, tmp_path):
    args, told = arguments(tmp_path, limit=1), ToldGuard(best=4)
    place = saved(adapter(told), args, 4)
    copy = tmp_path / "_taumem-kept" / "step-4" / "checkpoint-4"
    assert copy.is_dir()
    place.rename(tmp_path / "gone")
    adapter(resumed := ToldGuard()).on_train_begin(args, state(4), SimpleNamespace())
    assert resumed.loaded is not None
