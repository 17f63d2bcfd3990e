"""Build samples.png from a finished demo. A user of taumem never needs this.

::

    taumem demo -o taumem-demo
    python -m taumem.lab.memorized.build taumem-demo

The model and the draw of its samples are those that the demo counts copies among; on another processor the samples may
differ in a few shades.
"""

import hashlib
import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from taumem.lab.loading import read_experiment
from taumem.lab.memorized import N_COLUMNS, N_SAMPLES, SAMPLES_FILE, SIDE
from taumem.lab.plan import plans_of
from taumem.randomness import generator_for
from taumem.training import load_checkpoint

__all__ = ["contact_sheet"]


def contact_sheet(demo: Path) -> bytes:
    """The PNG file, from the folder of a finished demo."""
    target = demo / "target"
    plan = plans_of(read_experiment(target / "experiment.json"))[0]
    prepared = plan.prepare()
    learner = prepared.learner()
    load_checkpoint(learner, plan.checkpoints(target)[-1])
    generator = generator_for(plan.seed, "demo samples", plan.half or "")
    samples = prepared.sampler(N_SAMPLES)(learner.averaged.eval(), generator)
    pixels = ((samples.clamp(-1, 1) + 1) * 127.5).round().byte().numpy()
    rows = pixels.reshape(-1, N_COLUMNS, SIDE, SIDE).transpose(0, 2, 1, 3)
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rows.reshape(-1, N_COLUMNS * SIDE))).save(file, format="PNG", optimize=True)
    return file.getvalue()


def main() -> None:
    """Write samples.png beside this file, and say its SHA-256."""
    content = contact_sheet(Path(sys.argv[1]))
    SAMPLES_FILE.write_bytes(content)
    print(f"{SAMPLES_FILE}: {len(content)} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
