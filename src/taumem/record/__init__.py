"""The waist: plain facts on disk. No torch on this side of it, no training either."""

from taumem.record.curve import Curve
from taumem.record.files import write_atomically
from taumem.record.measurement import Estimate, Measurement, Reading
from taumem.record.run import SCHEMA_VERSION, DataFacts, RunHeader, RunRecord, find_runs, read_runs

__all__ = [
    "SCHEMA_VERSION",
    "Curve",
    "DataFacts",
    "Estimate",
    "Measurement",
    "Reading",
    "RunHeader",
    "RunRecord",
    "find_runs",
    "read_runs",
    "write_atomically",
]
