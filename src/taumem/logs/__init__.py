"""Curves that other trainers have logged: files of many formats → the held-out loss of each run. No torch."""

from taumem.logs.log import Log
from taumem.logs.names import NAMES, Meaning, Name
from taumem.logs.places import files_of, read_logs
from taumem.logs.reading import Asked
from taumem.logs.series import Series

__all__ = ["NAMES", "Asked", "Log", "Meaning", "Name", "Series", "files_of", "read_logs"]
