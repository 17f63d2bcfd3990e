"""What a scan of checkpoints found: the record, which checkpoint to keep, and samples of it for an audit."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from taumem.analysis import Study
from taumem.analysis.checkpoint_choice import Choice, what_they_tell
from taumem.data.item_set import ItemSet
from taumem.errors import ConfigError
from taumem.monitor.asked import first_columns
from taumem.monitor.checkpoint_names import Unit
from taumem.monitor.probe_file import ProbeFile
from taumem.probes.probe import draw_samples
from taumem.record import RunRecord, write_atomically

__all__ = ["Scan", "identical"]

ROUNDING = 1e-3
"""By which items may leave the range of images."""


@dataclass(frozen=True)
class Scan:
    """What a scan found.

    Attributes:
        record: of all checkpoints that were scored, now or before.
        probe: by which they were.
        unit: what a step of the record is: "step", or what the names count.
        checkpoints: by step, where each is, or was.
        passed_over: what was not scored and why, by name.
        choices: first of the rule that decides, then of each policy.
        notes: what a reader must know.
    """

    record: RunRecord
    probe: ProbeFile
    unit: Unit
    checkpoints: dict[int, str]
    passed_over: dict[str, str]
    choices: tuple[Choice, ...]
    notes: tuple[str, ...]

    @property
    def choice(self) -> Choice:
        """Which checkpoint to keep."""
        return self.choices[0]

    @property
    def study(self) -> Study:
        """The run, for its clocks and its page."""
        return Study.of([self.record])

    def __str__(self) -> str:
        sentences = (self.headline, self.choice.beyond, what_they_tell(self.record))
        return "\n".join(sentence for sentence in sentences if sentence)

    @property
    def headline(self) -> str:
        """Which checkpoint to keep, and why."""
        found = self.choice.verdict.checkpoint
        if found is None:
            return f"None of these checkpoints can be recommended by '{self.choice.policy}'. {self.choice.reason}"
        return f"Keep {Path(found.path).name} ({self.unit} {found.step:,}). {self.choice.reason}"

    def to_json(self) -> dict[str, Any]:
        """Plain facts for a JSON file."""
        names = ("train_loss", "heldout_loss", "gap", "membership_auc", "copy_fraction", "copy_fraction_chance")
        curves = {name: curve for name in names if (curve := self.record.curve_or_none(name)) is not None}
        at = {
            name: dict(zip(curve.steps.tolist(), curve.values.tolist(), strict=True)) for name, curve in curves.items()
        }
        return {
            "unit": self.unit,
            "keep": self.choice.keep,
            "headline": self.headline,
            "choice": self.choice.to_json(),
            "policies": [choice.to_json() for choice in self.choices[1:]],
            "told": what_they_tell(self.record),
            "checkpoints": [
                {"step": step, "path": path, "exists": Path(path).exists()}
                | {name: values.get(step) for name, values in at.items()}
                for step, path in sorted(self.checkpoints.items())
            ],
            "passed_over": self.passed_over,
            "onsets": [onset.to_json() for onset in self.study.onsets],
            "notes": list(self.notes),
        }

    def write_for_audit(self, n_samples: int) -> Path:
        """Draw samples of the checkpoint to keep, and write them beside the items, for ``taumem audit``.

        Args:
            n_samples: how many to draw.

        Returns:
            The folder with ``generated.npy``, ``train.npy`` and ``heldout.npy``. Images whose items lie in [0, 1] or
            [-1, 1] are written in [-1, 1], and samples clipped to it, so that an audit needs no range.

        Raises:
            ConfigError: no checkpoint is to be kept, or the probe file has no ``sample``.
            DataError: the items are no tensors of one shape.
        """
        found = self.choice.verdict.checkpoint
        if found is None:
            raise ConfigError(f"there is no checkpoint to draw samples of. {self.headline}")
        given = self.probe.guard_arguments(n_samples)
        sets = {"generated": draw_samples(given["sampler"], self.probe.load(Path(found.path)), self.record.header.seed)}
        for name in ("train", "heldout"):
            sets[name] = first_columns(ItemSet.of(given[name], name, collate=given.get("collate")))
        folder = self.record.path / "for-audit"
        for name, items in _readable(sets).items():
            content = io.BytesIO()
            np.save(content, (items.float() if items.is_floating_point() else items).detach().cpu().numpy())
            write_atomically(folder / f"{name}.npy", content.getvalue())
        return folder


def _readable(sets: dict[str, Tensor]) -> dict[str, Tensor]:
    """Images as an audit reads them without being told their range: in [-1, 1]; all else, such as latents, as it is."""
    if not all(items.is_floating_point() and items.ndim in (3, 4) for items in sets.values()):
        return sets
    items = (sets["train"], sets["heldout"])
    low, high = min(float(part.min()) for part in items), max(float(part.max()) for part in items)
    if low < -1 - ROUNDING or high > 1 + ROUNDING:
        return sets
    if low < 0:
        return {name: part.float().clamp(-1, 1) for name, part in sets.items()}
    return {name: 2 * part.float().clamp(0, 1) - 1 for name, part in sets.items()}


def identical(record: RunRecord) -> Iterator[str]:
    """Say which checkpoints answer exactly alike: no two trained models do."""
    curve = record.curve_or_none("train_loss")
    if curve is None or curve.items is None:
        return
    same = [
        pair
        for pair, (one, other) in zip(pairwise(curve.steps), pairwise(curve.items), strict=True)
        if (one == other).all()
    ]
    if same:
        few = f"steps {same[0][0]:,} and {same[0][1]:,}"
        yield (
            f"The losses are exactly the same at {'all steps' if len(same) == len(curve) - 1 else few}: load(path) may "
            "put nothing into the model (other names of tensors, and strict=False?), or the files are copies of one "
            "another."
        )
