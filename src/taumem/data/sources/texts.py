"""Items that are texts: lines of a file, files of a folder, rows of a dataset, or windows of any of these."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from taumem.data.readers.documents import read_documents
from taumem.data.readers.folder import spread
from taumem.data.readers.hugging_face import Column
from taumem.data.readers.rows import lines_of
from taumem.data.sources.source import Numbered, Options, Source
from taumem.errors import option

__all__ = ["of_documents", "of_text_column", "of_texts", "texts_in"]


def of_documents(path: Path, options: Options) -> Source:
    """Read the lines of a file, the files of a folder, or windows of either.

    Raises:
        DataError: as :func:`~taumem.data.readers.documents.read_documents`.
    """
    skip = bool(options.take("skip_unreadable")) if path.is_dir() else False
    documents, notes = read_documents(
        path,
        as_bytes=options.take("as_bytes"),
        skip_unreadable=skip,
        anyway=f"take its bytes as they are by {option('as_bytes', 'bytes')}",
    )
    if path.is_dir():
        texts = {file.relative_to(path).as_posix(): text.rstrip("\r\n") for file, text in documents.items()}
    elif options.window is not None:
        texts = {path.name: documents[path]}
    else:
        texts = {f"{path.name}:{k}": line for k, line in enumerate(lines_of(documents[path]), 1)}
    source = of_texts(texts, str(path), options)
    return source._replace(notes=[*notes, *source.notes], in_folder=path.is_dir())


def of_text_column(column: Column, options: Options) -> Source:
    """Read the texts of a dataset."""
    places = spread(list(range(len(column))), options.limit)
    return of_texts(dict(zip(Numbered(column.place, places), column.texts(places), strict=True)), column.place, options)


def of_texts(texts: dict[str, str], place: str, options: Options) -> Source:
    """Take texts that are in memory, without blank ones, or cut them into windows.

    Args:
        texts: by their names.
        place: where they are from.
        options: how they are read.
    """
    notes, window = list[str](), options.take("window")
    n_blank = len(texts)
    texts = {name: text for name, text in texts.items() if text.strip()}
    if n_blank := n_blank - len(texts):
        notes.append(f"{n_blank} blank {'texts' if n_blank > 1 else 'text'} left out.")
    if window is not None:
        n_left = sum(len(text) % window for text in texts.values())
        texts = dict(_windows(texts.items(), window))
        if n_left:
            notes.append(f"{n_left} symbols at ends are less than a window of {window}, and left out.")
    elif len(texts) == 1:
        notes.append(f"A single text; if it is a long one, {option('window')} cuts it into items.")
    names = spread(list(texts), options.limit)
    return Source([texts[name] for name in names], names, "texts", place, notes)


def _windows(texts: Iterable[tuple[str, str]], window: int) -> Iterable[tuple[str, str]]:
    for name, text in texts:
        for start in range(0, len(text) - window + 1, window):
            yield f"{name}[{start}:{start + window}]", text[start : start + window]


def texts_in(given: object) -> list[str] | None:
    """The strings in something, if it is a list or an array of these."""
    if isinstance(given, np.ndarray) and given.dtype.kind in "OSU" and given.ndim == 1:
        given = given.tolist()
    if not isinstance(given, list | tuple) or not given or not all(isinstance(text, str | bytes) for text in given):
        return None
    return [text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else text for text in given]
