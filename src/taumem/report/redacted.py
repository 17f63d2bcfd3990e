"""The record of an audit without what it was made of: no image, no text, no name of a file."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from taumem.record.audit import AuditedItems, AuditRecord, Pair
from taumem.record.input_notes import LEFT_OUT, WITHOUT_NAMES

__all__ = ["LEFT_OUT", "redacted"]

_NEVER_NAMES = ("rule", "rules", "fail_on")
"""Settings that are told as they are; of others, numbers and plain words are."""


def redacted(record: AuditRecord) -> AuditRecord:
    """Take out of a record what tells of single items: items are called by their numbers, numbers stay.

    Names are taken out of sentences too, where they are more than a plain word.
    """
    secrets = sorted(set(_secrets(record)), key=len, reverse=True)
    hidden = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in secrets) or r"(?!)")
    content = record.model_copy(
        update={
            "inputs": {role: _without_names(items, role) for role, items in record.inputs.items()},
            "at_risk": tuple(item.model_copy(update={"source": str(item.row)}) for item in record.at_risk),
            "motifs": tuple({k: v for k, v in motif.items() if not isinstance(v, str)} for motif in record.motifs),
            "settings": {key: LEFT_OUT if _is_a_name(key, part) else part for key, part in record.settings.items()},
        }
    ).model_dump()
    return AuditRecord.model_validate(
        _without(hidden, content) | {"pairs": tuple(map(_without_contents, record.pairs))}
    )


def _without_names(items: AuditedItems, role: str) -> AuditedItems:
    kept = tuple(note for note in items.notes if note in WITHOUT_NAMES)
    notes = kept if kept == items.notes else (*kept, LEFT_OUT)
    return items.model_copy(update={"source": role, "notes": notes})


def _without_contents(pair: Pair) -> Pair:
    kept = pair.model_dump(exclude={key for key in Pair.model_fields if key.endswith(("_text", "_image"))})
    train = "training item" if pair.nearest is None else f"training item {pair.nearest}"
    return Pair.model_validate(kept | {"sample": f"sample {pair.row}", "train": train})


def _is_a_name(key: str, value: Any) -> bool:
    if isinstance(value, str):
        return key not in _NEVER_NAMES and not re.fullmatch(r"[\w-]*", value)
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return any(_is_a_name(key, part) for part in inside)


def _secrets(record: AuditRecord) -> Iterator[str]:
    """Names of files and folders; a plain word is none, and no number is, since sentences may hold them."""
    names = [items.source for items in record.inputs.values()]
    names += [item.source for item in record.at_risk]
    names += [name for pair in record.pairs for name in (pair.sample, pair.train)]
    names += [value for key, value in record.settings.items() if isinstance(value, str) and _is_a_name(key, value)]
    for name in names:
        for part in (name, re.split(r"[/\\]", name)[-1]):
            if re.search(r"[^\W\d_]", part) and re.search(r"[^a-zA-Z]", part):
                yield part


def _without(hidden: re.Pattern[str], value: Any) -> Any:
    if isinstance(value, str):
        return hidden.sub(LEFT_OUT, value)
    if isinstance(value, dict):
        return {key: _without(hidden, part) for key, part in value.items()}
    return [_without(hidden, part) for part in value] if isinstance(value, Iterable) else value
