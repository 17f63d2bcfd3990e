"""What counting effective time costs: steps with it over steps without it, in turns, on one thread.

    python benchmarks/effective_time.py --rounds 20 --steps 64

Each network takes ``steps`` steps with and ``steps`` without, over and over; the ratio is of the medians over rounds.
Beside it, timed alone: what one call takes as a share of a step.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from taumem.lab.plan import RunPlan
from taumem.training import EffectiveTime, Learner, Step, train

sys.path.append(str(Path(__file__).parents[1] / "experiments" / "unit"))
from arms import BATCHES, experiment_of

WARM = 512
"""Steps before: v is read at each of the first 31, and at one in 32 by then."""
CALLS = 4096


def main() -> None:
    """Print a line for each network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--steps", type=int, default=64)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print("| network | ms per step | with / without | one call, share of a step |\n|---|---|---|---|")
    for domain, batches in BATCHES.items():
        prepared = RunPlan(experiment_of(domain, f"adamw-0.0012-B{batches[0]}"), 128, 0, None).prepare()

        def runs(learner: Learner) -> Iterator[Step]:
            split = prepared.split  # noqa: B023 (used before the next round)
            return train(learner, prepared.diffusion, split.train, batch_size=16, seed=0)  # noqa: B023

        counted, plain = prepared.learner(), prepared.learner()
        plain.time = None
        loops = {"with": runs(counted), "without": runs(plain)}
        for loop in loops.values():
            for _ in range(WARM):
                next(loop)
        took: dict[str, list[float]] = {"with": [], "without": []}
        for k in range(asked.rounds):
            for name, loop in sorted(loops.items(), reverse=bool(k % 2)):
                began = time.perf_counter()
                for _ in range(asked.steps):
                    next(loop)
                took[name].append((time.perf_counter() - began) / asked.steps)
        with_it, without = (statistics.median(took[name]) for name in ("with", "without"))
        alone, clock = time.perf_counter(), EffectiveTime()
        for step in range(WARM + 1, WARM + CALLS + 1):
            clock.after(counted.optimizer, step)
        call = (time.perf_counter() - alone) / CALLS
        print(f"| {domain} | {1e3 * without:.2f} | {with_it / without:.4f} | {call / without:.2%} |", flush=True)


if __name__ == "__main__":
    main()
