"""How the study was made, and how to make it again."""

import json
import math
from collections.abc import Collection, Iterator

from taumem.analysis import Study
from taumem.analysis.wording import sizes_text
from taumem.report.sections.section import Section

__all__ = ["section"]


def section(study: Study) -> Iterator[Section]:
    """Show it always."""
    shown = {"facts": _facts(study), "experiment": _shared_experiment(study)}
    yield Section("made", "How it was made", template="made", shown=shown)


def _facts(study: Study) -> list[tuple[str, str]]:
    """What the headers say, each once."""
    runs = [record.header for record in study.records]
    if not runs:
        return []
    names = sorted({name for run in runs for name in run.versions})
    versions = [f"{name} {_listed({run.versions.get(name, 'unknown') for run in runs})}" for name in names]
    return [
        ("Experiment", _listed({run.name for run in runs})),
        ("Data", _listed({run.data.name for run in runs})),
        ("Shape of an item", _listed({" × ".join(map(str, run.data.item_shape)) for run in runs})),
        ("Held-out items", sizes_text(sorted({run.data.n_heldout for run in runs}))),
        ("Training examples P", sizes_text(sorted({run.data.n_train for run in runs}))),
        *_facts_of_text(study),
        ("Kept out of every fit", sizes_text(sorted(study.excluded)) or "none"),
        ("Batch size", sizes_text(study.batch_sizes)),
        ("Weights measured", _listed({run.weights for run in runs})),
        ("Seeds", _listed({run.seed for run in runs})),
        ("Device", _listed({run.device for run in runs})),
        ("Versions", ", ".join(versions) or "unknown"),
    ]


def _facts_of_text(study: Study) -> list[tuple[str, str]]:
    data = [record.header.data for record in study.records if record.header.data.alphabet]
    if not data:
        return []
    return [
        ("P in symbols", sizes_text(sorted({d.n_train * math.prod(d.item_shape) for d in data}))),
        ("Symbols of the alphabet", sizes_text(sorted({len(d.alphabet) for d in data}))),
    ]


def _listed(values: Collection[object]) -> str:
    return ", ".join(str(value) for value in sorted(values, key=str)) or "unknown"


def _shared_experiment(study: Study) -> str:
    """The configuration as JSON: the part that all runs share."""
    configurations = [record.header.experiment for record in study.records]
    if not configurations:
        return ""
    first, *rest = configurations
    shared = {key: value for key, value in first.items() if all(other.get(key) == value for other in rest)}
    return json.dumps(shared, indent=2) if shared else ""
