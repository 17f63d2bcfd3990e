"""The exact search for neighbors, beside others in the same run: time, memory, how it grows.

    python benchmarks/nearest.py            # two sizes, and data that are hard on rounding
    python benchmarks/nearest.py --small    # the same in some seconds
    python benchmarks/nearest.py --growth growth.html   # time over samples x items, as a picture
    python benchmarks/nearest.py --large refs.npy       # 10,000 x 1,000,000 x 784 from a file, with a prediction first

Others are faiss.IndexFlatL2 and scikit-learn (left out with a word where they are not installed), torch.cdist with
topk, and the bare product in single precision, which finds nothing. All take turns, as many as --turns says; a ratio is
the median over the turns of taumem's time over the other's in the same turn, with the least and the largest.
Peak memory is that of a process of its own, less that of one that only holds the data.
"""

import argparse
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from taumem.neighbors import nearest
from taumem.neighbors.products import precisions
from taumem.randomness import generator_for

K = 2
TURNS = 5
AT_ONCE = 2048
SIZES = {"long": (2_000, 10_000, 3072), "many": (10_000, 50_000, 784)}
SMALL = {"long": (200, 1_000, 3072), "many": (1_000, 5_000, 784)}
LARGE = (10_000, 1_000_000, 784)


def normal(n: int, width: int, *purpose: str | int) -> Tensor:
    return torch.randn(n, width, generator=generator_for(0, "benchmark of neighbors", *purpose))


def noise(n: int, m: int, width: int) -> tuple[Tensor, Tensor]:
    return normal(n, width, "queries"), normal(m, width, "references")


