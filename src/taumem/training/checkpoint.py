"""A learner on disk: one safetensors file, written atomically.

No generator state is stored: every draw of :func:`taumem.training.train` derives from the seed and the step, and the
step is here. A resumed run is bit-identical to an unbroken one (on CPU; on GPUs as far as the kernels are).
"""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from taumem.errors import RecordError
from taumem.record import write_atomically
from taumem.training.loop import Learner

__all__ = ["load_checkpoint", "save_checkpoint"]


def save_checkpoint(learner: Learner, path: Path) -> None:
    """Write the weights, their average, the optimizer's state, the step and the examples seen."""
    tensors = {f"denoiser.{name}": tensor for name, tensor in learner.denoiser.state_dict().items()}
    if learner.average is not None:
        tensors |= {f"average.{name}": tensor for name, tensor in learner.average.state_dict().items()}
    optimizer = learner.optimizer.state_dict()
    for index, slots in optimizer["state"].items():
        tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in slots.items()}
    # safetensors refuses tensors that share memory, and does not keep strides.
    tensors = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
    facts = {"step": learner.step, "examples": learner.examples, "groups": optimizer["param_groups"]}
    write_atomically(path, lambda file: save_file(tensors, file, {"taumem": json.dumps(facts)}))


def load_checkpoint(learner: Learner, path: Path) -> None:
    """Bring a learner of the same shape to where the saved one stood.

    Raises:
        RecordError: no such file, not a checkpoint of taumem, or of another model; the learner is then as it was.
    """
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads((file.metadata() or {})["taumem"])
            step, examples, groups = facts["step"], facts["examples"], facts["groups"]
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RecordError(f"{path}: not a checkpoint that taumem can read ({error}).") from None

    def under(prefix: str) -> dict[str, torch.Tensor]:
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
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in under("optimizer.").items():
        index, slot = name.split(".", 1)
        state.setdefault(int(index), {})[slot] = tensor
    try:
        learner.optimizer.load_state_dict({"state": state, "param_groups": groups})
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"{path}: holds the state of another optimizer ({error}).") from None
    for prefix, module in modules.items():
        module.load_state_dict(under(prefix))
    learner.step, learner.examples = step, examples
