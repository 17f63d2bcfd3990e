"""A study, or an audit, on one page: figures, samples, tables, and how it was made. It opens offline."""

from taumem.report.audit_page import audit_page_of, write_audit_page
from taumem.report.page import page_of, write_report

__all__ = ["audit_page_of", "page_of", "write_audit_page", "write_report"]
