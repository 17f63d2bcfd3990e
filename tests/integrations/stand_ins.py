"""Stand-ins for the frameworks, so that adapters are tested without them; and a guard that is told what to say."""

import os
import subprocess
import sys
from types import SimpleNamespace

import torch
from loops import HELDOUT, TRAIN, Net, loss

import taumem
from taumem.analysis.stopping import Checkpoint, Reason


def guard(folder=None, *, loss=loss, **options):
    """A guard of a tiny loop, that looks whenever a look is due."""
    options.setdefault("budget", None)
    return taumem.Guard(loss, train=TRAIN, heldout=HELDOUT, folder=folder, batch_size=8, **options)


class ToldGuard:
    """Says what a test wants it to, and remembers what it was told."""

    def __init__(self, stop_at=None, best=None, strict=False, on_onset="stop"):
        self.stop_at, self.best, self.strict, self.on_onset = stop_at, best, strict, on_onset
        self.calls, self.checkpoints, self.loaded = [], {}, None
        self.record = SimpleNamespace(header=SimpleNamespace(name="told"), measurements=[])
        self.stop_step = None

    def __call__(self, model, step):
        self.calls.append((model, step))
        return self.should_stop

    @property
    def should_stop(self):
        return self.stop_at is not None and bool(self.calls) and self.calls[-1][1] >= self.stop_at

    @property
    def steps(self):
        return [step for _, step in self.calls]

    @property
    def verdict(self):
        best = self.best if self.best in self.checkpoints else None
        kept = None if best is None else Checkpoint(best, self.checkpoints[best])
        reason = Reason.GAP_OPENED if self.should_stop else Reason.NO_ONSET
        return SimpleNamespace(checkpoint=kept, reason=reason, message="The gap opened.", stop=False, since=None)

    def saved(self, step, path=""):
        self.checkpoints[step] = str(path)

    def deleted(self, step):
        self.checkpoints.pop(step, None)

    def state_dict(self):
        return {
            "version": 1,
            "steps": self.steps,
            "checkpoints": {str(step): path for step, path in self.checkpoints.items()},
        }

    def load_state_dict(self, state):
        self.loaded = dict(state)
        self.checkpoints = {int(step): path for step, path in state["checkpoints"].items()}


class Training:
    """A network and its optimizer; ``update()`` makes a step."""

    def __init__(self):
        torch.manual_seed(0)
        self.model = Net()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=3e-3)

    def update(self):
        self.optimizer.zero_grad()
        loss(self.model, TRAIN[torch.randperm(len(TRAIN))[:8]], None).mean().backward()
        self.optimizer.step()


def leave():
    """End one of two processes: threads of a group that the interpreter tears down on its way out may abort it."""
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def stopped_in_two_processes(file, folder):
    """Run a file in two processes, and give what each wrote of where it stopped."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone", file, str(folder)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return [(folder / f"stopped-{rank}").read_text() for rank in (0, 1)]
