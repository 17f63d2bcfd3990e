"""The stress test of a run that the laboratory made: what its last checkpoint draws, before and after cycling."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from taumem.data.readers.opening import check_memory
from taumem.errors import ConfigError, RecordError, option
from taumem.lab.experiment import MOST_ITEMS
from taumem.lab.plan import RunPlan, recorded_plan
from taumem.probes.cycling import CYCLE_TIME, CYCLES, check_cycling, cycled_by
from taumem.probes.probe import BLOCK, draw_samples
from taumem.randomness import generator_for
from taumem.record import RunRecord, write_atomically
from taumem.record.sealed import find_sealed
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
        n_samples: how many, 2 to 10 million; they go through the model 256 at a time.
        t: diffusion time that they are sent to, in (0, 1).
        cycles: how many times.

    Returns:
        The folder, with ``generated.npy``, ``stressed.npy``, ``train.npy`` and ``heldout.npy``; images in [-1, 1].

    Raises:
        RecordError: no run, a sealed one, or none of its checkpoints is there.
        ConfigError: a run that the laboratory cannot make again, or a number out of its range.
    """
    if not 2 <= n_samples <= MOST_ITEMS:
        allowed = f"from 2 to {MOST_ITEMS:,}"
        raise ConfigError(f"{option('n_samples', 'samples')} is how many are drawn, {allowed}; got {n_samples:,}.")
    check_cycling(t, cycles)
    _refuse_sealed(Path(run))
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
    check_memory("the samples", 4 * n_samples * prepared.split.train[0].nbytes, "Ask for fewer (--samples)")
    drawn, sent = [], []
    for block, start in enumerate(range(0, n_samples, BLOCK)):
        # What fits in one block has the draws of the run itself.
        seed = generator_for(plan.seed, "block", block).initial_seed() if block else plan.seed
        drawn.append(draw_samples(prepared.sampler(min(BLOCK, n_samples - start)), denoiser, seed))
        sent.append(cycled_by(prepared.diffusion, denoiser, restore, drawn[-1], t=t, cycles=cycles, seed=seed))
    generated, stressed = torch.cat(drawn), torch.cat(sent)
    sets = {
        "generated": generated,
        "stressed": stressed,
        "train": prepared.data.train,
        "heldout": prepared.data.heldout,
    }
    for name, items in sets.items():
        _write(Path(output) / f"{name}.npy", items.clamp(-1, 1) if record.header.data.kind == "images" else items)
    return Path(output)


def _refuse_sealed(run: Path) -> None:
    if not (run / "run.json").exists() and find_sealed(run):
        raise RecordError(
            f"{run}: a sealed study keeps no weights, by which samples are drawn; expected the folder of a run, "
            "with its checkpoints."
        )


def _write(file: Path, items: Tensor) -> None:
    def put(path: Path) -> None:
        with path.open("wb") as opened:
            np.save(opened, items.detach().cpu().numpy())

    write_atomically(file, put)
