"""A study on one page: figures, samples, tables, and how it was made. It opens offline."""

from taumem.report.page import page_of, write_report

__all__ = ["page_of", "write_report"]
