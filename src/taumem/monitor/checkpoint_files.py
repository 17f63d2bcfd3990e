"""Checkpoints on disk: whether they are whole, what tells them apart, and their weights. No code in them is run."""

import hashlib
import json
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors.torch import load_file

from taumem.errors import DataError
from taumem.monitor.checkpoint_names import is_beside_weights

__all__ = ["SUFFIXES", "digest_of", "load_weights", "problem_of"]

SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".pkl")
"""Of files that hold weights."""
INDEX = ".safetensors.index.json"
"""How the name of a file ends that says which of several files holds which tensor."""
PIECE, PIECES = 4096, 16
"""Bytes and places by which files are told apart: reading all would take as long as loading them."""
LARGEST_HEADER = 100_000_000
"""Bytes of a safetensors header, as the format has it."""


# --- whole or not ---------------------------------------------------------------------------------------------------


def problem_of(path: Path) -> str:
    """Say why a checkpoint cannot be whole, from its size and its first and last bytes; empty where nothing speaks so.

    Args:
        path: of a file, or of a folder: then the first of its files that is not.
    """
    try:
        if not path.is_dir():
            return _problem_of_file(path)
        files = [file for file in _files(path) if file.suffix in SUFFIXES or file.name.endswith(INDEX)]
        if not files:
            return "no file in it holds weights"
        problems = ((file, _problem_of_file(file)) for file in files)
        return next((f"{file.relative_to(path)}: {problem}" for file, problem in problems if problem), "")
    except OSError as error:
        return f"it cannot be read ({error.strerror or error})"


def _problem_of_file(file: Path) -> str:
    size = file.stat().st_size
    if not size:
        return "it is empty"
    if file.name.endswith(INDEX):
        missing = sorted(part for part in _parts(file) if not (file.parent / part).is_file())
        return f"{missing[0]}, which belongs to it, is missing" if missing else ""
    with file.open("rb") as stream:
        begin = stream.read(8)
        if file.suffix == ".safetensors":
            return _problem_of_safetensors(begin, size, stream.read(min(_length(begin), LARGEST_HEADER)))
    if begin[:2] == b"PK" and not zipfile.is_zipfile(file):
        return "it ends before its end: it is still being written, or writing it was interrupted"
    return ""


def _problem_of_safetensors(begin: bytes, size: int, header: bytes) -> str:
    length = _length(begin)
    if len(begin) < 8 or size < 8 + length <= 8 + LARGEST_HEADER:
        return "it ends before its end: it is still being written, or writing it was interrupted"
    try:
        entries = json.loads(header)
        ends = [int(entry["data_offsets"][1]) for name, entry in entries.items() if name != "__metadata__"]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return "its header is no safetensors header"
    wanted = 8 + length + max(ends, default=0)
    return f"{size:,} of its {wanted:,} bytes are there" if size < wanted else ""


def _length(begin: bytes) -> int:
    return int(struct.unpack("<Q", begin)[0]) if len(begin) == 8 else 0


def digest_of(path: Path) -> str:
    """Tell a checkpoint from others: the SHA-256 of its files' names and sizes, and of pieces all over them."""
    digest = hashlib.sha256()
    for file in _files(path) if path.is_dir() else [path]:
        size = file.stat().st_size
        name = file.relative_to(path) if path.is_dir() else ""
        digest.update(f"{name} {size}\n".encode(errors="surrogateescape"))
        with file.open("rb") as stream:
            for k in range(PIECES + 1):
                stream.seek(max(size - PIECE, 0) * k // PIECES)
                digest.update(stream.read(PIECE))
    return digest.hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))


def _parts(index: Path) -> set[str]:
    try:
        return {str(part) for part in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()}
    except (ValueError, LookupError, TypeError, AttributeError):
        return {"what its weight_map should name"}


# --- weights ----------------------------------------------------------------------------------------------------------


def load_weights(path: Path | str) -> dict[str, Any]:
    """Read the weights of a checkpoint, on the CPU: for ``model.load_state_dict``. No code in the file is run.

    Args:
        path: a ``.safetensors`` file; a file of torch's (``.pt``, ``.pth``, ``.ckpt``, ``.bin``), of which all that it
            holds is returned, such as ``{"state_dict": ...}``; or a folder with the weights of one model, in one file
            or in several with an index. Of a checkpoint with several models, name the folder of one of them.

    Returns:
        Tensors by name.

    Raises:
        DataError: nothing to read, several models, a damaged file, or one that needs code to be run: and what to do.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder.")
    if problem := problem_of(path):
        raise DataError(f"{path}: {problem}.")
    if not path.is_dir():
        return _of_file(path)
    files = _of_one_model(path)
    return {name: tensor for file in files for name, tensor in _of_file(file).items()}


def _of_file(file: Path) -> dict[str, Any]:
    try:
        if file.suffix == ".safetensors":
            return dict(load_file(file))
        found = torch.load(file, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        _, _, of_what = str(error).partition("Unsupported global: GLOBAL ")
        objects = f" (of {of_what.split()[0]})" if of_what else ""
        raise DataError(
            f"{file}: is a pickle{objects} that runs code when it is opened, which taumem does not do, or is damaged. "
            "If you trust it, open it in load(path) as its trainer does; or save its weights once, by "
            "safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')."
        ) from None
    except Exception as error:  # of a damaged file, whatever its parsers raise
        told = next(iter(str(error).splitlines()), "")
        raise DataError(f"{file}: cannot be read as weights, or is damaged ({type(error).__name__}: {told}).") from None
    if not isinstance(found, dict):
        raise DataError(f"{file}: holds {type(found).__name__}; expected weights by name.")
    return found


def _of_one_model(folder: Path) -> list[Path]:
    """The files that hold the weights of the only model in a folder; safetensors first.

    Raises:
        DataError: there are several models.
    """
    places = list(dict.fromkeys(file.parent for file in _weights(folder)))
    here = [folder] if folder in places else places
    if len(here) > 1:
        raise DataError(
            f"{folder}: holds several models ({', '.join(str(place.relative_to(folder)) for place in here)}); name "
            f"one, as in load_weights(path / '{here[0].relative_to(folder)}')."
        )
    files = [file for file in _weights(folder) if file.parent == here[0]]
    for index in (file for file in files if file.name.endswith(INDEX)):
        return [here[0] / part for part in sorted(_parts(index))]
    tensors = [file for file in files if file.suffix == ".safetensors"] or files
    if len(tensors) > 1:
        raise DataError(
            f"{folder}: holds several files of weights ({', '.join(file.name for file in tensors)}); name one, as in "
            f"load_weights(path / '{tensors[0].name}')."
        )
    return tensors


def _weights(folder: Path) -> Iterator[Path]:
    for file in _files(folder):
        is_one = file.suffix in SUFFIXES or file.name.endswith(INDEX)
        if is_one and not is_beside_weights(file.name):
            yield file
