"""``taumem.audit`` is the function, in whatever order names are imported."""

import subprocess
import sys

import pytest

ORDERS = [
    "import taumem",
    "import taumem; from taumem.audit import verify",
    "import taumem.audit.rules; import taumem",
    "import taumem; taumem.audit; from taumem.audit.rules import rule_of; from taumem.audit import audit",
]
# One process for all: what taumem imports stays, and taumem itself is imported anew.
SCRIPT = """
import sys
for order in sys.argv[1:]:
    for name in [name for name in sys.modules if name.split(".")[0] == "taumem"]:
        del sys.modules[name]
    names = {}
    exec(order, names)
    items = __import__("torch").linspace(-1, 1, 160).reshape(20, 8)
    assert names["taumem"].audit(items, items, -items).copies.count, order
    print(order)
"""


@pytest.mark.slow
def test_it_can_be_called():
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, *ORDERS]
    assert subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines() == ORDERS
