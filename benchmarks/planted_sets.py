"""Copies of known items among samples that copy nothing: the truth that audits are held against."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import numpy as np
import torch
from planted_kinds import IMAGE_KINDS, NEAR_KINDS, TEXT_KINDS, Place, changed_images, misspelled
from torch import Tensor

from taumem.randomness import generator_for

__all__ = ["Planted", "Sizes", "planted_images", "planted_texts"]


@dataclass(frozen=True, eq=False)
class Planted:
    """The three sets of an audit, and what is true of them.

    Attributes:
        generated: the samples: first those that copy nothing, then the planted copies, kind after kind.
        train: the training items; the near-duplicates of the sources stand last.
        heldout: items of the same source that nobody trained on.
        kinds: of each sample, how it was planted; "" if it copies nothing.
        sources: of each sample, the training item that it copies; -1 if it copies nothing.
        originals: of each training item, the one that it is a near-duplicate of: itself, mostly.
    """

    generated: Any
    train: Any
    heldout: Any
    kinds: tuple[str, ...]
    sources: tuple[int, ...]
    originals: tuple[int, ...]

    @property
    def is_planted(self) -> np.ndarray:
        """Of each sample."""
        return np.array(self.sources) >= 0

    def is_right(self, nearest: np.ndarray) -> np.ndarray:
        """Say of which samples the training item that was found is the source, or its near-duplicate."""
        originals = np.array(self.originals)
        return self.is_planted & (originals[nearest] == np.array(self.sources))


@dataclass(frozen=True)
class Sizes:
    """Of the sets of an audit.

    Attributes:
        train: training items, without near-duplicates.
        heldout: held-out items.
        novel: samples that copy nothing.
        each: planted copies of each kind.
        duplicates: near-duplicates of each source in the training set.
    """

    train: int = 1000
    heldout: int = 1000
    novel: int = 150
    each: int = 5
    duplicates: int = 0


def _drawn(n: int, sizes: Sizes, seed: int) -> tuple[list[int], list[int], list[int]]:
    """Draw training items, held-out items and novel samples from n items, no item twice.

    So held-out items and novel samples are exchangeable: whatever the pool holds, near-duplicates of its own included,
    a flagged novel sample is an accident that as many held-out items meet.
    """
    wanted = sizes.train + sizes.heldout + sizes.novel
    if wanted > n:
        raise SystemExit(f"an audit of these sizes needs {wanted} different items; the data have {n}.")
    order = torch.randperm(n, generator=generator_for(seed, "planted pool"))[:wanted].tolist()
    return order[: sizes.train], order[sizes.train : sizes.train + sizes.heldout], order[sizes.train + sizes.heldout :]


def planted_images(pool: Tensor, sizes: Sizes, seed: int) -> Planted:
    """Make the sets of an audit of images.

    Args:
        pool: different images to draw from.
        sizes: how many of what.
        seed: of the draw and of all changes.
    """
    train, heldout, novel = _drawn(len(pool), sizes, seed)
    kinds, sources = _plan(IMAGE_KINDS, sizes)
    generated, known, originals = [pool[novel]], [pool[train]], list(range(sizes.train))
    for number, (kind, source) in enumerate(zip(kinds, sources, strict=True)):
        generator = generator_for(seed, "planted", kind, number)
        generated.append(changed_images(pool[train[source]][None], IMAGE_KINDS[kind], generator))
    for k, source, kind in _near(sources, sizes, NEAR_KINDS):
        generator = generator_for(seed, "near-duplicate", k, source)
        known.append(changed_images(pool[train[source]][None], NEAR_KINDS[kind], generator))
        originals.append(source)
    return _planted(torch.cat(generated), torch.cat(known), pool[heldout], kinds, sources, originals)


def planted_texts(text: str, window: int, sizes: Sizes, seed: int) -> Planted:
    """Make the sets of an audit of texts: windows that have half a window between them and the next.

    Args:
        text: to cut them from.
        window: their length in symbols.
        sizes: how many of what.
        seed: of the draw and of all changes.
    """
    step = window + window // 2
    places = [Place(text, start, window) for start in range(step, len(text) - step, step)]
    train, heldout, novel = _drawn(len(places), sizes, seed)
    kinds, sources = _plan(TEXT_KINDS, sizes)
    generated, known = ([places[k].read() for k in part] for part in (novel, train))
    originals = list(range(sizes.train))
    for number, (kind, source) in enumerate(zip(kinds, sources, strict=True)):
        generator = generator_for(seed, "planted", kind, number)
        generated.append(TEXT_KINDS[kind](places[train[source]], generator))
    for k, source, _ in _near(sources, sizes, {"": None}):
        generator = generator_for(seed, "near-duplicate", k, source)
        known.append(misspelled(places[train[source]], generator, share=0.03))
        originals.append(source)
    return _planted(generated, known, [places[k].read() for k in heldout], kinds, sources, originals)


def _plan(kinds: dict[str, Any], sizes: Sizes) -> tuple[list[str], list[int]]:
    """Each planted sample's kind, and its source: the first training items, which stand in random order, each once."""
    names = [kind for kind in kinds for _ in range(sizes.each)]
    if len(names) > sizes.train:
        raise SystemExit(f"{len(names)} planted copies need as many training items; there are {sizes.train}.")
    return names, list(range(len(names)))


def _near(sources: list[int], sizes: Sizes, kinds: dict[str, Any]) -> Iterator[tuple[int, int, str]]:
    """Which near-duplicates each source has: (number, source, kind); kinds take turns."""
    for source in sources:
        names = islice(cycle(kinds), source, source + sizes.duplicates)
        yield from ((k, source, name) for k, name in enumerate(names))


def _planted(
    generated: Any, train: Any, heldout: Any, kinds: list[str], sources: list[int], originals: list[int]
) -> Planted:
    none = len(generated) - len(kinds)
    return Planted(generated, train, heldout, ("",) * none + tuple(kinds), (-1,) * none + tuple(sources), (*originals,))
