"""Samples as the page shows them: pictures, strings or texts, before, at and after the onset."""

from taumem.report.exhibits.exhibit import Exhibit, ShownLook, exhibits_of, way_of

__all__ = ["Exhibit", "ShownLook", "exhibits_of", "way_of"]
