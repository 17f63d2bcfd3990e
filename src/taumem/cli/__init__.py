"""The command line: each verb reads files and writes files. Parsing and printing, nothing else.

Exit codes: 0 done; 1 a gate of ``taumem audit`` failed, and 3 it could not be decided; 2 the input cannot be used (one
line says why, and what to do); 130 interrupted (the same command goes on from there); 141 the reader of the output has
gone (``taumem ls | head``).
"""

from taumem.cli import auditing, files, making, reading  # noqa: F401 (each puts its verbs into the app)
from taumem.cli.entry import app, main

__all__ = ["app", "main"]
