"""Samples against a training set: which are copies, of what, with which certainty."""

__all__ = []
