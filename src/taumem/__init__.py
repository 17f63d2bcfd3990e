"""taumem: when does a diffusion model start to memorize? Measure it, forecast it, stop in time.

The public names stand in ``__init__.pyi``. Each is imported from its home when it is first used, so that ``import
taumem`` is instant and torch is loaded only by what needs it.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
