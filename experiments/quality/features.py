"""Which features of images tell good samples from bad ones, without a file: random convolutions, pixels, or histograms.

    python experiments/quality/features.py fashion-mnist
    python experiments/quality/features.py cifar-10-batches-bin

Real images that nothing was trained on are spoiled in five ways, and held against 256 others by their Fréchet distance,
128 at a time. A row says by how many standard deviations of an unspoiled draw the distance is too large, over 8 draws;
`scatter` and `error` are that standard deviation and the one that a single draw gives (`taumem.probes.frechet`).
"""

import sys
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

import taumem
from taumem.audit.colors_and_edges import colors_and_edges
from taumem.models.random_features import random_features
from taumem.probes.frechet import frechet_distance, lie_among

SPACES = {"pixels": lambda images: images.flatten(1), "histograms": colors_and_edges, "convolutions": random_features}
N, N_REFERENCE, N_DRAWS = 128, 256, 8


def spoiled(images: Tensor, seed: int) -> Iterator[tuple[str, Tensor]]:
    """The images in five ways."""
    generator = torch.Generator().manual_seed(seed)
    blurred = functional.avg_pool2d(functional.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    torn = images.clone()
    torn[..., : images.shape[-1] // 2] = images.roll(1, 0)[..., : images.shape[-1] // 2]
    yield "blurred", blurred
    yield "noisy", images + 0.1 * torch.randn(images.shape, generator=generator)
    yield "two in one", (images + images.roll(1, 0)) / 2
    yield "torn", torn
    yield "half of them twice", images[: len(images) // 2].repeat(2, 1, 1, 1)


def components(features: Tensor, count: int, *, whiten: bool) -> Callable[[Tensor], Tensor]:
    """The map of features to the principal components of some."""
    center = features.double().mean(0)
    _, values, axes = torch.linalg.svd(features.double() - center, full_matrices=False)
    scale = values[:count] / (len(features) - 1) ** 0.5 if whiten else 1.0
    return lambda others: (others.double() - center) @ (axes[:count].T / scale)


def main() -> None:
    """Print the table."""
    name = sys.argv[1]
    images = taumem.load_fashion_mnist() if name == "fashion-mnist" else taumem.load_images(name, limit=2000)
    images = taumem.resize(images, 16, pad_to=32 if name == "fashion-mnist" else None)
    shuffled = images[torch.randperm(len(images), generator=torch.Generator().manual_seed(0))]
    reference, others = shuffled[:N_REFERENCE], shuffled[N_REFERENCE:]
    header = "| features | components | scatter | error | blurred | noisy | two in one | torn | half of them twice |"
    print(f"{header} precision, recall |\n|{'---|' * 10}")
    for space, extract in SPACES.items():
        for count, whiten in ((16, False), (16, True), (32, True)):
            project = components(extract(reference), count, whiten=whiten)
            known = project(extract(reference))
            clean, errors, among, found = [], [], [], dict[str, list[float]]()
            for seed in range(N_DRAWS):
                drawn = others[torch.randperm(len(others), generator=torch.Generator().manual_seed(seed))[:N]]
                asked = project(extract(drawn))
                distance = frechet_distance(asked, known)
                clean.append(distance.value)
                errors.append(float(distance.items.std()) / N**0.5)
                pair = (lie_among(asked, known[:N]), lie_among(known[:N], asked))
                among.append([float(each.double().mean()) for each in pair])
                for way, bad in spoiled(drawn, seed):
                    found.setdefault(way, []).append(frechet_distance(project(extract(bad)), known).value)
            scatter = np.std(clean, ddof=1)
            z = [f"{(np.mean(values) - np.mean(clean)) / scatter:.1f}" for values in found.values()]
            kind = f"{count}, of equal variance" if whiten else str(count)
            shares = ", ".join(f"{share:.2f}" for share in np.mean(among, 0))
            cells = [space, kind, f"{scatter / np.mean(clean):.1%}", f"{np.mean(errors) / np.mean(clean):.1%}", *z]
            print(f"| {' | '.join(cells)} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
