"""A study on one page: figures, samples, tables, and how it was made. It opens offline."""

from taumem.report.page import write_report
from taumem.report.study import ClockLaw, Forecast, Study

__all__ = ["ClockLaw", "Forecast", "Study", "write_report"]
