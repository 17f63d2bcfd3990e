"""How often near-duplicates are found, and how often different images are taken for such.

::

    python benchmarks/near_duplicates.py                                # the built-in Fashion-MNIST
    python benchmarks/near_duplicates.py --data cifar-10-batches-bin    # color images

Of n images a tenth has a changed copy among them; each kind of change is a set of its own. False are images that count
as near-duplicates of one another before any copy is there, and fresh images that would count as near-duplicates of one.
"""

import argparse
from functools import partial

import torch
from planted_kinds import IMAGE_KINDS, NEAR_KINDS, changed_images, shifted
from torch import Tensor

from taumem.data import load_fashion_mnist, load_images
from taumem.neighbors import distinct_items, near_duplicates
from taumem.neighbors.groups import NearDuplicates
from taumem.randomness import generator_for

KINDS = {**IMAGE_KINDS, **NEAR_KINDS, "shifted by a pixel": partial(shifted, pixels=1)}
LEFT_OUT = ("exact", "mirrored", "shifted", "cropped", "rotated")
"""None of these is a near-duplicate in pixels, or all are."""


def falsely_near(items: Tensor, fresh: Tensor) -> tuple[float, float]:
    """The shares of items that are near-duplicates of an earlier one, and of fresh items that would be."""
    found = NearDuplicates.of(items)
    return 1 - len(found.groups.unique()) / len(items), float(found.near(fresh).float().mean())


def found_of(items: Tensor, kind: str, seed: int) -> float:
    """The share of changed copies of the first tenth that are in the group of their original."""
    n, few = len(items), len(items) // 10
    copies = changed_images(items[:few], KINDS[kind], generator_for(seed, "near-duplicates", kind))
    groups = near_duplicates(torch.cat([items, copies]))
    return float((groups[n:] == groups[:few]).float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="a folder or file of images; the built-in ones if left out")
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 512, 2048])
    parser.add_argument("--fresh", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    images = load_images(arguments.data) if arguments.data else load_fashion_mnist()
    images = images[distinct_items(images)]
    order = torch.randperm(len(images), generator=generator_for(arguments.seed, "near-duplicates"))
    fresh = images[order[-arguments.fresh :]]
    kinds = [kind for kind in KINDS if kind not in LEFT_OUT]
    print("| n | of different images, % | of fresh ones, % | " + " | ".join(kinds) + " |")
    print("|---" * (3 + len(kinds)) + "|")
    for n in arguments.sizes:
        items = images[order[:n]]
        false = " | ".join(f"{100 * share:.2f}" for share in falsely_near(items, fresh))
        found = " | ".join(f"{100 * found_of(items, kind, arguments.seed):.0f}" for kind in kinds)
        print(f"| {n} | {false} | {found} |", flush=True)


if __name__ == "__main__":
    main()
