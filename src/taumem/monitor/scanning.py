"""A scan: every saved checkpoint of a finished run, asked as a guard would have asked it, and which one to keep."""

import gc
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from taumem.analysis.checkpoint_choice import choices_of
from taumem.analysis.stopping import Checkpoint
from taumem.errors import ConfigError, DataError, RecordError
from taumem.monitor.arguments import Rule
from taumem.monitor.checkpoint_files import digest_of, problem_of
from taumem.monitor.checkpoint_folder import CheckpointFolder
from taumem.monitor.guard import Guard
from taumem.monitor.kept_checkpoints import KeptCheckpoints
from taumem.monitor.probe_file import ProbeFile
from taumem.monitor.scanned import Scan, identical
from taumem.probes.isolation import modules_of
from taumem.record import write_atomically

__all__ = ["scan"]

LEDGER = "checkpoints.json"
"""Which file each look was at: another file of the same step is not taken for it."""
N_SAMPLES = 64

Progress = Callable[[int, int], None]


def scan(
    checkpoints: Path | str,
    probe: Path | str,
    *,
    folder: Path | str = "scan",
    rule: Rule | Sequence[Rule] | None = None,
    pattern: str | None = None,
    only: str | None = None,
    steps_per: float | None = None,
    n_samples: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Scan:
    """Score every saved checkpoint of a finished run, and say which one to keep.

    Each is asked about the same items under the same noise, as a guard would have asked during training, and judged by
    the same rules. What is scored already is not scored again: an interrupted scan goes on, and checkpoints that have
    come since are added.

    Args:
        checkpoints: the folder that holds them, named as trainers name them (see ``docs/checkpoints.md``).
        probe: a Python file with ``load``, ``loss``, ``train``, ``heldout`` and, if wanted, ``sample`` and ``base``.
        folder: where the record goes.
        rule: that decides, as of a guard: "quality", "balanced", "no_copies", "privacy", or several.
        pattern: of the checkpoints' names, with a group ``(?P<step>[0-9]+)``.
        only: which series of names, where the folder holds several.
        steps_per: optimizer steps in an epoch, in a thousand images or between two saves, where names count these.
        n_samples: samples of each checkpoint, 0 for none; None: 64 if the file has ``sample``.
        seed: of the choice of items, of noise and of samples.
        progress: called with (checkpoints done, checkpoints in all).

    Raises:
        ConfigError: the folder or the probe file cannot be used, and what to change.
        DataError: items or samples that cannot be used.
        RecordError: the folder of the record holds another run, or other checkpoints; or cannot be written to.
    """
    file = ProbeFile.read(probe)
    found = CheckpointFolder.read(
        Path(checkpoints), pattern=pattern, only=only, steps_per=steps_per, batch_size=file.batch_size
    )
    if n_samples is None:
        n_samples = N_SAMPLES if file.can_sample else 0
    arguments = file.guard_arguments(n_samples)
    if found.unit != "step":
        arguments.pop("batch_size", None)
    guard = Guard(
        **arguments,
        folder=folder,
        rule=rule,
        on_onset="stop",  # there is nothing to stop, and nothing to say before all were seen
        budget=None,
        seed=seed,
        name=_name_of(Path(checkpoints), found),
        strict=True,
    )
    with guard:
        scanned = _Scanner(guard, file, Path(folder) / LEDGER, wants_samples=bool(n_samples))
        if file.has_base and 0 not in found.paths:
            scanned.take_base()
        for done, (step, path) in enumerate(found.paths.items()):
            if progress is not None:
                progress(done, len(found.paths))
            scanned.take(path, step)
        if progress is not None:
            progress(len(found.paths), len(found.paths))
        return scanned.result(found)


def _name_of(folder: Path, found: CheckpointFolder) -> str:
    """Of the run: records of checkpoints that are named otherwise are of other runs."""
    name = f"{folder.resolve().name}/{found.series}"
    return name if found.unit == "step" else f"{name} (steps are {found.unit}s)".replace("kimgs", "kimg")


class _Scanner:
    """Takes checkpoints one after another."""

    def __init__(self, guard: Guard, file: ProbeFile, ledger: Path, *, wants_samples: bool) -> None:
        self.guard, self.file, self.ledger = guard, file, ledger
        self.wanted = ("train_loss", "heldout_loss", *(("copy_fraction",) if wants_samples else ()))
        self.passed_over: dict[str, str] = {}
        self.notes: list[str] = []
        self.known = _read_ledger(ledger)
        self._failures: set[str] = set()
        former = {entry["probe"] for entry in self.known.values()}
        if former - {file.digest}:
            self.notes.append(
                f"{file.path.name} was changed since some checkpoints were scored. If what it measures has changed, "
                "scan into another folder (-o)."
            )

    def take_base(self) -> None:
        """Score what training started from, unless that was done."""
        if not self._has_looked(0):
            self._ask(self.file.base(), 0)

    def take(self, path: Path, step: int) -> None:
        """Score a checkpoint, unless that was done."""
        if problem := problem_of(path):
            self.passed_over[path.name] = problem
            return
        digest = digest_of(path)
        entry = self.known.get(str(step))
        if entry is not None and entry["digest"] != digest:
            raise RecordError(
                f"{self.ledger.parent}: {path.name} is not the checkpoint of step {step:,} that was scored there "
                f"({entry['path']}), or has changed since. Scan into another folder (-o), or remove this one."
            )
        if (entry is None or not self._has_looked(step)) and (problem := self._look(path, step)):
            self.passed_over[path.name] = problem
            return
        probe = entry["probe"] if entry else self.file.digest
        self.known[str(step)] = {"path": str(path), "digest": digest, "probe": probe}
        write_atomically(self.ledger, json.dumps(self.known, indent=2) + "\n")

    def result(self, found: CheckpointFolder) -> Scan:
        """All that is known now."""
        if not self.known:
            why = "; ".join(f"{name}: {reason}" for name, reason in self.passed_over.items())
            raise DataError(f"none of the checkpoints could be scored. {why}.")
        kept = KeptCheckpoints()
        for step, entry in self.known.items():
            if Path(entry["path"]).name not in self.passed_over:  # it was whole when it was scored
                kept.add(int(step), entry["path"])
        record = self.guard.record.as_it_stands()

        def existing(verdict: Any) -> Checkpoint | None:
            return kept.best(verdict, record)

        return Scan(
            record,
            self.file,
            found.unit,
            {int(step): entry["path"] for step, entry in sorted(self.known.items(), key=lambda known: int(known[0]))},
            self.passed_over | found.nameless,
            choices_of(record, existing, self.guard.rule),
            (*self.notes, *identical(record)),
        )

    def _has_looked(self, step: int) -> bool:
        return all(
            (curve := self.guard.record.curve_or_none(name)) is not None and step in curve.steps for name in self.wanted
        )

    def _look(self, path: Path, step: int) -> str:
        """Score a checkpoint; say why, if that cannot be done though it can of others."""
        try:
            self._ask(self.file.load(path), step)
        except (ConfigError, DataError, RecordError) as error:  # of a full disk writing the ledger will tell
            what = str(error).replace(path.name, "")
            if not self.known and what in self._failures:  # of two, and of none that is better: they are not at fault
                raise
            self._failures.add(what)
            return str(error)
        finally:
            gc.collect()  # before the next model is loaded
            if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
                torch.cuda.empty_cache()
        return ""

    def _ask(self, model: Any, step: int) -> None:
        weights = (p for module in modules_of(model) for p in module.parameters(recurse=False))
        if not all(bool((p if p.element_size() > 1 else p.float()).isfinite().all()) for p in weights):
            raise DataError("its weights are not finite: training had diverged")
        self.guard.look(model, step)


def _read_ledger(file: Path) -> dict[str, dict[str, str]]:
    if not file.exists():
        return {}
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
        if all(
            re.fullmatch(r"\d+", step) and {"path", "digest", "probe"} <= entry.keys() for step, entry in known.items()
        ):
            return dict(known)
    except (OSError, ValueError, AttributeError, TypeError):
        pass
    raise RecordError(f"{file}: damaged; scan into another folder (-o), or remove this one.")
