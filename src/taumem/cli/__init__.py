"""The command line: each verb reads files and writes files. Parsing and printing, nothing else.

Exit codes: 0 done; 1 a gate of ``taumem audit`` failed, ``taumem scan`` found the onset that must not be, ``taumem
doctor`` what stands in the way, or a run of ``taumem sweep`` failed; 2 the input cannot be used (one line says why,
and what to do); 3 a gate could not be decided; 130 interrupted (the same command goes on from there); 141 the reader
of the output has gone (``taumem ls | head``).
"""

from taumem.cli import (  # noqa: F401 (each puts its verbs into the app)
    auditing,
    checking,
    files,
    items,
    listing,
    making,
    reading,
    scanning,
    stressing,
    watching,
)
from taumem.cli.entry import app, main

__all__ = ["app", "main"]
