"""Probes at a cadence, into a record, for anybody's loop."""

from taumem.monitor.cadence import LogCadence
from taumem.monitor.guard import Guard
from taumem.monitor.monitor import Monitor
from taumem.monitor.pilots import pilot

__all__ = ["Guard", "LogCadence", "Monitor", "pilot"]
