"""Before anything is trained: is everything here, what are the data, and can a forecast be made from them?

``taumem doctor DATA`` on the command line. The environment is looked at without torch, and packages are imported in a
process of their own, so that a broken one is a line of the report.
"""

from taumem.doctor.diagnosis import Diagnosis, diagnose
from taumem.doctor.environment import Environment, Extra, Package, look_around

__all__ = ["Diagnosis", "Environment", "Extra", "Package", "diagnose", "look_around"]
