"""Sources of data, and the split into a training set and held-out data."""

from taumem.data.split import Split

__all__ = ["Split"]
