"""Does a Fréchet distance to the training set prefer copies? Pixels in place of Inception's features.

    python experiments/guard/fid.py

Samples of three kinds are held against the training images and against held-out ones: copies of training images (with
a little noise), other real images of the same distribution (what a perfect model would give), and blurred real ones.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import sqrtm
from torch.nn import functional

import taumem

N = 512


def frechet(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """|mean_a - mean_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^1/2), of vectors [n, d]."""
    ca, cb = (np.cov(x, rowvar=False) + 1e-6 * np.eye(x.shape[1]) for x in (a, b))
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca + cb - 2 * np.real(sqrtm(ca @ cb))))


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
                flat = [x.flatten(1).double().numpy() for x in (drawn, images)]
                parts.setdefault((name, reference), []).append(frechet(flat[0], flat[1]))
    print("| samples | distance to the training set | to held-out images |\n|---|---|---|")
    for name in dict.fromkeys(name for name, _ in parts):
        cells = [parts[name, reference] for reference in ("the training set", "held-out images")]
        print(f"| {name} | " + " | ".join(f"{np.mean(c):.2f} ± {np.std(c):.2f}" for c in cells) + " |")


if __name__ == "__main__":
    main()
