"""How much faster does a sweep train as one batched program? And how fast is the grammar's exact denoiser?

    python benchmarks/grammar_sweep.py [--steps-per-example 0.25] [--repeats 3]

Six sizes (P = 32 to 1024) of two seeds, masked diffusion on a grammar, the grammar's U-Net. A member takes steps in
proportion to its P and then leaves, as it would once it has memorized. The same steps are made one by one by
``train`` and at once by ``train_together``, in turn, so that other load on the machine meets both; each counts by
its fastest repeat. The rows "all stay" let all twelve members take as many steps: what a full ensemble gains.
"""

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from itertools import islice

import torch
from rich.console import Console
from rich.table import Table

from taumem.data import RandomHierarchyModel
from taumem.diffusion import MaskedDiffusion, UniformDiffusion
from taumem.models import BeliefDenoiser, Categorical, TreeUNet
from taumem.randomness import generator_for
from taumem.training import Learner, Member, train, train_together

SIZES, SEEDS, BATCH_SIZE = (32, 64, 128, 256, 512, 1024), (0, 1), 32
WIDTHS: tuple[int | list[int], ...] = ([48, 128, 384], 64, [32, 64, 128])
STRINGS = 8192
GRAMMAR = RandomHierarchyModel(v=8, m=3, s=2, L=3)
DIFFUSION = MaskedDiffusion(GRAMMAR.v, weighting="x0")
SPLIT = GRAMMAR.split(max(SIZES), 16)


def sweep(widths: int | list[int]) -> list[Member]:
    """The members, at step 0."""
    members = []
    for size in SIZES:
        for seed in SEEDS:
            network = TreeUNet(GRAMMAR.s, GRAMMAR.L, GRAMMAR.v, widths, generator=generator_for(seed, "weights"))
            learner = Learner.start(Categorical(network, DIFFUSION), learning_rate=2e-3)
            members.append(Member(learner, SPLIT.first(size).train, seed))
    return members


def one_by_one(members: list[Member], steps: Callable[[Member], int]) -> None:
    for member in members:
        run = train(member.learner, DIFFUSION, member.data, batch_size=BATCH_SIZE, seed=member.seed)
        for _ in islice(run, steps(member)):
            pass


def at_once(members: list[Member], steps: Callable[[Member], int]) -> None:
    for _ in train_together(members, DIFFUSION, batch_size=BATCH_SIZE):
        for member in tuple(members):
            if member.learner.step >= steps(member):
                members.remove(member)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(widths: int | list[int], steps: Callable[[Member], int], repeats: int) -> tuple[float, float]:
    """Milliseconds a member's step takes, one by one and at once."""
    total = sum(steps(member) for member in sweep(widths))
    times = [[seconds(partial(way, sweep(widths), steps)) for way in (one_by_one, at_once)] for _ in range(repeats)]
    one, other = (1000 * min(column) / total for column in zip(*times, strict=True))
    return one, other


def exact_speed(diffusion: MaskedDiffusion | UniformDiffusion, repeats: int) -> float:
    """Strings that the exact denoiser predicts in a second."""
    generator = generator_for(0, "exact")
    x0, t = GRAMMAR.split(STRINGS, 16).train, torch.rand(STRINGS, generator=generator)
    xt = diffusion.corrupt(x0, t, diffusion.noise(x0, generator))
    exact = BeliefDenoiser(GRAMMAR, diffusion)
    return STRINGS / min(seconds(partial(exact, xt, t)) for _ in range(1 + repeats))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps-per-example", type=float, default=0.25)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    rules: dict[str, Callable[[Member], int]] = {
        "leave at P": lambda member: max(1, round(arguments.steps_per_example * len(member.data))),
        "all stay": lambda member: 60,
    }
    table = Table("widths", "members", "threads", "one by one, ms", "at once, ms", "ratio", box=None)
    for widths in WIDTHS:
        for rule, steps in rules.items():
            for threads in arguments.threads:
                torch.set_num_threads(threads)
                one, other = compare(widths, steps, arguments.repeats)
                table.add_row(str(widths), rule, str(threads), f"{one:.2f}", f"{other:.2f}", f"{one / other:.2f}")
    console = Console(width=100)
    console.print(f"{len(SIZES)} x {len(SEEDS)} members, batch size {BATCH_SIZE}; milliseconds of one member's step")
    console.print(table)
    torch.set_num_threads(1)
    for diffusion in (DIFFUSION, UniformDiffusion(GRAMMAR.v)):
        speed = exact_speed(diffusion, arguments.repeats)
        console.print(f"exact denoiser, {type(diffusion).__name__}, d = {GRAMMAR.d}, 1 thread: {speed:,.0f} strings/s")
    console.print(f"load average at the end (1 min): {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
