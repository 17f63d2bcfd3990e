"""Samples against a training set: which are copies, of what, with which certainty."""

from taumem.audit.auditing import audit
from taumem.audit.verification import Verification, verify

__all__ = ["Verification", "audit", "verify"]
