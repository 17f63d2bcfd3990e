"""What items are compared by, other than their own numbers: the output of a function or of a model of somebody's.

::

    features = Features.of("sscd.onnx")            # or "sscd.pt:imagenet:288", "my_code.py:embed", "colors-and-edges"
    vectors = features(images)                     # [n, d], checked

A threshold for copies means something in one space only: whoever compares features calibrates on features of held-out
items. A Python function, a TorchScript file and an ONNX file are programs: run only what you trust.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from taumem.audit.colors_and_edges import COLORS_AND_EDGES, colors_and_edges
from taumem.data.readers.opening import check_memory, reason_of, shown
from taumem.data.stored import Stored
from taumem.errors import ConfigError, DataError, TaumemError, nearest_name
from taumem.models.extractors import Extractor, extractor_at, is_place
from taumem.probes.isolation import undisturbed

__all__ = ["PRESETS", "Features", "is_named"]

PRESETS = {
    "pixels": "the items' own numbers",
    "colors-and-edges": COLORS_AND_EDGES,
}
"""Features that need no file, and what they are."""
FEW = 4
"""Items that an extractor is tried on."""
ROUNDING = 1e-3
"""Relative difference of two answers to one question that the size of a batch may make."""

Items = Tensor | Stored | Sequence[str]


@dataclass(frozen=True)
class Features:
    """A function from items to vectors, looked at before it is believed.

    Attributes:
        name: as it was asked for.
        sentence: what it is, in words.
        digest: SHA-256 of the file that it is from; empty where there is none.
        extractor: what is called with a batch of items.
    """

    name: str
    sentence: str
    digest: str
    extractor: Extractor

    @classmethod
    def of(cls, asked: str | Callable[[Any], Any]) -> "Features":
        """Open features by what they are called.

        Args:
            asked: ``pixels``; ``colors-and-edges``; a TorchScript file (``.pt``, ``.pth``, ``.ts``) or an ONNX file
                (``.onnx``), with the scale that it wants its images on and their size behind it if these are other
                than [-1, 1] and the images' own: ``sscd.pt:imagenet:288`` (``signed``, ``unit``, ``bytes``,
                ``imagenet``); a Python function, ``module:function`` or ``file.py:function``; or a function itself. A
                function gets a batch of items as they are, images [b, C, H, W] in [-1, 1] or a list of texts, and
                gives [b, d].

        Raises:
            ConfigError: there is no such file, module or function, or what it needs is not installed.
        """
        if callable(asked):
            name = getattr(asked, "__qualname__", type(asked).__name__)
            return cls(name, f"the function {name}", "", asked)
        if asked == "pixels":
            return cls(asked, PRESETS[asked], "", _numbers)
        if asked == "colors-and-edges":
            return cls(asked, PRESETS[asked], "", colors_and_edges)
        if not is_place(asked):
            raise ConfigError(
                f"there are no features {shown(asked)!r}; {nearest_name(asked, PRESETS)} Or a .pt or .onnx file, or a "
                "Python function as module:function or file.py:function."
            )
        return cls(asked, *extractor_at(asked))

    @torch.no_grad()
    def __call__(
        self,
        items: Items,
        what: str = "items",
        *,
        batch: int = 64,
        progress: Callable[[int, int], None] | None = None,
    ) -> Tensor:
        """Give the features of items, [n, d] in float32; the memory needed is that of these, and of one batch.

        The random states are put back after, and modules are in evaluation mode meanwhile.

        Args:
            items: a tensor, items on disk, or texts.
            what: their name in messages, in the plural.
            batch: how many are given at a time.
            progress: called with how many are done and how many there are.

        Raises:
            ConfigError: the extractor fails, or gives no vectors, or others for the same items.
            DataError: features that are not finite.
        """
        with undisturbed(self.extractor):
            self._try(items[:FEW])
            features = torch.empty(0)
            for start in range(0, len(items), batch):
                part = self._of_batch(items[start : start + batch])
                if not start:
                    check_memory(f"features of {what}", 4 * len(items) * part.shape[1], "Take fewer features")
                    features = torch.empty(len(items), part.shape[1])
                if part.shape[1] != features.shape[1]:
                    raise self._wrong(f"{features.shape[1]} features of some items and {part.shape[1]} of others")
                bad = (~torch.isfinite(part)).any(dim=1).nonzero()[:, 0].tolist()
                if bad:
                    raise DataError(
                        f"{what}: their features ({self.name}) hold NaN or infinite values (first those of number "
                        f"{start + bad[0]})."
                    )
                features[start : start + len(part)] = part
                if progress is not None:
                    progress(start + len(part), len(items))
        return features

    def _of_batch(self, batch: Any) -> Tensor:
        """Ask for the features of some items."""
        try:
            given = self.extractor(batch)
            vectors = torch.as_tensor(np.asarray(given) if not isinstance(given, Tensor) else given)
        except TaumemError:
            raise
        # Whatever a function of somebody's raises.
        except Exception as error:
            shape = f"texts {len(batch)}" if isinstance(batch, Sequence) else f"items of shape {tuple(batch.shape)}"
            raise ConfigError(
                f"features {self.name!r} fail on {shape}: {type(error).__name__}: {reason_of(error)}"
            ) from error
        if vectors.ndim != 2 or len(vectors) != len(batch) or not vectors.shape[1] or vectors.is_complex():
            raise self._wrong(f"{vectors.dtype} of shape {tuple(vectors.shape)} for {len(batch)} items")
        return vectors.detach().cpu().float()

    def _try(self, few: Any) -> None:
        """Ask twice, and about one item alone: features that change cannot be compared."""
        first, second, alone = self._of_batch(few), self._of_batch(few), self._of_batch(few[:1])
        if not torch.equal(first.nan_to_num(), second.nan_to_num()):
            raise self._wrong("other features when it is asked again; leave out whatever is drawn, such as dropout")
        scale = max(float(first[:1].abs().max()), math.ulp(1.0))
        if first.shape[1:] != alone.shape[1:] or float((first[:1] - alone).abs().max()) > ROUNDING * scale:
            raise self._wrong("other features of an item alone than of the same one among others")

    def _wrong(self, found: str) -> ConfigError:
        return ConfigError(
            f"features {self.name!r}: expected one vector of finite numbers for each item, [n, d], always the same for "
            f"the same item; got {found}."
        )


def is_named(name: str) -> bool:
    """Whether features can be opened by this name, and it is not merely what a function is called."""
    return name in PRESETS or is_place(name)


def _numbers(batch: Any) -> Tensor:
    if not isinstance(batch, Tensor):
        raise ConfigError("texts have no numbers to be compared by; they are compared as texts, without features.")
    return batch.flatten(1).float()
