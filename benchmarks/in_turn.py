"""Ways to do one thing, timed in turn, so that other load meets all of them; ratios are within rounds."""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch


def options(doc: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """What every script here takes: the device, a folder for its JSON file, and how often to time each way."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, help="a folder, for a JSON file of the script's name")
    parser.add_argument("--rounds", type=int, default=rounds)
    return parser


Way = Callable[[], object]
"""Does the thing once."""


def seconds(way: Way, device: str, *, on_the_clock: bool) -> float:
    """How long it takes: processor time of this process, or time on the clock with a device that has finished."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
    clock = time.perf_counter if on_the_clock else time.process_time
    began = clock()
    way()
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - began


def in_turn(ways: Mapping[str, Way], *, rounds: int, device: str, warm: int = 2) -> dict[str, list[float]]:
    """Time each way in each round, in an order that turns.

    On one thread of a processor the time is that of the processor, which others on the machine hardly change; with more
    threads, where waiting counts as work, and on another device it is that on the clock.
    """
    on_the_clock = torch.device(device).type != "cpu" or torch.get_num_threads() > 1
    names = list(ways)
    for name in names:
        for _ in range(warm):
            ways[name]()
    took: dict[str, list[float]] = {name: [] for name in names}
    for k in range(rounds):
        for name in names[k % len(names) :] + names[: k % len(names)]:
            took[name].append(seconds(ways[name], device, on_the_clock=on_the_clock))
    return took


def ratio(took: Mapping[str, list[float]], name: str, to: str) -> float:
    """How many times faster ``name`` is than ``to``: the median over rounds."""
    return statistics.median(b / a for a, b in zip(took[name], took[to], strict=True))


def milliseconds(took: list[float]) -> float:
    return 1e3 * statistics.median(took)


def product_rate(device: str, side: int = 512, rounds: int = 9) -> float:
    """Floating-point operations a second of a well-shaped product in single precision, at its best round."""
    if torch.device(device).type == "cuda":
        side = 4096
    a, b = (torch.randn(side, side, device=device) for _ in range(2))
    took = in_turn({"product": lambda: a @ b}, rounds=rounds, device=device)["product"]
    return 2 * side**3 / min(took)


def where(device: str) -> dict[str, Any]:
    """What the numbers belong to."""
    on_cuda = torch.device(device).type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device)
        if on_cuda
        else f"{platform.machine()} ({torch.get_num_threads()} threads)",
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
    }


def write(folder: Path | None, name: str, content: Mapping[str, Any]) -> None:
    """Write what was found as JSON into a folder, if there is one."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
