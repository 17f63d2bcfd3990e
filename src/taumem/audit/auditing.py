"""Samples against a training set: which are copies, of what, with which certainty."""

import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import torch

import taumem
from taumem.audit.at_risk import at_risk
from taumem.audit.compared import Compared, compare
from taumem.audit.features import PRESETS
from taumem.audit.findings import gallery, rows_of, write_findings
from taumem.audit.headline import power_of, verdict_of
from taumem.audit.kept import KeptSearches, key_of
from taumem.audit.membership import losses_of, membership_scores
from taumem.audit.partial import Partial, partial_copies
from taumem.audit.reported import reported_scores
from taumem.audit.settings import Settings
from taumem.audit.sides import Sides, bring_together
from taumem.audit.significance import EXCHANGEABLE, bounds_of, copies_of, counted, histogram_of
from taumem.audit.stress import stressed
from taumem.data.gathered import Gathered
from taumem.errors import option
from taumem.record import RunRecord
from taumem.record.audit import AuditedItems, AuditRecord, NotRun
from taumem.record.input_notes import GIVEN_IN_PYTHON, LEFT_OUT, WITHOUT_NAMES

__all__ = ["audit"]

UNSEEN_IMAGES = (
    "copies that are upside down, turned by more than 6 degrees, negatives, stretched, partly covered or cropped to "
    "less than 70 %, or that keep a subject but not its pixels"
)

Progress = Callable[[str, int, int], None]