def near_duplicates(n: int, m: int, width: int, by: float) -> tuple[Tensor, Tensor]:
    """Ten of each reference, and one more of some as a query, all that far apart."""
    items = normal(m // 10, width, "items")
    queries = items[torch.arange(n) % len(items)] + by * normal(n, width, "queries")
    return queries, items.repeat_interleave(10, dim=0) + by * normal(len(items) * 10, width, "references")


def with_constant(n: int, m: int, width: int) -> tuple[Tensor, Tensor]:
    """A third of both are one image of one color."""
    queries, references = noise(n, m, width)
    queries[: n // 3], references[: m // 3] = 0.3, 0.3
    return queries, references


def one_cluster(n: int, m: int, width: int) -> tuple[Tensor, Tensor]:
    """A fifth of the references are all but equal: to all other queries they are equally far."""
    queries, references = noise(n, m, width)
    references[: m // 5] = references[:1] + 1e-6 * references[: m // 5]
    return queries, references


def badly_scaled(n: int, m: int, width: int) -> tuple[Tensor, Tensor]:
    """Half of the references, and a third of the queries, are a million times smaller; one reference is larger."""
    queries, references = noise(n, m, width)
    queries[::3] *= 1e-6
    references[::2] *= 1e-6
    references[1] *= 1e6
    return queries, references


HARD: dict[str, Callable[[int, int, int], tuple[Tensor, Tensor]]] = {
    "near-duplicates, 1e-3 apart": lambda n, m, width: near_duplicates(n, m, width, 1e-3),
    "near-duplicates, 1e-6 apart": lambda n, m, width: near_duplicates(n, m, width, 1e-6),
    "a third is one constant image": with_constant,
    "a fifth is one tight cluster": one_cluster,
    "all references are equal": lambda n, m, width: (normal(n, width, "queries"), normal(1, width).repeat(m, 1)),
    "badly scaled": badly_scaled,
    "times 1e22": lambda n, m, width: tuple(1e22 * rows for rows in noise(n, m, width)),  # type: ignore[return-value]
    "far from 0": lambda n, m, width: tuple(1e4 + rows for rows in noise(n, m, width)),  # type: ignore[return-value]
    "bytes": lambda n, m, width: tuple((40 * r + 128).clamp(0, 255).byte() for r in noise(n, m, width)),  # type: ignore[return-value]
}


def by_taumem(queries: Tensor, references: Tensor) -> None:
    nearest(queries, references, K)


def by_faiss(queries: Tensor, references: Tensor) -> None:
    import faiss

    index = faiss.IndexFlatL2(queries.shape[1])
    index.add(references.float().numpy())
    index.search(queries.float().numpy(), K)


def by_cdist(queries: Tensor, references: Tensor) -> None:
    known = references.float()
    for part in queries.float().split(AT_ONCE):
        torch.cdist(part, known).topk(K, dim=1, largest=False)


def by_sklearn(queries: Tensor, references: Tensor) -> None:
    from sklearn.neighbors import NearestNeighbors

    NearestNeighbors(n_neighbors=K, algorithm="brute").fit(references.float().numpy()).kneighbors(
        queries.float().numpy()
    )


def product_of_torch(queries: Tensor, references: Tensor) -> None:
    asked = queries.float()
    for part in references.float().split(AT_ONCE):
        asked @ part.T


def product_of_numpy(queries: Tensor, references: Tensor) -> None:
    asked = queries.float().numpy()
    for part in references.float().split(AT_ONCE):
        asked @ part.numpy().T


WAYS: dict[str, Callable[[Tensor, Tensor], None]] = {
    "taumem": by_taumem,
    "faiss": by_faiss,
    "scikit-learn": by_sklearn,
    "cdist + topk": by_cdist,
    "product (torch)": product_of_torch,
    "product (numpy)": product_of_numpy,
}


def available(ways: list[str]) -> list[str]:
    found = []
    for name in ways:
        try:
            WAYS[name](torch.ones(3, 2), torch.ones(3, 2))
        except ImportError as error:
            print(f"{name} is left out: {error}")
        else:
            found.append(name)
    return found


def in_turns(
    ways: list[str], queries: Tensor, references: Tensor, turns: int = TURNS
) -> dict[str, list[tuple[float, float]]]:
    """The seconds of each in each turn, on the clock and of all cores together."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(turns):
        for name in ways:
            began, cpu = time.perf_counter(), time.process_time()
            WAYS[name](queries, references)
            seconds[name].append((time.perf_counter() - began, time.process_time() - cpu))
    return seconds


def told(title: str, seconds: dict[str, list[tuple[float, float]]]) -> None:
    print(f"\n{title}")
    own = np.array(seconds["taumem"])
    for name, theirs in seconds.items():
        clock, cpu = np.median(theirs, axis=0)
        line = f"  {name:16} {clock:8.3f} s   {cpu:8.3f} s of CPU"
        if name != "taumem":
            ratios = own / theirs
            (middle, of_cpu), (least, _), (most, _) = np.median(ratios, axis=0), ratios.min(axis=0), ratios.max(axis=0)
            line += f"   taumem takes {middle:.2f} ({least:.2f} to {most:.2f}) of it, {of_cpu:.2f} of its CPU time"
        print(line, flush=True)


def peak(way: str, size: tuple[int, int, int]) -> float:
    """The MB that a process of its own needed at most; of the way "nothing", to hold the data alone."""
    command = [sys.executable, __file__, "--peak", way, *map(str, size)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_peak(way: str, size: list[str]) -> None:
    n, m, width = map(int, size)
    queries, references = noise(n, m, width)
    warm_up = WAYS.get(way, lambda *_: None)
    warm_up(queries[:3], references[:3])
    if way in WAYS:
        WAYS[way](queries, references)
    print(peak_of_this_process())


def peak_of_this_process() -> float:
    """In MB. On Linux, what the system counts for a child begins with what its parent held when it was made."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def growth(path: Path, small: bool) -> None:
    import plotly.graph_objects as go

    least = 1 if small else 2
    sizes = [(1000 * n * least, 5000 * m * least) for n in (1, 2, 4, 8) for m in (1, 2, 4, 8)]
    pairs, seconds = [], []
    for n, m in sizes:
        queries, references = noise(n, m, 784)
        by_taumem(queries, references)
        pairs.append(n * m)
        seconds.append(min(clock for clock, _ in in_turns(["taumem"], queries, references, turns=3)["taumem"]))
    slope, at = np.polyfit(np.log(pairs), np.log(seconds), 1)
    print(f"\ntime grows as (samples x items)^{slope:.3f}")
    figure = go.Figure(go.Scatter(x=pairs, y=seconds, mode="markers", name="measured"))
    line = np.geomspace(min(pairs), max(pairs), 20)
    figure.add_scatter(x=line, y=np.exp(at) * line**slope, mode="lines", name=f"exponent {slope:.2f}")
    figure.update_xaxes(type="log", title="samples x items")
    figure.update_yaxes(type="log", title="seconds")
    figure.write_html(path)


def large(path: Path, size: tuple[int, int, int]) -> None:
    n, m, width = size
    if not path.exists():
        whole = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(m, width))
        for start in range(0, m, 10_000):
            whole[start : start + 10_000] = normal(min(10_000, m - start), width, "large", start).numpy()
        whole.flush()
    references = np.load(path, mmap_mode="r")
    queries = normal(n, width, "queries")
    some = m // 20
    by_taumem(queries[:10], references[:some])
    began = time.perf_counter()
    nearest(queries, references[:some], K)
    predicted = (time.perf_counter() - began) * 20
    print(f"{n:,} x {m:,} x {width}: predicted from a twentieth of the references: {predicted:.0f} s", flush=True)
    own: list[float] = []
    done = threading.Event()
    watch = threading.Thread(target=watch_memory, args=(own, done))
    watch.start()
    began = time.perf_counter()
    nearest(queries, references, K)
    took = time.perf_counter() - began
    done.set()
    watch.join()
    print(f"took {took:.0f} s, {took / predicted:.2f} of the prediction")
    if own:
        print(
            f"memory beside the file's pages, which the system lends: {own[0]:.0f} MB before, at most {max(own):.0f} MB"
        )


def watch_memory(own: list[float], done: threading.Event) -> None:
    """Note the MB of this process that are no file's, as often as 20 times a second, where the system tells (Linux)."""
    status = Path("/proc/self/status")
    while status.exists():
        own.append(int(status.read_text().split("RssAnon:")[1].split()[0]) / 1024)
        if done.wait(0.05):
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="in some seconds")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--turns", type=int, default=TURNS, help="of each comparison")
    parser.add_argument("--growth", type=Path, metavar="HTML", help="only how time grows, as a picture")
    parser.add_argument("--large", type=Path, metavar="NPY", help="only the search in a file, which is made if missing")
    parser.add_argument("--peak", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peak:
        print_peak(given.peak[0], given.peak[1:])
        return
    torch.set_num_threads(given.threads)
    limit_threads(given.threads)
    ways = [f"{p.dtype} by {p.multiply.__name__}" for p in precisions(torch.device("cpu"))]
    print(f"{given.threads} threads; products: {', then '.join(ways)}")
    if given.growth:
        growth(given.growth, given.small)
    elif given.large:
        large(given.large, (1_000, 50_000, 784) if given.small else LARGE)
    else:
        compare(SMALL if given.small else SIZES, given.turns)


def compare(sizes: dict[str, tuple[int, int, int]], turns: int) -> None:
    ways = available(list(WAYS))
    for size in sizes.values():
        told(" x ".join(f"{length:,}" for length in size), in_turns(ways, *noise(*size), turns))
        alone = peak("nothing", size)
        print("  MB beside the data: " + ", ".join(f"{name} {peak(name, size) - alone:.0f}" for name in ways))
    n, m, width = sizes["long"][0], sizes["long"][1], 784
    known = [name for name in ways if name in ("taumem", "faiss", "product (torch)", "product (numpy)")]
    for title, make in HARD.items():
        told(f"{title}: {n:,} x {m:,} x {width}", in_turns(known, *make(n, m, width), turns))


def limit_threads(n: int) -> None:
    """Hold the others to so many threads, as far as they can be asked."""
    for module in ("threadpoolctl", "faiss"):
        try:
            found = __import__(module)
        except ImportError:
            continue
        if module == "faiss":
            found.omp_set_num_threads(n)
        else:
            found.threadpool_limits(n)


if __name__ == "__main__":
    main()
