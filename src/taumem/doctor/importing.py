"""Import packages, and say of each whether it works; of torch, what it sees of this machine.

Run as a program, which needs nothing of taumem: it writes a line of JSON for each module, with its name and why it does
not work (null where it does); that of torch has its devices too.
"""

import importlib
import json
import os
import sys
import warnings
from typing import Any

__all__ = ["devices", "main"]


def main(modules: list[str]) -> None:
    """Import some modules, one after the other."""
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what packages print as they are imported is no line of ours
    for module in modules:
        line = {"module": module} | _tried(module)
        print(json.dumps(line), file=lines, flush=True)  # at once: the next one may end this process


def devices() -> list[str]:
    """What torch can train on besides the processor, in words."""
    import torch

    found = []
    if torch.cuda.is_available():
        for k in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(k)
            found.append(f"cuda:{k} {facts.name}, {facts.total_memory / 1e9:.0f} GB")
    if torch.backends.mps.is_available():
        found.append("mps")
    return found


def _tried(module: str) -> dict[str, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(module)
        if module != "torch":
            return {"why_not": None}
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            found = devices()
        return {"why_not": None, "devices": found, "warnings": [_first_line(each.message) for each in told]}
    except BaseException as error:  # a package that exits as it is imported is a broken one
        return {"why_not": f"{type(error).__name__}: {_first_line(error)}".removesuffix(": ")}


def _first_line(said: object) -> str:
    return str(said).strip().split("\n")[0][:200]


if __name__ == "__main__":
    main(sys.argv[1:])
