"""Notes on what an audit compares that name no file, so that they stand in redacted records too."""

__all__ = ["ITSELF", "OTHER_SCALE", "SAME_PLACE", "SIGNED_FLOATS", "WITHOUT_NAMES"]

SIGNED_FLOATS = (
    "Floats are taken as images in [-1, 1], since some are negative; value_range (--value-range) would say otherwise."
)
ITSELF = "These are the training items, one by one, so each is found to be a copy of itself."
SAME_PLACE = "These are from the same place as the training items, so each is found to be a copy of itself."
OTHER_SCALE = (
    "Either these or the training items are all in the brighter half of the range of images, and the others are not: "
    "if one of the two was saved on another scale, copies are not found."
)
WITHOUT_NAMES = (SIGNED_FLOATS, ITSELF, SAME_PLACE, OTHER_SCALE)
