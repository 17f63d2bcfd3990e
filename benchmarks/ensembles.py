"""How much faster do models train together than one by one?

    python benchmarks/ensembles.py [--threads 1 2] [--rounds 15]
    python benchmarks/ensembles.py --device cuda --output FOLDER

The small U-Net of the image study (0.33 million parameters, 16 x 16, batches of 16) in groups of 1 to 8, or of 4 and 16
on a GPU, and the grammar's U-Net in groups of 12, or of 16 and 64. Clip, averages and effective time are on, as in a
study. Every way makes one step of every model, in turn with the others; "vmap" is what other networks than ours get.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from unittest.mock import patch

import torch
from in_turn import Way, in_turn, milliseconds, options, ratio, where, write

from taumem.data import RandomHierarchyModel
from taumem.diffusion import Diffusion, GaussianDiffusion, MaskedDiffusion
from taumem.models import Categorical, Preconditioned, TreeUNet, UNet
from taumem.randomness import generator_for
from taumem.training import Learner, Member, train, train_together

GRAMMAR = RandomHierarchyModel(v=8, m=3, s=2, L=3)
IMAGES, STRINGS = GaussianDiffusion(), MaskedDiffusion(8, weighting="x0")
KNOWN = "taumem.training.ensemble.can_stand_side_by_side"


def images(k: int, device: str) -> Member:
    network = UNet((1, 16, 16), multipliers=(1, 4), blocks=(1, 0), patch=2, generator=generator_for(k, "weights"))
    data = torch.rand((64, 1, 16, 16), generator=generator_for(k, "data")) * 2 - 1
    learner = Learner.start(Preconditioned(network, IMAGES).to(device), ema_window=0.1, effective_time=True)
    return Member(learner, data.to(device), k)


def strings(k: int, device: str) -> Member:
    network = TreeUNet(2, 3, 8, [48, 128, 384], generator=generator_for(k, "weights"))
    learner = Learner.start(Categorical(network, STRINGS).to(device), effective_time=True)
    return Member(learner, GRAMMAR.split(256, 16, seed=k).train.to(device), k)


Make = Callable[[int, str], Member]
DOMAINS: dict[str, tuple[Make, Diffusion, int]] = {"U-Net": (images, IMAGES, 16), "grammar": (strings, STRINGS, 32)}


def one_by_one(members: list[Member], diffusion: Diffusion, batch_size: int) -> Way:
    loops = [train(m.learner, diffusion, m.data, batch_size=batch_size, seed=m.seed, clip=1.0) for m in members]
    return lambda: [next(loop) for loop in loops]


def together(members: list[Member], diffusion: Diffusion, batch_size: int, *, by_vmap: bool = False) -> Way:
    loop: Iterator[object] = train_together(members, diffusion, batch_size=batch_size, clip=1.0)
    with patch(KNOWN, lambda network: False) if by_vmap else nullcontext():
        next(loop)
    return partial(next, loop)


def compare(domain: str, n: int, device: str, rounds: int) -> dict[str, float | int | str]:
    """Times and ratios of a group of n."""
    make, diffusion, batch_size = DOMAINS[domain]

    def members() -> list[Member]:
        return [make(k, device) for k in range(n)]

    ways = {
        "one by one": one_by_one(members(), diffusion, batch_size),
        "together": together(members(), diffusion, batch_size),
    }
    if domain == "U-Net" and n > 1:
        ways["vmap"] = together(members(), diffusion, batch_size, by_vmap=True)
    took = in_turn(ways, rounds=rounds, device=device)
    found: dict[str, float | int | str] = {"network": domain, "models": n, "threads": torch.get_num_threads()}
    found |= {f"{name}, ms": milliseconds(times) / n for name, times in took.items()}
    return found | {f"{name} x": ratio(took, name, "one by one") for name in ways if name != "one by one"}


def main() -> None:
    """Print a row for each group."""
    parser = options(__doc__, rounds=15)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--unets", type=int, nargs="*", help="sizes of groups; 1 2 4 8, on a GPU 4 16")
    parser.add_argument("--grammars", type=int, nargs="*", help="sizes of groups; 12, on a GPU 16 64")
    asked = parser.parse_args()
    on_cuda = torch.device(asked.device).type == "cuda"
    sizes = {
        "U-Net": asked.unets if asked.unets is not None else [4, 16] if on_cuda else [1, 2, 4, 8],
        "grammar": asked.grammars if asked.grammars is not None else [16, 64] if on_cuda else [12],
    }
    rows = []
    print("| network | models | threads | one by one, ms per model | together, ms | ratio | by vmap |")
    print("|---|---|---|---|---|---|---|")
    for threads in asked.threads:
        torch.set_num_threads(threads)
        for domain, groups in sizes.items():
            for n in groups:
                row = compare(domain, n, asked.device, asked.rounds)
                rows.append(row)
                by_vmap = f"{row['vmap x']:.2f}" if "vmap x" in row else ""
                print(
                    f"| {domain} | {n} | {threads} | {row['one by one, ms']:.2f} | {row['together, ms']:.2f} | "
                    f"{row['together x']:.2f} | {by_vmap} |",
                    flush=True,
                )
                write(asked.output, "ensembles", {"where": where(asked.device), "rows": rows})


if __name__ == "__main__":
    main()
