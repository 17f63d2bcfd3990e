"""The adapter in real scripts on Accelerate: run by test_for_real.py, in a process of its own."""

import shutil
import sys
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import ProjectConfiguration
from loops import HELDOUT, TRAIN, Net, loss, same, state_of
from stand_ins import leave, stopped_in_two_processes
from torch.utils.data import DataLoader, TensorDataset

import taumem
from taumem.integrations import AccelerateGuard

# The batches after a checkpoint are others than those of the run that was killed.
pytestmark = pytest.mark.filterwarnings("ignore:.*when it was measured first:taumem.errors.TaumemWarning")
STOP_AT = taumem.Interval(33.5, 33.5, 40.0, confidence=0.5)  # the first step after it is 34


def made(folder, **options):
    named = {"rule": ["balanced", "forecast"], "forecast": STOP_AT, "on_onset": "stop", "budget": None} | options
    return taumem.Guard(loss, train=TRAIN, heldout=HELDOUT, folder=folder, batch_size=8, strict=True, **named)


@pytest.fixture(autouse=True)
def fresh():
    """Accelerate has one state per process, which each test begins anew."""
    AcceleratorState._reset_state(reset_partial_state=True)


class Script:
    """A training script as those of diffusers: epochs, gradient accumulation, checkpoints of which few are kept."""

    def __init__(self, output, guard=None, *, resume=None, saves=10, limit=2, epochs=30, kill_at=None, plain=False):
        torch.manual_seed(0)
        self.accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
        model = Net()
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        loader = DataLoader(TensorDataset(TRAIN), batch_size=4, shuffle=True, drop_last=True)
        self.model, optimizer, loader = self.accelerator.prepare(model, optimizer, loader)
        self.guarded = None if guard is None or plain else AccelerateGuard(self.accelerator, guard)
        if plain:
            self.accelerator.register_for_checkpointing(guard)
        self.step = 0
        if resume is not None:
            self.accelerator.load_state(resume)
            self.step = int(Path(resume).name.split("-")[1])
        for _ in range(epochs):
            for (x0,) in loader:
                with self.accelerator.accumulate(self.model):
                    self.accelerator.backward(loss(self.model, x0, None).mean())
                    optimizer.step()
                    optimizer.zero_grad()
                if self.accelerator.sync_gradients:
                    self.step += 1
                    if self.guarded is not None and self.guarded(self.model, self.step):
                        break
                    if self.step % saves == 0:
                        self.save(Path(output), limit)
                    if self.step == kill_at:
                        return
            if self.guarded is not None and self.guarded.stopped:
                break

    def save(self, output, limit):
        output.mkdir(exist_ok=True)
        former = [name for name in output.iterdir() if name.name.startswith("checkpoint")]
        former.sort(key=lambda name: int(name.name.split("-")[1]))
        for old in former[: max(len(former) + 1 - limit, 0)]:
            shutil.rmtree(old)
        self.accelerator.save_state(str(output / f"checkpoint-{self.step}"))


def test_a_guarded_script_is_bit_identical_and_stops_where_it_should(tmp_path):
    alone = Script(tmp_path / "a", epochs=11)  # 3 updates each
    guard = made(tmp_path / "run", on_onset="warn", rule="balanced", forecast=None)
    watched = Script(tmp_path / "b", guard, epochs=11)
    assert (alone.step, watched.step) == (33, 33)
    assert same(state_of(alone.model), state_of(watched.model))
    assert guard.record.steps == [8, 10, 11, 13, 16, 19, 23, 27, 32]
    assert Script(tmp_path / "c", made(tmp_path / "run2")).step == 34


def test_a_killed_script_goes_on_with_the_guard_where_it_was(tmp_path):
    first = made(tmp_path / "run")
    Script(tmp_path / "out", first, kill_at=25)
    first.close()
    second = made(tmp_path / "run")
    resumed = Script(tmp_path / "out", second, resume=tmp_path / "out" / "checkpoint-20")
    unbroken = made(tmp_path / "unbroken")
    Script(tmp_path / "out2", unbroken)
    assert resumed.step == 34
    assert second.record.steps == unbroken.record.steps
    assert second.state_dict()["checkpoints"].keys() == unbroken.state_dict()["checkpoints"].keys() >= {"20", "30"}


def test_the_checkpoint_to_keep_outlives_the_limit_of_the_script(tmp_path):
    guard = made(tmp_path / "run", rule="quality", forecast=None, on_onset="warn")
    # The held-out loss of pure noise is best early on; where, is the guard's to say.
    Script(tmp_path / "out", guard, saves=5, limit=1, epochs=20)
    best = guard.verdict.checkpoint
    assert best is not None
    assert Path(best.path).is_dir()
    assert (Path(best.path) / "model.safetensors").is_file()
    assert len(list((tmp_path / "out").glob("checkpoint-*"))) == 1


