"""The stress test of a run that the laboratory made: what its last checkpoint draws, before and after cycling."""

import io
from pathlib import Path

import numpy as np
from torch import Tensor

from taumem.errors import ConfigError, RecordError
from taumem.lab.plan import RunPlan, recorded_plan
from taumem.probes.cycling import CYCLE_TIME, CYCLES, cycled_by
from taumem.probes.probe import draw_samples
from taumem.record import RunRecord, write_atomically
from taumem.training import load_checkpoint

__all__ = ["plan_of", "stress"]


def plan_of(record: RunRecord) -> RunPlan:
    """The plan of a run that the laboratory made, from its record.

    Raises:
        RecordError: it was made elsewhere.
        ConfigError: it starts from what was pretrained, which its folder does not hold; or it draws no samples.
    """
    plan = recorded_plan(record)
    if plan.experiment.pretraining is not None:
        raise ConfigError(
            f"{record.path}: starts from a pretrained network; draw its samples by its own code, and use taumem.cycle."
        )
    if getattr(plan.experiment.diffusion, "only_at", None) is not None:
        raise ConfigError(f"{record.path}: was trained at one diffusion time, from which no sample can be drawn.")
    return plan


def stress(
    run: Path | str, output: Path | str, *, n_samples: int = 256, t: float = CYCLE_TIME, cycles: int = CYCLES
) -> Path:
    """Draw samples of a run's last checkpoint and send them around, for ``taumem audit --stress``.

    Args:
        run: the folder of a run of ``taumem run``, with its checkpoints.
        output: the folder to write to.
        n_samples: how many, at least 2.
        t: diffusion time that they are sent to, in (0, 1).
        cycles: how many times.

    Returns:
        The folder, with ``generated.npy``, ``stressed.npy``, ``train.npy`` and ``heldout.npy``; images in [-1, 1].

    Raises:
        RecordError: no run, or none of its checkpoints is there.
        ConfigError: a run that the laboratory cannot make again, or a number out of its range.
    """
    if n_samples < 2:
        raise ConfigError(f"a stress test needs at least 2 samples; got {n_samples}.")
    record = RunRecord.read(run)
    plan = plan_of(record)
    there = plan.checkpoints(Path(run).resolve().parent)
    if not there:
        raise RecordError(f"{run}: its weights are gone, and samples are drawn by them; make the run again.")
    prepared = plan.prepare()
    learner = prepared.learner()
    load_checkpoint(learner, there[-1])
    experiment, denoiser = plan.experiment, learner.averaged.eval()
    restore = experiment.diffusion.build_restore(prepared.diffusion, experiment.monitor.sampling_steps)
    samples = draw_samples(prepared.sampler(n_samples), denoiser, plan.seed)
    stressed = cycled_by(prepared.diffusion, denoiser, restore, samples, t=t, cycles=cycles, seed=plan.seed)
    sets = {"generated": samples, "stressed": stressed, "train": prepared.data.train, "heldout": prepared.data.heldout}
    for name, items in sets.items():
        _write(Path(output) / f"{name}.npy", items.clamp(-1, 1) if record.header.data.kind == "images" else items)
    return Path(output)


def _write(file: Path, items: Tensor) -> None:
    content = io.BytesIO()
    np.save(content, items.detach().cpu().numpy())
    write_atomically(file, content.getvalue())
