"""Extractors of features from files: a Python function, a TorchScript module, an ONNX model."""

import hashlib
import importlib
import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from taumem.data.readers.opening import reason_of, shown
from taumem.errors import ConfigError, nearest_name

__all__ = ["Extractor", "extractor_at", "is_place"]

Extractor: TypeAlias = Callable[[Any], Any]
"""From a batch of items to one vector for each, [b, d]."""

OF_A_MODEL = re.compile(r"(?P<file>.+\.(?P<kind>pt|pth|ts|onnx))(?::(?P<scale>[a-z]+))?(?::(?P<size>\d+))?", re.DOTALL)
OF_A_FUNCTION = re.compile(r"(?P<file>.+):(?P<name>[A-Za-z_][\w.]*)", re.DOTALL)
MEANS, DEVIATIONS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the colors of ImageNet in [0, 1], which most models for photographs expect to be standardized by."""


class Opened(NamedTuple):
    """An extractor: what it is in words, the SHA-256 of its file (empty where there is none), and what is called."""

    sentence: str
    digest: str
    extractor: Extractor


def is_place(asked: str) -> bool:
    """Whether something may say where an extractor is."""
    return bool(OF_A_MODEL.fullmatch(asked) or OF_A_FUNCTION.fullmatch(asked))


def extractor_at(asked: str) -> Opened:
    """Open an extractor.

    Args:
        asked: ``FILE.pt[:SCALE][:SIZE]``, ``FILE.onnx[:SCALE][:SIZE]``, ``MODULE:FUNCTION`` or ``FILE.py:FUNCTION``.

    Raises:
        ConfigError: there is none, it cannot be opened, or what it needs is not installed.
    """
    if (model := OF_A_MODEL.fullmatch(asked)) is None:
        return _function(asked)
    scale = model["scale"] or ""
    if scale and scale not in SCALES:
        raise ConfigError(f"there is no scale {scale!r} of images; {nearest_name(scale, SCALES)}")
    side = int(model["size"]) if model["size"] else None
    if side == 0:
        raise ConfigError("images have a size of at least 1 pixel; got 0.")
    size = None if side is None else (side, side)
    path = Path(model["file"]).expanduser()
    digest = _digest(path)
    opened = _onnx if model["kind"] == "onnx" else _torchscript
    what = "ONNX" if model["kind"] == "onnx" else "TorchScript"
    return Opened(f"the {what} model {shown(path.name)}", digest, opened(path, scale, size))


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"{shown(path)}: no extractor of features can be read there ({reason_of(error)}).") from error


def _function(asked: str) -> Opened:
    place, _, name = asked.rpartition(":")
    digest, file = "", Path(place).expanduser()
    try:
        if place.endswith(".py"):
            digest = _digest(file)
            # By a name of its own, so that no other module is taken for it.
            module = _executed(file, f"taumem_features_{digest[:16]}")
        else:
            module = importlib.import_module(place)
            if getattr(module, "__file__", None):
                digest = _digest(Path(str(module.__file__)))
        found: Any = module
        for part in name.split("."):
            found = getattr(found, part)
    except ConfigError:
        raise
    # Importing runs code of somebody's, which raises what it likes.
    except Exception as error:
        hint = "" if place.endswith(".py") else "; a file is named with its ending: file.py:function"
        raise ConfigError(
            f"features {shown(asked)!r} cannot be imported ({type(error).__name__}: {reason_of(error)}){hint}."
        ) from error
    if not callable(found):
        raise ConfigError(f"features {shown(asked)!r}: {name} is {type(found).__name__}, which cannot be called.")
    return Opened(f"the function {name} of {shown(file.name)}", digest, found)


def _executed(file: Path, name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{shown(file)}: not a Python file.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _torchscript(path: Path, scale: str, size: tuple[int, int] | None) -> Extractor:
    try:
        module = torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
    except Exception as error:  # of a damaged file, whatever its parsers raise
        raise ConfigError(
            f"{shown(path)}: not a TorchScript file ({reason_of(error)}). Save a module by "
            "torch.jit.trace(module.eval(), example).save(path); weights alone are no model."
        ) from error

    # Networks with a head give their features where they are asked to, such as the Inception of StyleGAN's metrics.
    known = [argument.name for argument in module.forward.schema.arguments]
    options = {"return_features": True} if "return_features" in known else {}

    def extract(batch: Any) -> Any:
        if not isinstance(batch, Tensor) or batch.ndim != 4:
            return module(batch, **options)
        images = _resized(batch, size)
        try:
            return module(SCALES[scale or "signed"](images), **options)
        except RuntimeError:
            if images.shape[1] != 1:
                raise
            return module(SCALES[scale or "signed"](images.expand(-1, 3, -1, -1)), **options)  # it wants color

    return extract


def _onnx(path: Path, scale: str, size: tuple[int, int] | None) -> Extractor:
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError(f"{shown(path)}: an ONNX file needs onnxruntime: pip install 'taumem[onnx]'.") from error
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common class
        raise ConfigError(f"{shown(path)}: not a readable ONNX model ({reason_of(error)}).") from error
    wanted, *others = session.get_inputs()
    if others:
        names = ", ".join([wanted.name, *(other.name for other in others)])
        raise ConfigError(f"{shown(path)}: a model with one input is wanted; this one has {names}.")
    kind = {"tensor(uint8)": torch.uint8, "tensor(float16)": torch.float16}.get(wanted.type, torch.float32)
    axes = [axis if isinstance(axis, int) else None for axis in wanted.shape]
    color_last = len(axes) == 4 and axes[1] not in (1, 3) and axes[3] in (1, 3)
    channels, height, width = (axes[3], *axes[1:3]) if color_last else (axes[1:4] if len(axes) == 4 else (None,) * 3)
    fixed = (height, width) if height and width else size

    def extract(batch: Any) -> Any:
        if isinstance(batch, Tensor) and batch.ndim == 4:
            images = _resized(batch, fixed)
            images = images.expand(-1, 3, -1, -1) if channels == 3 and images.shape[1] == 1 else images
            images = SCALES[scale or ("bytes" if kind == torch.uint8 else "signed")](images).to(kind)
            batch = images.permute(0, 2, 3, 1) if color_last else images
        # Some models were exported for one item at a time.
        one_by_one = isinstance(batch, Tensor) and bool(axes) and axes[0] == 1
        parts = [batch[k : k + 1] for k in range(len(batch))] if one_by_one else [batch]
        return torch.cat(
            [_first_vectors(session.run(None, {wanted.name: part.contiguous().numpy()})) for part in parts]
        )

    return extract


def _first_vectors(outputs: list[Any]) -> Tensor:
    """The first of a model's outputs that has a vector for each item, or the first of all."""
    return torch.as_tensor(next((found for found in outputs if found.ndim == 2), outputs[0]))


def _resized(images: Tensor, size: tuple[int, int] | None) -> Tensor:
    if not size or tuple(images.shape[2:]) == size:
        return images
    return functional.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)


def _standardized(images: Tensor) -> Tensor:
    means, deviations = (torch.tensor(numbers)[:, None, None] for numbers in (MEANS, DEVIATIONS))
    return ((images + 1) / 2 - means) / deviations  # three channels, also of gray images


SCALES: dict[str, Callable[[Tensor], Tensor]] = {
    "signed": lambda images: images,
    "unit": lambda images: (images + 1) / 2,
    "bytes": lambda images: ((images + 1) * 127.5).round(),
    "imagenet": _standardized,
}
"""From images in [-1, 1] to the scale that a model was trained on."""
