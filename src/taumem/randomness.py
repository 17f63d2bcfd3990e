"""Where every random draw comes from: a generator derived from a seed and from what the draw is for."""

import hashlib
from operator import index

import torch

__all__ = ["generator_for"]


def generator_for(seed: int, *purpose: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Make a generator that depends on a seed, on what it is for, and on nothing else.

    Two purposes give independent draws; the same purpose gives the same draws again, in another process too. So adding
    a draw somewhere changes no other number, and a resumed run needs no generator state. The global random state is
    neither read nor written.

    Args:
        seed: the run's seed.
        purpose: what the draw is for, such as ``("batch", step)``.
        device: where the draws are made.
    """
    # The integers of numpy and torch are spelled differently, and count alike.
    words = tuple(word if isinstance(word, str) else index(word) for word in (seed, *purpose))
    digest = hashlib.sha256(repr(words).encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "big") >> 1)
