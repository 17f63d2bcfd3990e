"""The waist: plain facts on disk. No torch on this side of it, no training either."""

from taumem.record.copy_rule import CopyRule
from taumem.record.curve import Curve
from taumem.record.estimate import Estimate, Measurement, Reading
from taumem.record.files import write_atomically
from taumem.record.header import SCHEMA_VERSION, DataFacts, ItemKind, RunHeader
from taumem.record.key import Half, RunKey
from taumem.record.run import RunRecord, find_runs, read_runs

__all__ = [
    "SCHEMA_VERSION",
    "CopyRule",
    "Curve",
    "DataFacts",
    "Estimate",
    "Half",
    "ItemKind",
    "Measurement",
    "Reading",
    "RunHeader",
    "RunKey",
    "RunRecord",
    "find_runs",
    "read_runs",
    "write_atomically",
]
