"""Text files: a file is a document, and a folder is one for each file in it."""

import codecs
from pathlib import Path
from typing import NamedTuple

from taumem.data.readers.listing import list_files, settle
from taumem.data.readers.opening import check_memory, existing, read_bytes, shown, unpacked
from taumem.errors import DataError

__all__ = ["Documents", "read_documents"]

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins as that of UTF-16 does
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1a\x1b")) + b"\x7f"
"""Bytes that a text has no use for."""
FEW = 0.01
"""Share of such bytes up to which a file is a text all the same."""
ENOUGH = 4096
"""Bytes of a file by which its encoding is guessed."""


class Documents(NamedTuple):
    """The text of each document by its path, and what there is to know of how they were read, in sentences."""

    texts: dict[Path, str]
    notes: list[str]


def read_documents(
    path: str | Path,
    *,
    as_bytes: bool = False,
    skip_unreadable: bool = False,
    anyway: str = "take it as it is by data.alphabet = 'bytes'",
) -> Documents:
    """Read a file, or all files in a folder and in the folders inside it that are not hidden, sorted by their paths.

    Texts are in UTF-8, or in UTF-16 or UTF-32 if they begin with its byte order mark. Gzipped ones (.gz) are
    unpacked.

    Args:
        path: the file or folder.
        as_bytes: whether to take the bytes as they are: those that are no UTF-8 are carried as Python's surrogates.
        skip_unreadable: whether to pass over files in a folder that are no texts, with a note that names them.
        anyway: how to read what is no text all the same, for messages.

    Raises:
        DataError: no such path, a folder without files; or, unless they are to be skipped, files that cannot be read
            as text. All are counted, and the first of them named.
    """
    path = existing(path)
    if not path.is_dir():
        try:
            return Documents({path: _read(path, as_bytes, anyway)}, [])
        except DataError as error:
            raise DataError(f"{str(error).removesuffix('.')}.") from error
    listing = list_files(path)
    if not (listing.files or listing.unreadable):
        raise DataError(
            f"{shown(path)}: no files in this folder (hidden ones do not count); each should be a document."
        )
    check_memory(path, sum(file.stat().st_size for file in listing.files))
    documents, unreadable = dict[Path, str](), list(listing.unreadable)
    for file in listing.files:
        try:
            documents[file] = _read(file, as_bytes, anyway)
        except DataError as error:
            unreadable.append(str(error))
    return Documents(documents, settle(path, "documents", len(documents), unreadable, skip_unreadable))


def _read(path: Path, as_bytes: bool, anyway: str) -> str:
    content = read_bytes(path)
    if path.suffix.lower() == ".gz":
        content = unpacked(path, content)
    if as_bytes:
        return content.decode("utf-8", "surrogateescape")
    mark, encoding = next(((m, name) for m, name in MARKS if content.startswith(m)), (b"", "utf-8"))
    content = content[len(mark) :]
    if encoding == "utf-8" and len(content) - len(content.translate(None, CONTROLS)) > FEW * len(content):
        raise DataError(f"{shown(path)}: not a text: {_guess(content)}, or {anyway}")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{shown(path)}: not valid {encoding.upper()}: byte {len(mark) + error.start} "
            f"(0x{content[error.start]:02x}) cannot be read ({error.reason}); convert the file to UTF-8, or {anyway}"
        ) from error


def _guess(content: bytes) -> str:
    """What a file is that holds many control characters, and what to do with it."""
    spaces = {}
    for encoding in WIDE:
        try:
            text = content[: min(len(content), ENOUGH)].decode(encoding)
        except UnicodeDecodeError:
            continue
        if sum(c.isprintable() or c.isspace() for c in text) >= (1 - FEW) * len(text):
            spaces[encoding] = sum(c in " \r\n\t" for c in text)  # in the wrong order of bytes, these are others
    if not spaces:
        return "it holds control characters as binary files do; remove it"
    encoding = max(spaces, key=lambda name: spaces[name]).upper()
    return f"it looks like {encoding} without a byte order mark; convert it (iconv -f {encoding} -t UTF-8)"
