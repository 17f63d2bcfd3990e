"""What a model is asked: found out by listening, so that a loss can be told from one that ignores what it is given."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from taumem.probes.isolation import modules_of

__all__ = ["listening"]


class _Heard:
    """A model that is no module, and what it was asked."""

    def __init__(self, asked: Any, heard: list[Tensor]) -> None:
        self._asked, self._heard = asked, heard

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._heard += _tensors((args, kwargs))
        return self._asked(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._asked, name)


@contextmanager
def listening(model: Any) -> Iterator[tuple[Any, list[Tensor]]]:
    """Note what a model is asked; where only a part of it is called, such as ``model.unet``, what that is asked.

    Args:
        model: a module, several in a tuple, list or dict, or anything that is called.

    Yields:
        The model to ask, and the tensors that it is given from now on.
    """
    heard: list[Tensor] = []
    modules = modules_of(model)
    if not modules:
        yield _Heard(model, heard), heard
        return
    parts_of_heard = set[nn.Module]()

    def note(module: nn.Module, args: Any, kwargs: Any) -> None:
        if module not in parts_of_heard:
            heard.extend(_tensors((args, kwargs)))
            parts_of_heard.update(part for part in module.modules() if part is not module)

    hooks = [module.register_forward_pre_hook(note, with_kwargs=True) for module in modules]
    try:
        yield model, heard
    finally:
        for hook in hooks:
            hook.remove()


def _tensors(given: object) -> list[Tensor]:
    """All tensors in what a model is given, also inside lists and dictionaries."""
    if isinstance(given, Tensor):
        return [given.detach().clone()]
    inside = given.values() if isinstance(given, Mapping) else given if isinstance(given, list | tuple) else ()
    return [tensor for part in inside for tensor in _tensors(part)]
