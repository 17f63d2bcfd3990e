"""Looking without touching: whatever a question to a model does, training goes on as if nobody had asked.

What is put back, also where the question raises: the mode of every module, buffers, whether gradients are recorded,
autocast and its cache, the global random states (Python's, numpy's, torch's on every device), and what the caller
names, such as the meters of a trainer. The global states are written inside, so that a loss that draws from them
draws the same at every look, and they are put back after.
"""

import copy
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from taumem.errors import ConfigError
from taumem.randomness import generator_for

__all__ = ["device_of", "modules_of", "random_states_kept", "seed_globally", "undisturbed"]


@contextmanager
def undisturbed(model: object, *, restores: Sequence[object] = ()) -> Iterator[None]:
    """Look without touching: inside, evaluation mode and no gradients; after, everything as it was.

    Of a model that is no module, but calls one, the caller sets the mode.

    Args:
        model: a module, several in a tuple, list or dict, or anything that can be called.
        restores: objects whose attributes are put back: what a loss writes into, such as meters.

    Raises:
        ConfigError: what came is none of these.
    """
    modules = modules_of(model)
    if not modules and not callable(model):
        raise ConfigError(
            f"a model is a torch.nn.Module, several of them in a tuple, list or dict, or a denoiser that is called "
            f"with (xt, t); got {type(model).__name__}."
        )
    with ExitStack() as after:
        after.enter_context(random_states_kept())
        after.enter_context(_autocast_kept(modules))
        after.enter_context(torch.no_grad())
        for module in modules:
            after.callback(setattr, module, "training", module.training)
            for name, buffer in module.named_buffers(recurse=False):
                after.callback(_put_back, module, name, buffer, buffer.detach().clone())
            for parameter in module.parameters(recurse=False):
                after.callback(setattr, parameter, "grad", parameter.grad)
                parameter.grad = None
        for kept in restores:
            were = dict(vars(kept))
            after.callback(_put_back_attributes, kept, were)
            # Inside stand copies, so that afterwards the very objects are there again; models are not copied.
            vars(kept).update(copy.deepcopy(were, {id(part): part for part in modules_of(were)}))
        for module in modules:
            module.training = False
        yield


def modules_of(model: object) -> list[nn.Module]:
    """Every module of a model, each once: itself and its parts; of a tuple, list or dict, those of its members.

    >>> len(modules_of({"unet": nn.Sequential(nn.ReLU()), "name": "any"}))
    2
    """
    if isinstance(model, nn.Module):
        return list(model.modules())
    members = model.values() if isinstance(model, Mapping) else model if isinstance(model, tuple | list) else ()
    return list(dict.fromkeys(module for member in members for module in modules_of(member)))


def device_of(model: object) -> torch.device | None:
    """Where a model's weights are; None where it has none."""
    for module in modules_of(model):
        for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
            return tensor.device
    return None


def seed_globally(seed: int, *purpose: str | int) -> None:
    """Seed every global random state, of a seed and a purpose: only inside :func:`undisturbed`, which puts them back.

    Args:
        seed: whose draws they are.
        purpose: as in :func:`taumem.randomness.generator_for`.
    """
    drawn = generator_for(seed, *purpose, "global").initial_seed()
    random.seed(drawn)
    np.random.seed(drawn % 2**32)  # noqa: NPY002 (a loss may draw from the global state)
    torch.default_generator.manual_seed(drawn)
    # torch.manual_seed would seed devices that are not in use yet as well, once they are.
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(drawn)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(drawn)


@contextmanager
def random_states_kept() -> Iterator[None]:
    """Put the global random states back after: Python's, numpy's, and torch's on every device."""
    puts: list[tuple[Callable[[Any], Any], Any]] = [
        (random.setstate, random.getstate()),
        (np.random.set_state, np.random.get_state()),  # noqa: NPY002 (the global state is what must stay)
        (torch.set_rng_state, torch.get_rng_state()),
    ]
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        puts.append((torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all()))
    if torch.backends.mps.is_available():
        puts.append((torch.mps.set_rng_state, torch.mps.get_rng_state()))
    try:
        yield
    finally:
        for put, state in puts:
            put(state)


@contextmanager
def _autocast_kept(modules: Sequence[nn.Module]) -> Iterator[None]:
    kinds = {"cpu"} | {tensor.device.type for module in modules for tensor in module.parameters(recurse=False)}
    kinds -= {"meta"}
    before = {kind: (torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in kinds}
    caches = torch.is_autocast_cache_enabled()
    # Weights that are cast without gradients must not be found by the training step that comes next, in the cache.
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        for kind, (enabled, dtype) in before.items():
            torch.set_autocast_enabled(kind, enabled)
            torch.set_autocast_dtype(kind, dtype)
        torch.set_autocast_cache_enabled(caches)


def _put_back(module: nn.Module, name: str, buffer: Tensor, was: Tensor) -> None:
    if module._buffers.get(name) is not buffer:  # replaced, as by self.scale = 0.9 * self.scale
        module._buffers[name] = buffer
    # A buffer that did not change is not written to: autograd counts writes.
    if buffer.shape != was.shape or not torch.equal(buffer, was):
        with torch.no_grad():
            buffer.copy_(was)


def _put_back_attributes(kept: object, were: dict[str, Any]) -> None:
    vars(kept).clear()
    vars(kept).update(were)
