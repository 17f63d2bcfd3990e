"""Samples as the page shows them: pictures, strings or texts, before, at and after the onset."""

from taumem.report.exhibits.exhibit import Exhibit, ShownLook, exhibits_of, way_of
from taumem.report.exhibits.twins import TwinExhibit, twin_exhibits

__all__ = ["Exhibit", "ShownLook", "TwinExhibit", "exhibits_of", "twin_exhibits", "way_of"]