def audit(
    generated: object,
    train: object,
    heldout: object | None = None,
    *,
    groups: object | None = None,
    losses: object | None = None,
    stress: object | None = None,
    output: Path | str | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> AuditRecord:
    """Audit samples for copies of training items.

    Args:
        generated: the samples: a folder of images, a file (.npy, .npz, CIFAR-10's .bin, idx, text), an array, a tensor,
            or a list of texts.
        train: what the model was trained on, likewise.
        heldout: items of the same source that the model never saw, likewise. Without them training items stand in, each
            against the others, and what needs held-out items is not run.
        groups: what the training items and held-out items belong to (patients, scenes, authors): a file that maps names
            to groups, or two lists of names, one for each set.
        losses: for a membership test: the model's loss of each training item [P] and of each held-out item [n], or the
            folder of a run of taumem's, of whose last look they are taken.
        stress: samples of the same model after a stress test, such as :func:`taumem.cycle`, likewise: they are audited
            too, by the same rule against the same items, and what they show stands beside the samples. Their findings
            go into the folder ``stress`` in ``output``.
        output: a folder to write ``audit.json``, ``findings.csv``, ``findings.parquet`` and the gallery to.
        progress: called with (stage, work done, work in all).
        options: those of :class:`taumem.audit.settings.Settings`: orbit, rule, q, features, size, window, seed, ...

    Returns:
        The record: rates with exact intervals, chance, flags, bounds, scores, controls, and a verdict in one sentence.

    Raises:
        DataError: the sets cannot be read or compared, or hold too few items.
        ConfigError: an option that does not exist or does not fit.
    """
    settings, losses_found = Settings.of(options), losses_of(losses)
    sides = bring_together(generated, train, heldout, settings, groups)
    # Read before anything is compared: what cannot be used is refused now, not in an hour.
    after = None if stress is None else bring_together(stress, train, heldout, settings, groups, role="stress")
    progress = progress or (lambda *_: None)
    searches = _searches(sides, settings, output, progress)
    places = _places(settings, groups=groups, losses=losses, stress=stress)
    record, rows = _audited(sides, settings, searches, losses_found, places)
    if after is not None:
        places = _places(settings, groups=groups, losses=None, stress=None)
        record = stressed(record, _of_stress(after, options, places, output, progress))
    return _written(record, rows, output, searches)


def _of_stress(
    after: Sides,
    options: dict[str, Any],
    places: dict[str, str | None],
    output: Path | str | None,
    progress: Progress,
) -> AuditRecord:
    """Audit the stressed samples as samples; parts are looked for among the others alone."""
    settings = Settings.of(options | {"parts": False})
    home = None if output is None else Path(output) / "stress"
    searches = _searches(after, settings, home, lambda stage, done, total: progress(f"stress, {stage}", done, total))
    record, rows = _audited(after, settings, searches, None, places)
    return _written(record, rows, home, searches)


def _audited(
    sides: Sides,
    settings: Settings,
    searches: KeptSearches,
    losses: tuple[Any, Any] | None,
    places: dict[str, str | None],
) -> tuple[AuditRecord, dict[str, list[Any]]]:
    """What comes out of samples, and the findings by column."""
    compared = compare(sides, settings, searches)
    partial = partial_copies(sides, compared.null, settings, searches.progress)
    rows = rows_of(sides, compared, partial.columns, settings.redact)
    record = _record(sides, compared, partial, settings, losses, places)
    return record.model_copy(update={"pairs": gallery(sides, rows, compared, settings.redact)}), rows


def _written(
    record: AuditRecord, rows: dict[str, list[Any]], output: Path | str | None, searches: KeptSearches
) -> AuditRecord:
    """The record with its findings, which are in its folder."""
    if output is None:
        return record
    record = write_findings(record, rows, output)
    record.write(output)
    searches.forget()
    return record


def _searches(sides: Sides, settings: Settings, output: Path | str | None, progress: Progress) -> KeptSearches:
    """Where searches of these inputs, with these settings, keep what they have found."""
    sets = (sides.generated, sides.train, sides.heldout)
    facts = {"settings": settings.as_facts, "sets": [part.digest for part in sets if part is not None]}
    groups = [sides.groups.tolist(), sides.pooled.tolist()]
    key = key_of(facts | {"taumem": taumem.__version__, "groups": groups})
    # What a function of somebody's does is not known from its name: nothing is kept of it.
    is_named = isinstance(settings.features, str)
    return KeptSearches(Path(output) if output is not None and is_named else None, key, progress)


def _record(
    sides: Sides,
    compared: Compared,
    partial: Partial,
    settings: Settings,
    losses: tuple[Any, Any] | None,
    places: dict[str, str | None],
) -> AuditRecord:
    rules, found, null = compared.rules, compared.found, compared.null
    copies, flagged = copies_of(rules[0], found, null, compared.seen.distinct), compared.certainty.flags(settings.q)
    power = power_of(copies, flagged, compared.controls)
    scores, left_out = reported_scores(compared.seen, settings)
    members, not_tried = membership_scores(losses)
    sets = {"generated": sides.generated, "train": sides.train, "heldout": sides.heldout}
    fresh = "held-out items" if null.source == "heldout" else "training items, each compared with the others,"
    return AuditRecord(
        made=_made(),
        settings=settings.as_facts | places,
        inputs={name: _described(part, name, settings.redact) for name, part in sets.items() if part is not None},
        n_train=len(sides.train),
        n_generated=len(sides.generated),
        n_heldout=0 if sides.heldout is None else len(sides.heldout),
        verdict=verdict_of(copies, flagged, compared, sides),
        copies=copies,
        rules=tuple(counted(rule, found, null) for rule in rules),
        flagged=flagged,
        bounds=bounds_of(found[compared.seen.distinct], null.calibration),
        phantoms=compared.phantoms,
        scores=scores,
        partial=partial.results,
        motifs=tuple(_told(motif, settings.redact) for motif in partial.motifs),
        membership=members,
        at_risk=at_risk(sides, compared, settings.redact),
        controls=compared.controls,
        power=power,
        duplicates=sides.duplicates,
        exchangeability=EXCHANGEABLE.format(fresh),
        exchangeability_p=compared.certainty.alike_p,
        histogram=histogram_of(found, null.calibration),
        not_run=(*sides.not_run, *partial.not_run, *left_out, *not_tried, *_not_run(sides, settings)),
        cost={"comparisons": float(compared.comparisons), "views": float(len(found.ways))},
    )


def _places(settings: Settings, **given: object) -> dict[str, str | None]:
    """Where what was given beside the sets is from; of a redacted audit, only whether it was given."""
    places = {name: _place_of(part, settings.redact) for name, part in given.items()}
    return places | ({"features": LEFT_OUT} if settings.redact and settings.extractor.name not in PRESETS else {})


def _place_of(given: object | None, redact: bool) -> str | None:
    if given is None:
        return None
    if redact:
        return LEFT_OUT
    place = given.path if isinstance(given, RunRecord) else given
    return str(place) if isinstance(place, str | Path) else GIVEN_IN_PYTHON


def _not_run(sides: Sides, settings: Settings) -> list[NotRun]:
    reasons = []
    if sides.heldout is None:
        reasons.append(
            NotRun(what="phantom matches", why=f"there are no held-out items; give some by {option('heldout')}")
        )
    if sides.train.kind == "images":
        why = "no view has them" if settings.features == "pixels" else "the features may not see them"
        reasons.append(NotRun(what=UNSEEN_IMAGES, why=why))
    if sides.train.kind == "images" and settings.orbit != "full":
        also = "mirrored, relit, " if settings.orbit == "none" else ""
        what = f"copies that are {also}shifted, turned and cropped"
        reasons.append(NotRun(what=what, why=f"the orbit is {settings.orbit}; {option('orbit')} full has them"))
    return reasons


def _told(motif: dict[str, Any], redact: bool) -> dict[str, Any]:
    return {name: value for name, value in motif.items() if not redact or not isinstance(value, str)}


def _described(part: Gathered, role: str, redact: bool) -> AuditedItems:
    return AuditedItems(
        source=role if redact else part.source,
        n=len(part),
        kind=part.kind,
        shape=part.shape,
        digest=part.digest,
        notes=tuple(note for note in part.notes if not redact or note in WITHOUT_NAMES),
    )


def _made() -> dict[str, str]:
    return {
        "taumem": taumem.__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "platform": platform.platform(),
    }
