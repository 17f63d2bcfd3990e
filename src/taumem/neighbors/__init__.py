"""Exact distances in bounded memory."""

from taumem.neighbors.edits import nearest_by_edits
from taumem.neighbors.gaps import distinct_items, gap_ratio
from taumem.neighbors.groups import near_duplicates, nearest_groups
from taumem.neighbors.hamming import nearest_hamming
from taumem.neighbors.ranking import merge
from taumem.neighbors.search import nearest
from taumem.neighbors.shards import nearest_in_shards
from taumem.neighbors.substrings import Passages, Substrings, longest_match

__all__ = [
    "Passages",
    "Substrings",
    "distinct_items",
    "gap_ratio",
    "longest_match",
    "merge",
    "near_duplicates",
    "nearest",
    "nearest_by_edits",
    "nearest_groups",
    "nearest_hamming",
    "nearest_in_shards",
]
