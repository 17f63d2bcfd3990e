"""With a stand-in for the Accelerator; real_accelerate.py has the real one."""

from types import SimpleNamespace

import pytest
from stand_ins import ToldGuard
from torch import nn

from taumem.integrations.accelerate import AccelerateGuard
from taumem.integrations.state_file import STATE_FILE


class Accelerator:
    """What the adapter uses of one; ``flag`` is the script's own trigger."""

    def __init__(self, project_dir=None, automatic=False):
        self.sync_gradients = True
        self.project_dir = project_dir
        self.project_configuration = SimpleNamespace(automatic_checkpoint_naming=automatic)
        self.saving, self.loading, self.unwrapped = [], [], 0

    def register_save_state_pre_hook(self, hook):
        self.saving.append(hook)

    def register_load_state_pre_hook(self, hook):
        self.loading.append(hook)

    def unwrap_model(self, model):
        self.unwrapped += 1
        return model.module

    def save_state(self, folder):
        folder.mkdir(parents=True)
        for hook in self.saving:
            hook([], [], str(folder))
        (folder / "model.bin").write_text(folder.name)

    def load_state(self, folder):
        for hook in self.loading:
            hook([], str(folder))


class Wrapped(nn.Module):
    def __init__(self):
        super().__init__()
        self.module = nn.Linear(1, 1)


def test_nothing_is_asked_while_gradients_accumulate():
    accelerator, told, model = Accelerator(), ToldGuard(), Wrapped()
    guarded, step = AccelerateGuard(accelerator, told), 0
    for micro in range(1, 13):
        accelerator.sync_gradients = micro % 4 == 0
        step += accelerator.sync_gradients
        guarded(model, step)
    assert told.steps == [1, 2, 3]


def test_the_model_is_unwrapped_once():
    accelerator, told, model = Accelerator(), ToldGuard(), Wrapped()
    guarded = AccelerateGuard(accelerator, told)
    for step in (1, 2, 3):
        guarded(model, step)
    assert accelerator.unwrapped == 1
    assert told.calls[-1] == (model.module, 3)
    guarded({"unet": model, "text": (model,)}, 4)
    assert accelerator.unwrapped == 1
    assert told.calls[-1][0] == {"unet": model.module, "text": (model.module,)}


def test_it_goes_on_saying_stop_so_that_all_loops_end():
    accelerator = Accelerator()
    guarded = AccelerateGuard(accelerator, ToldGuard(stop_at=3))
    assert [guarded(Wrapped(), step) for step in (1, 2, 3)] == [False, False, True]
    accelerator.sync_gradients = False
    assert guarded(Wrapped(), 3)
    assert guarded.stopped


def test_the_state_goes_with_checkpoints_and_knows_of_them(tmp_path):
    accelerator, told, model = Accelerator(), ToldGuard(), Wrapped()
    guarded = AccelerateGuard(accelerator, told)
    guarded(model, 5)
    accelerator.save_state(tmp_path / "checkpoint-5")
    again, resumed = Accelerator(), ToldGuard()
    guarded = AccelerateGuard(again, resumed)
    again.load_state(tmp_path / "checkpoint-5")
    assert guarded.step == 5
    assert resumed.loaded["steps"] == [5]
    assert resumed.checkpoints == {5: str(tmp_path / "checkpoint-5")}


def test_a_checkpoint_from_before_the_guard_can_be_loaded(tmp_path):
    (tmp_path / "checkpoint-5").mkdir()
    accelerator, told = Accelerator(), ToldGuard()
    AccelerateGuard(accelerator, told)
    accelerator.load_state(tmp_path / "checkpoint-5")
    assert told.loaded is None


def test_a_copy_is_made_once_the_checkpoint_is_complete(tmp_path):
    accelerator, told, model = Accelerator(), ToldGuard(best=5), Wrapped()
    guarded = AccelerateGuard(accelerator, told)
    guarded(model, 5)
    accelerator.save_state(tmp_path / "checkpoint-5")
    assert not (tmp_path / "_taumem-kept").exists()
    guarded(model, 6)
    copy = tmp_path / "_taumem-kept" / "step-5" / "checkpoint-5"
    assert {file.name for file in copy.iterdir()} == {"model.bin", STATE_FILE}


def test_a_copy_that_a_kill_prevented_is_made_after_resuming(tmp_path):
    accelerator, model = Accelerator(), Wrapped()
    guarded = AccelerateGuard(accelerator, ToldGuard())
    guarded(model, 5)
    accelerator.save_state(tmp_path / "checkpoint-5")
    again = Accelerator()
    guarded = AccelerateGuard(again, ToldGuard(best=5))
    again.load_state(tmp_path / "checkpoint-5")
    guarded(model, 6)
    assert (tmp_path / "_taumem-kept" / "step-5" / "checkpoint-5" / "model.bin").is_file()


@pytest.mark.parametrize("automatic", [False, True])
def test_no_copy_lies_where_accelerate_counts_folders(tmp_path, automatic):
    accelerator, model = Accelerator(tmp_path, automatic), Wrapped()
    guarded = AccelerateGuard(accelerator, ToldGuard(best=5))
    guarded(model, 5)
    accelerator.save_state(tmp_path / "checkpoints" / "checkpoint_0")
    guarded(model, 6)
    assert (tmp_path / "_taumem-kept").exists() == automatic
    assert (tmp_path / "checkpoints" / "_taumem-kept").exists() != automatic
