"""taumem: when does a diffusion model start to memorize? Measure it, forecast it, stop in time.

The public names stand in ``__init__.pyi``. Each is imported from its home when it is first used, so that ``import
taumem`` is instant and torch is loaded only by what needs it.
"""

import importlib
from typing import Any

import lazy_loader

__version__ = "0.1.0"

_found, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    """Import a public name from its home; another one is refused with the nearest."""
    if name == "audit":  # the package, which can be called; lazy_loader would put the function of its name there
        return importlib.import_module("taumem.audit")
    try:
        return _found(name)
    except AttributeError as error:
        if name in __all__:  # its home is at fault
            raise
        from difflib import get_close_matches

        near = get_close_matches(name, __all__, n=1, cutoff=0.6)
        raise AttributeError(f"{error}{f'; did you mean {near[0]!r}?' if near else ''}") from None
