"""A sweep with two workers, to be killed: ``python killed_sweep.py FILE FOLDER``."""

import sys
from pathlib import Path

from taumem.lab import load_sweep, make_sweep, pace
from taumem.lab.executors import Processes

# Also in the workers, which import this file: kills come between checkpoints.
pace.SECONDS_AT_LEAST, pace.SHARE = 0.1, 0.3


def main() -> None:
    file, folder = map(Path, sys.argv[1:])
    with Processes(2) as executor:
        swept = make_sweep(load_sweep(file), folder, executor=executor, retries=1_000)
    assert swept.failures == {}


if __name__ == "__main__":
    main()
