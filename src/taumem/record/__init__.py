"""The waist: plain facts on disk. No torch on this side of it, no training either."""

from taumem.record.audit import AuditRecord
from taumem.record.copy_rule import CopyRule
from taumem.record.curve import Curve
from taumem.record.estimate import Estimate, Measurement, Reading
from taumem.record.files import write_atomically
from taumem.record.header import SCHEMA_VERSION, DataFacts, ItemKind, RunHeader
from taumem.record.key import Half, RunKey, take_whole_sets
from taumem.record.places import find_runs, read_runs
from taumem.record.quantities import QUANTITIES, Quantity, family_of
from taumem.record.run import RunRecord
from taumem.record.schedule import RateSchedule
from taumem.record.sealing import seal, unseal

__all__ = [
    "QUANTITIES",
    "SCHEMA_VERSION",
    "AuditRecord",
    "CopyRule",
    "Curve",
    "DataFacts",
    "Estimate",
    "Half",
    "ItemKind",
    "Measurement",
    "Quantity",
    "RateSchedule",
    "Reading",
    "RunHeader",
    "RunKey",
    "RunRecord",
    "family_of",
    "find_runs",
    "read_runs",
    "seal",
    "take_whole_sets",
    "unseal",
    "write_atomically",
]
