"""``taumem.audit`` is the function, in whatever order names are imported."""

import subprocess
import sys

import pytest

ITEMS = "__import__('torch').linspace(-1, 1, 160).reshape(20, 8)"
CALL = f"; items = {ITEMS}; assert taumem.audit(items, items, -items).copies.count"


@pytest.mark.parametrize(
    "names",
    [
        "import taumem",
        "import taumem; from taumem.audit import verify",
        "import taumem.audit.rules; import taumem",
        "import taumem; taumem.audit; from taumem.audit.rules import rule_of; from taumem.audit import audit",
    ],
)
def test_it_can_be_called(names):
    subprocess.run([sys.executable, "-W", "ignore", "-c", names + CALL], check=True)
