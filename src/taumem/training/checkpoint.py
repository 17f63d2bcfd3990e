"""A learner on disk: one safetensors file, written atomically.

No generator state is stored: every draw of :func:`taumem.training.train` derives from the seed and the step, and the
step is here. A resumed run is bit-identical to an unbroken one (on CPU; on GPUs as far as the kernels are).

The file's metadata hold the SHA-256 of all that is in it, and the mark of the record that goes with it: a record that
has lost what it held then is not gone on with from here.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.amp import GradScaler

from taumem.errors import RecordError
from taumem.record import RunRecord, write_atomically
from taumem.record.files import refuse_a_link, why_not_written
from taumem.training.loop import Learner

__all__ = ["load_checkpoint", "save_checkpoint", "write_tensors"]


VERSION = 2
"""Of the metadata: the first had no SHA-256."""

UNREADABLE = (OSError, SafetensorError, LookupError, TypeError, ValueError, RuntimeError, AttributeError)
"""What a damaged file may lead to, by the byte that is wrong."""


def save_checkpoint(learner: Learner, path: Path, record: RunRecord | None = None) -> None:
    """Write the weights, their average, the optimizer's state, the step and the examples seen.

    Args:
        learner: what to save.
        path: the file.
        record: what was measured of the learner, open for writing: its mark is saved too.

    Raises:
        RecordError: the path is a link or a folder, or the disk refuses (it is full, say); the file is then as it was.
    """
    tensors = {f"denoiser.{name}": tensor for name, tensor in learner.denoiser.state_dict().items()}
    if learner.average is not None:
        tensors |= {f"average.{name}": tensor for name, tensor in learner.average.state_dict().items()}
    optimizer = learner.optimizer.state_dict()
    for index, slots in optimizer["state"].items():
        tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in slots.items()}
    facts = json.dumps(
        {
            "version": VERSION,
            "step": learner.step,
            "examples": learner.examples,
            "time": learner.time.state() if learner.time is not None else None,
            "scaler": learner.scaler.state_dict() if learner.scaler is not None else None,
            "groups": optimizer["param_groups"],
            "record": record.mark if record is not None else None,
        }
    )
    write_tensors(path, tensors, {"taumem": facts, "sha256": _sha256(facts, tensors)})


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write tensors into a safetensors file.

    Raises:
        RecordError: the path is a link or a folder, or the disk refuses; the file is then as it was.
    """
    # safetensors refuses tensors that share memory, and does not keep strides.
    owned = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}

    def save(file: Path) -> None:
        try:
            save_file(owned, file, metadata)
        except SafetensorError as error:
            number = re.search(r"os error (\d+)", str(error))  # it says in passing which of the system's errors it met
            raise RecordError(why_not_written(path, OSError(int(number[1]) if number else 0, str(error)))) from None

    refuse_a_link(path)
    write_atomically(path, save)


def load_checkpoint(learner: Learner, path: Path, record: RunRecord | None = None) -> None:
    """Bring a learner of the same shape to where the saved one stood.

    Args:
        learner: what to bring there.
        path: the file.
        record: of the run, open for writing, which must hold all that it did when the checkpoint was saved.

    Raises:
        RecordError: no such file, a damaged one, not a checkpoint of taumem, or of another model; or the record has
            lost what it held; the learner is then as it was.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            facts = json.loads(metadata["taumem"])
            step, examples, groups = facts["step"], facts["examples"], facts["groups"]
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            checked = "sha256" in metadata or facts.get("version", 1) >= VERSION
            damaged = checked and metadata.get("sha256") != _sha256(metadata["taumem"], tensors)
    except UNREADABLE as error:
        raise RecordError(f"{path}: not a checkpoint that taumem can read, or damaged ({error}).") from None
    if damaged:
        raise RecordError(f"{path}: damaged: its SHA-256 does not fit what it holds.")
    mark = facts.get("record")
    if record is not None and mark is not None and not record.holds(mark):
        raise RecordError(f"{path}: {record.path} has lost measurements that it held when this was saved.")

    def under(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

    modules: dict[str, nn.Module] = {"denoiser.": learner.denoiser}
    if learner.average is not None:
        modules["average."] = learner.average
    here = {prefix + name: t.shape for prefix, module in modules.items() for name, t in module.state_dict().items()}
    there = {name: tensor.shape for name, tensor in tensors.items() if not name.startswith("optimizer.")}
    if differing := sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name)):
        name = differing[0]
        shapes = [tuple(side[name]) if name in side else "nothing" for side in (there, here)]
        raise RecordError(f"{path}: holds another model ({name}: {shapes[0]} in the file, {shapes[1]} here).")
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in under("optimizer.").items():
        index, slot = name.split(".", 1)
        state.setdefault(int(index), {})[slot] = tensor
    try:
        learner.optimizer.load_state_dict({"state": state, "param_groups": groups})
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"{path}: holds the state of another optimizer ({error}).") from None
    for parameter, slots in learner.optimizer.state.items():
        # safetensors keeps no strides, and a fused optimizer walks through weights and moments in memory's order.
        moments = {name: value for name, value in slots.items() if value.shape == parameter.shape}
        slots.update({name: torch.empty_like(parameter, dtype=m.dtype).copy_(m) for name, m in moments.items()})
    for prefix, module in modules.items():
        module.load_state_dict(under(prefix))
    if scaler := facts.get("scaler"):
        learner.scaler = GradScaler(next(learner.denoiser.parameters()).device.type)
        learner.scaler.load_state_dict(scaler)
    learner.step, learner.examples = step, examples
    if learner.time is not None:
        learner.time.load(facts.get("time"), step)


def _sha256(facts: str, tensors: Mapping[str, Tensor]) -> str:
    """Of the facts, and of the names, types, shapes and bytes of the tensors."""
    digest = hashlib.sha256(facts.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
