"""Does a Fréchet distance to the training set prefer copies? Pixels in place of Inception's features.

    python experiments/guard/fid.py

Samples of three kinds are held against the training images and against held-out ones: copies of training images (with
a little noise), other real images of the same distribution (what a perfect model would give), and blurred real ones.
"""

import numpy as np
import torch
from torch.nn import functional

import taumem
from taumem.probes.frechet import frechet_distance

N = 512


def main() -> None:
    """Print the table."""
    small = taumem.resize(taumem.load_fashion_mnist(), 16, pad_to=32)
    parts: dict[tuple[str, str], list[float]] = {}
    for seed in range(5):
        split = taumem.Split.make("fashion-mnist", small, n_heldout=2 * N, seed=seed).first(N)
        heldout, others = split.heldout[:N], split.heldout[N:]
        noise = 0.02 * torch.randn(split.train.shape, generator=torch.Generator().manual_seed(seed))
        samples = {
            "copies of training images": split.train + noise,
            "other real images": others,
            "other real images, blurred": functional.avg_pool2d(others, 3, 1, 1),
        }
        for name, drawn in samples.items():
            for reference, images in (("the training set", split.train), ("held-out images", heldout)):
                distance = frechet_distance(drawn.flatten(1), images.flatten(1))
                parts.setdefault((name, reference), []).append(distance.value)
    print("| samples | distance to the training set | to held-out images |\n|---|---|---|")
    for name in dict.fromkeys(name for name, _ in parts):
        cells = [parts[name, reference] for reference in ("the training set", "held-out images")]
        print(f"| {name} | " + " | ".join(f"{np.mean(c):.2f} ± {np.std(c):.2f}" for c in cells) + " |")


if __name__ == "__main__":
    main()
