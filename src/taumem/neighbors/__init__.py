"""Exact distances in bounded memory."""

from taumem.neighbors.nearest import distinct_items, gap_ratio, nearest

__all__ = ["distinct_items", "gap_ratio", "nearest"]
