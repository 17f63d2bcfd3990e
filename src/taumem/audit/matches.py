"""Where matches are found, for those who look here."""

from taumem.neighbors.matches import Comparison, Matches

__all__ = ["Comparison", "Matches"]
