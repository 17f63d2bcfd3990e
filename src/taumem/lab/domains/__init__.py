"""The domains that come with taumem, one file each: a file that is added here is found by being here."""

from importlib import import_module
from pkgutil import iter_modules

__all__ = []

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
