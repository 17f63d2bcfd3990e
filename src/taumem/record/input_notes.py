"""What the record of an audit says of its inputs in words that name no file: they stand in redacted records too."""

__all__ = ["GIVEN_IN_PYTHON", "ITSELF", "LEFT_OUT", "OTHER_SCALE", "SAME_PLACE", "SIGNED_FLOATS", "WITHOUT_NAMES"]

SIGNED_FLOATS = (
    "Floats are taken as images in [-1, 1], since some are negative; value_range (--value-range) would say otherwise."
)
ITSELF = "These are the training items, one by one, so each is found to be a copy of itself."
SAME_PLACE = "These are from the same place as the training items, so each is found to be a copy of itself."
OTHER_SCALE = (
    "Either these or the training items are all in the brighter half of the range of images, and the others are not: "
    "if one of the two was saved on another scale, copies are not found."
)
LEFT_OUT = "(left out)"
"""Stands in a redacted record where something was."""
GIVEN_IN_PYTHON = "(given in Python)"
"""Stands for what is from no file, so that nobody can read it again."""
WITHOUT_NAMES = (SIGNED_FLOATS, ITSELF, SAME_PLACE, OTHER_SCALE)
