"""Probes at a cadence, into a record, for anybody's loop."""

from taumem.monitor.cadence import LogCadence
from taumem.monitor.checkpoint_files import load_weights
from taumem.monitor.guard import Guard
from taumem.monitor.monitor import Monitor
from taumem.monitor.pilots import pilot
from taumem.monitor.probe_file import probe_of
from taumem.monitor.scanned import Scan
from taumem.monitor.scanning import scan

__all__ = ["Guard", "LogCadence", "Monitor", "Scan", "load_weights", "pilot", "probe_of", "scan"]
