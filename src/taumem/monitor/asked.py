"""From what a training loop has to what is asked at a look: items of each set, the facts of the data, and copies."""

import hashlib
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

import taumem
from taumem.data.item_set import ItemSet, leaves
from taumem.errors import ConfigError, DataError, TaumemWarning
from taumem.probes import Copies, TextCopies
from taumem.probes.asked_items import AskedItems
from taumem.probes.isolation import random_states_kept
from taumem.probes.probe import SampleProbe
from taumem.record import DataFacts, ItemKind, RunHeader

__all__ = ["apart", "common_places", "facts_of", "first_columns", "header_of", "probe_of_copies"]

BLOCK = 256
"""Items that are picked out together."""


def apart(train: ItemSet, heldout: ItemSet) -> ItemSet:
    """Leave out the held-out items that are training items too.

    Of a Dataset nothing is read here: its items may be drawn at random, and be large.

    Args:
        train: training items.
        heldout: held-out items.

    Raises:
        DataError: all of them are training items.

    Warns:
        TaumemWarning: some are, and are left out.
    """
    _refuse_other_kind(train, heldout)
    if heldout.given is train.given:
        raise DataError("the held-out items are the training items; hold out some that the model never trains on.")
    seen = set(train.digests)
    both = _to_leave_out([place for place, digest in enumerate(heldout.digests) if digest in seen], len(heldout))
    if not both:
        return heldout
    return ItemSet.of(heldout.subset([place for place in range(len(heldout)) if place not in both]), heldout.what)


def common_places(train: AskedItems, heldout: AskedItems) -> set[int]:
    """Held-out items that are training items: of Datasets, those among the items that are asked about.

    Raises:
        DataError: all of them are.

    Warns:
        TaumemWarning: some are, and are to be left out.
    """
    seen = set(train.digests)
    found = zip(heldout.places, heldout.digests, strict=False)
    return _to_leave_out([place for place, digest in found if digest in seen], len(heldout))


def _to_leave_out(both: list[int], n: int) -> set[int]:
    """Places of held-out items that are training items too, once they were told of."""
    if both and len(both) == n:
        raise DataError(f"all {n} held-out items are training items too; hold out some that the model never trains on.")
    if both:
        told = ", ".join(map(str, both[:5])) + (", ..." if len(both) > 5 else "")
        warnings.warn(
            f"{len(both)} of {n} held-out items are training items too, and are left out (places {told}).",
            TaumemWarning,
            stacklevel=5,
        )
    return set(both)


def _refuse_other_kind(train: ItemSet, heldout: ItemSet) -> None:
    """Rows of one set are of the shape and type of those of the other; what a Dataset gives may vary in size."""
    if train.collate or heldout.collate:
        return
    ours, theirs = (
        [(str(x.dtype), tuple(x.shape[1:])) for x in leaves(part.given) if isinstance(x, Tensor)]
        for part in (train, heldout)
    )
    if ours != theirs:
        raise DataError(f"held-out items are {theirs} (type, shape), and the training items {ours}; they must agree.")


def facts_of(
    name: str, train: ItemSet, heldout: ItemSet | None, asked: Sequence[str], few: Any, n_train: int | None
) -> DataFacts:
    """What a run's record says of its data.

    Args:
        name: of the run.
        train: training items.
        heldout: held-out items.
        asked: digests of the items that are asked about.
        few: some training items, as a batch.
        n_train: number of training examples P, where it is another one than that of the items.
    """
    fingerprint = hashlib.sha256()
    for part in (train, heldout):
        known = part.digests if part else []
        fingerprint.update(f"{len(part) if part else 0}{known}".encode())
    fingerprint.update(f"{list(asked)}".encode())
    first = next((leaf for leaf in leaves(few) if isinstance(leaf, Tensor) and leaf.ndim), None)
    shape = () if first is None else tuple(first.shape[1:])
    kind: ItemKind = "images" if len(shape) == 3 and first is not None and first.is_floating_point() else ""
    return DataFacts(
        name=name,
        fingerprint=fingerprint.hexdigest(),
        n_train=len(train) if n_train is None else n_train,
        n_heldout=len(heldout) if heldout else 0,
        item_shape=shape,
        kind=kind,
    )


def header_of(facts: DataFacts, *, seed: int, batch_size: int, pretrained: bool) -> RunHeader:
    """What a guard's record says of the run, of which it does not know how long it will be."""
    return RunHeader(
        name=facts.name,
        data=facts,
        seed=seed,
        batch_size=batch_size,
        steps=0,
        pretrained=pretrained,
        versions={"taumem": taumem.__version__, "torch": torch.__version__},
    )


def probe_of_copies(train: ItemSet, heldout: ItemSet | None) -> SampleProbe:
    """The probe that counts copies among samples of these items: of images by distance, of tokens by position.

    Raises:
        ConfigError: no held-out items, which tell what chance gives.
    """
    if heldout is None:
        raise ConfigError(
            "copies are counted above what chance gives, which held-out items tell; give heldout=..., or leave "
            "sampler out."
        )
    ours, theirs = first_columns(train), first_columns(heldout)
    return TextCopies(ours, theirs) if _are_tokens(ours) else Copies(ours, theirs)


def first_columns(items: ItemSet) -> Tensor:
    """The items themselves as one tensor [n, ...]: of columns and batches, the first tensor.

    Raises:
        DataError: there is no tensor in them, or items differ in shape.
    """
    with random_states_kept():
        blocks = [items.take(range(k, min(k + BLOCK, len(items)))) for k in range(0, len(items), BLOCK)]
    firsts = [next((leaf for leaf in leaves(block) if isinstance(leaf, Tensor)), None) for block in blocks]
    tensors = [first for first in firsts if first is not None]
    if len(tensors) < len(blocks) or len({tensor.shape[1:] for tensor in tensors}) > 1:
        raise DataError(f"{items.what}: copies are counted among tensors of one shape, and these are none.")
    return torch.cat(tensors)


def _are_tokens(items: Tensor) -> bool:
    return not items.is_floating_point() and items.ndim == 2
