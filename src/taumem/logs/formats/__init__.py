"""The formats of logs, a file each: see :class:`taumem.logs.formats.format.Format`."""

from taumem.logs.formats.events import Events
from taumem.logs.formats.format import TIME, Format, NoLogError, Row
from taumem.logs.formats.json_file import JsonFile
from taumem.logs.formats.json_lines import JsonLines
from taumem.logs.formats.table import Table

__all__ = ["FORMATS", "TIME", "Format", "NoLogError", "Row"]

FORMATS: tuple[Format, ...] = (Events(), JsonFile(), JsonLines(), Table())
"""In the order in which a file is tried."""
