"""Where runs are made: here, in one process or in several."""

from taumem.lab.executors.local import available_processors, execute

__all__ = ["available_processors", "execute"]
