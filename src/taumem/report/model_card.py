"""A snippet for a model card: what an audit found, as metadata and in words, without a name of any file."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from taumem.analysis.wording import number, percent, plain_name, sentence
from taumem.record import write_atomically
from taumem.record.audit import AuditRecord, Share
from taumem.report.audit_notes import cautions, intervals

__all__ = ["model_card", "write_model_card"]

_TASKS = {"images": "unconditional-image-generation", "texts": "text-generation", "tokens": "text-generation"}


def write_model_card(path: Path | str, record: AuditRecord, *, model: str = "this model") -> Path:
    """Write the snippet as a Markdown file.

    Args:
        path: the file.
        record: what the audit found.
        model: what the model is called.

    Returns:
        The path.
    """
    path = Path(path)
    write_atomically(path, model_card(record, model=model))
    return path


def model_card(record: AuditRecord, *, model: str = "this model") -> str:
    """The snippet: a ``model-index`` block in YAML to put at the top of a card, and a section to put into it."""
    return "\n".join((*_metadata(record, model), "", *_section(record), ""))


def _metadata(record: AuditRecord, model: str) -> Iterator[str]:
    """The block of metadata. Strings are written as JSON has them, which YAML reads as they are."""
    train = record.inputs.get("train")
    task = _TASKS.get(train.kind if train else "", "other")
    yield "---"
    yield "model-index:"
    yield f"- name: {_quoted(model)}"
    yield "  results:"
    yield f"  - task: {{type: {_quoted(task)}, name: {_quoted('memorization audit')}}}"
    digest = f", revision: {_quoted(train.digest)}" if train else ""
    yield f"    dataset: {{type: {_quoted('private')}, name: {_quoted('its training set')}{digest}}}"
    yield "    metrics:"
    for kind, value, name in _metrics(record):
        yield f"    - {{type: {_quoted(kind)}, value: {json.dumps(value)}, name: {_quoted(name)}}}"
    yield "---"


def _metrics(record: AuditRecord) -> Iterator[tuple[str, Any, str]]:
    copies = record.copies
    yield "copy_fraction", copies.fraction, "samples that are copies of training items"
    yield "copy_fraction_low", copies.low, f"lower end of its {copies.confidence:.0%} interval"
    yield "copy_fraction_high", copies.high, f"upper end of its {copies.confidence:.0%} interval"
    if copies.chance is not None:
        yield "copy_fraction_chance", copies.chance.fraction, "the same of items that copy nothing"
    yield "copies_flagged", record.flagged.count, f"samples flagged at a false discovery rate of {record.flagged.q:g}"
    for name, score in record.scores.items():
        if score.value is not None:
            yield name, score.value, score.label


def _section(record: AuditRecord) -> Iterator[str]:
    copies, flagged = record.copies, record.flagged
    yield "## Memorization audit"
    yield ""
    yield _escaped(record.verdict.sentence)
    if record.verdict.withheld:
        yield ""
        yield from (f"- {_escaped(reason)}" for reason in record.verdict.withheld)
    if warned := [*cautions(record)]:
        yield ""
        yield from (f"- {_escaped(caution)}" for caution in warned)
    yield ""
    yield "| | found | of | share | 95 % interval |".replace("95 %", percent(copies.confidence))
    yield "|---|--:|--:|--:|---|"
    yield _row("copies", copies)
    if copies.chance is not None:
        yield _row("the same by chance (items that copy nothing)", copies.chance)
    if record.stress is not None:
        yield _row("copies after a stress test (other samples of the model)", record.stress.copies)
    share = f"{percent(flagged.count / flagged.n)}" if flagged.n else "–"
    yield f"| flagged at a false discovery rate of {flagged.q:g} | {flagged.count:,} | {flagged.n:,} | {share} | – |"
    yield ""
    yield _escaped(f"{sentence(copies.rule)} {intervals(record)} {sentence(record.power.sentence)}")
    yield f"{record.n_generated:,} samples against {record.n_train:,} training and {record.n_heldout:,} held-out items."
    for score in record.scores.values():
        if score.value is not None:
            yield f"- {_escaped(score.label)}: {number(score.value)}. {_escaped(score.meaning)}"
    if record.not_run:
        yield ""
        yield (
            "Not looked at: "
            + "; ".join(f"{_escaped(n.what)} ({_escaped(n.why.rstrip('.'))})" for n in record.not_run)
            + "."
        )
    yield ""
    yield (
        "Copies are found by these rules, in these samples, alone: that none were found would not mean that nothing of "
        "the training set can be got out of the model. This is no statement about privacy."
    )
    version = record.made.get("taumem", "")
    yield f"Made by taumem {_escaped(version)}; `taumem audit --verify` recomputes it from the inputs."


def _row(name: str, share: Share) -> str:
    return (
        f"| {_escaped(name)} | {share.count:,} | {share.n:,} | {percent(share.fraction)} | "
        f"{percent(share.low)} to {percent(share.high)} |"
    )


def _quoted(text: str) -> str:
    return json.dumps(plain_name(text))


def _escaped(text: str) -> str:
    """A text as Markdown that shows it as it is."""
    return re.sub(r"([\\`*_\[\]<>|#~$])", r"\\\1", plain_name(text)).replace("&", "&amp;")
