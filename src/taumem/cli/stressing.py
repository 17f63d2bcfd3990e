"""The verb that puts a run to the stress test: stress."""

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.markup import escape

from taumem.cli.console import out
from taumem.cli.entry import OutputFolder, Whole, app

__all__ = ["stress"]


@app.command
def stress(
    run: Annotated[Path, Parameter(allow_leading_hyphen=False)],
    *,
    output: OutputFolder = Path("stress"),
    samples: Whole = 256,
    time: float = 0.2,
    cycles: Whole = 8,
) -> None:
    """Draw samples of a run's last checkpoint and send them around: corrupted and denoised again, several times.

    What a model holds and does not show comes out so. The audit counts copies among both, beside each other.

    Parameters
    ----------
    run
        The folder of one run that taumem run made, with its checkpoints.
    output
        Folder for generated.npy, stressed.npy, train.npy and heldout.npy.
    samples
        How many samples.
    time
        The diffusion time that they are sent to, between 0 and 1: a share of the process.
    cycles
        How many times.
    """
    from taumem.lab.stressing import stress as stress_run

    folder = stress_run(run, output, n_samples=samples, t=time, cycles=cycles)
    files = {"train": "train", "generated": "generated", "heldout": "heldout", "stress": "stressed"}
    words = [word for flag, name in files.items() for word in (f"--{flag}", str(folder / f"{name}.npy"))]
    out.print(f"Wrote {samples:,} samples, before and after, to {escape(str(folder))}. Now:", soft_wrap=True)
    out.print(escape(shlex.join(["taumem", "audit", *words])), soft_wrap=True)
