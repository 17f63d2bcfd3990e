"""Exact distances in bounded memory."""

from taumem.neighbors.euclidean import distinct_items, gap_ratio, nearest
from taumem.neighbors.hamming import nearest_hamming
from taumem.neighbors.substrings import Substrings, longest_match

__all__ = ["Substrings", "distinct_items", "gap_ratio", "longest_match", "nearest", "nearest_hamming"]