def test_a_checkpoint_from_before_the_guard_can_be_gone_on_from(tmp_path):
    Script(tmp_path / "out", saves=5, epochs=2)
    old = tmp_path / "out" / "checkpoint-5"
    with pytest.raises(RuntimeError, match="does not match"):  # why the adapter does not register the guard
        Script(tmp_path / "out", made(tmp_path / "plain"), resume=old, plain=True)
    assert Script(tmp_path / "out", made(tmp_path / "run"), resume=old).step == 34


def test_a_guard_can_be_registered_for_checkpointing_as_it_is(tmp_path):
    guard = made(tmp_path / "run")
    script = Script(tmp_path / "out", guard, plain=True, saves=5, epochs=2)
    script.accelerator.load_state(str(tmp_path / "out" / "checkpoint-5"))


def test_the_trigger_of_the_script_stays_its_own(tmp_path):
    script = Script(tmp_path / "out", made(tmp_path / "run"), epochs=1)
    script.accelerator.set_trigger()
    script.guarded(script.model, script.step + 1)
    assert script.accelerator.check_trigger()
    assert not script.accelerator.check_trigger()  # it resets, which would have taken it from the script


def test_checkpoints_that_accelerate_names_itself_are_kept_too(tmp_path):
    configuration = ProjectConfiguration(
        project_dir=str(tmp_path), automatic_checkpoint_naming=True, total_limit=1, logging_dir=str(tmp_path)
    )
    accelerator = Accelerator(cpu=True, project_config=configuration)
    model, optimizer = accelerator.prepare(net := Net(), torch.optim.Adam(net.parameters()))
    guard = made(tmp_path / "run", rule="balanced", forecast=None)
    guarded = AccelerateGuard(accelerator, guard)
    for step in range(1, 41):
        optimizer.zero_grad()
        accelerator.backward(loss(model, TRAIN[:8], None).mean())
        optimizer.step()
        guarded(model, step)
        if step % 10 == 0:
            accelerator.save_state()
    best = guard.verdict.checkpoint
    assert Path(best.path).is_dir()
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["checkpoint_3"]


def test_numbers_go_where_those_of_the_script_go(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accelerator = Accelerator(cpu=True, log_with="tensorboard", project_dir=str(tmp_path))
    accelerator.init_trackers("logs")
    guard = made(tmp_path / "run", sinks=[accelerator], rule="balanced", forecast=None)
    guarded, model = AccelerateGuard(accelerator, guard), Net()
    for step in range(1, 11):
        guarded(model, step)
    accelerator.end_training()
    events = EventAccumulator(str(next((tmp_path / "logs").rglob("events.*")).parent)).Reload()
    assert [scalar.step for scalar in events.Scalars("taumem/gap")] == [8, 10]
    assert {"taumem/heldout_loss", "taumem/train_loss", "taumem/gap_se"} <= set(events.Tags()["scalars"])


def test_the_averaged_weights_of_diffusers_are_asked_and_put_back(tmp_path):
    from diffusers.training_utils import EMAModel

    torch.manual_seed(0)
    model = Net()
    average = EMAModel(model.parameters(), decay=0.9)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    before = state_of(model)
    guard = made(tmp_path, ema=average, weights="both", rule="balanced", forecast=None)
    guard.look(model, 8)
    assert same(before, state_of(model))
    raw = taumem.RunRecord.read(tmp_path / "raw").curve("train_loss").values[0]
    averaged = guard.record.curve("train_loss").values[0]
    average.copy_to(model.parameters())
    alone = made(None, rule="balanced", forecast=None)
    alone.look(model, 8)
    assert averaged == pytest.approx(alone.record.curve("train_loss").values[0])
    assert raw != pytest.approx(averaged)


def test_under_mixed_precision_the_loss_is_asked_as_it_is_trained(tmp_path):
    accelerator = Accelerator(cpu=True, mixed_precision="bf16")
    model = accelerator.prepare(Net())
    dtypes = []
    model.layers[0].register_forward_hook(lambda module, given, out: dtypes.append(out.dtype))
    guard = taumem.Guard(loss, train=TRAIN, heldout=HELDOUT, folder=tmp_path, budget=None, strict=True)
    AccelerateGuard(accelerator, guard)(model, 8)
    assert set(dtypes) == {torch.bfloat16}


def test_two_processes_stop_at_the_same_step(tmp_path):
    assert stopped_in_two_processes(__file__, tmp_path) == ["34 MULTI_CPU", "34 MULTI_CPU"]


if __name__ == "__main__":  # one of two processes
    folder = Path(sys.argv[1])
    guard = made(folder / "run")
    script = Script(folder / "out", guard, saves=1000)
    rank, kind = script.accelerator.process_index, script.accelerator.distributed_type
    (folder / f"stopped-{rank}").write_text(f"{script.step} {str(kind).split('.')[-1]}")
    script.accelerator.end_training()
    leave()
