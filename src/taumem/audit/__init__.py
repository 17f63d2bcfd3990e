"""Samples against a training set: which are copies, of what, with which certainty.

``taumem.audit(generated, train, heldout)`` calls :func:`audit`, whether this package was imported before or not.
"""

import sys
from types import ModuleType
from typing import Any

from taumem.audit.auditing import audit
from taumem.audit.verification import Verification, verify

__all__ = ["Verification", "audit", "verify"]


class _Callable(ModuleType):
    def __call__(self, *sets: Any, **options: Any) -> Any:
        return audit(*sets, **options)


# Once this package is imported, Python puts it in the place of the function of its name.
sys.modules[__name__].__class__ = _Callable
