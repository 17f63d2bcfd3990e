"""Small runs on disk, with everything that a run may hold."""

import json
import re
from pathlib import Path

import numpy as np

from taumem.record import DataFacts, Measurement, RunHeader, RunRecord


def header(**changes) -> RunHeader:
    data = DataFacts(
        name="digits", fingerprint="ab" * 32, n_train=64, n_heldout=16, item_shape=(1, 8, 8), kind="images"
    )
    return RunHeader(**({"name": "study", "data": data, "seed": 3, "batch_size": 16, "steps": 32} | changes))


def look(step: int, seed: int = 0) -> list[Measurement]:
    """What one look measures: a mean with its items, one at a diffusion time, a share with its interval."""
    losses = [float(f"{v:.7g}") for v in np.exp(np.random.default_rng([seed, step]).standard_normal(6)).tolist()]
    when = {"step": step, "examples": 16 * step, "seconds": step / 8}
    return [
        Measurement(quantity="train_loss", t=0.35, value=1 / (3 + step), count=6, **when),
        Measurement(quantity="train_loss", value=float(np.mean(losses)), se=1 / 7, count=6, items=losses, **when),
        Measurement(quantity="copy_fraction", value=0.25, low=0.1, high=0.4, confidence=0.9, count=16, **when),
    ]


def samples(step: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng([seed, step])
    return {
        "samples": rng.uniform(-1.2, 1.2, (6, 1, 4, 4)).astype(np.float16),
        "gap_ratio": rng.random(6),
        "words": np.array(["of", "no", "length"]),
    }


def write_run(path: Path, *, seed: int = 0, looks=(8, 16, 32), sampled=(8, 32), **changes) -> Path:
    with RunRecord.open(path, header(**({"seed": seed} | changes))) as record:
        for step in looks:
            record.append(look(step, seed))
        for step in sampled:
            record.keep_arrays(step, samples(step, seed))
    return path


def write_study(folder: Path, n: int = 3) -> Path:
    for seed in range(n):
        write_run(folder / f"P000064-seed{seed}", seed=seed)
    (folder / "experiment.json").write_text(json.dumps({"name": "study"}))
    return folder


def as_schema_1(path: Path) -> None:
    """Rewrite a run as the first schema had it."""
    content = json.loads((path / "run.json").read_text())
    content["schema_version"] = 1
    for newer in ("copy_rule", "probes", "check"):
        content.pop(newer, None)
    content["data"].pop("kind")
    (path / "run.json").write_text(json.dumps(content))
    lines = [json.loads(line) for line in (path / "measurements.jsonl").read_text().splitlines()]
    newer = ("confidence", "check")
    text = "".join(json.dumps({k: v for k, v in line.items() if k not in newer}) + "\n" for line in lines)
    (path / "measurements.jsonl").write_text(text)


def assert_same(one: RunRecord, other: RunRecord) -> None:
    """Two records hold the same, to the bit."""
    assert one.header == other.header
    assert one.measurements == other.measurements
    assert (one.steps, one.last_step, one.quantities) == (other.steps, other.last_step, other.quantities)
    for quantity, t in {(m.quantity, m.t) for m in one.measurements}:
        mine, theirs = one.curve(quantity, t), other.curve(quantity, t)
        assert mine.quantity == theirs.quantity
        for name in ("steps", "examples", "values", "se", "low", "high", "counts", "confidence", "items"):
            a, b = getattr(mine, name), getattr(theirs, name)
            assert (a is None) == (b is None), name
            if a is not None:
                assert a.dtype == b.dtype
                np.testing.assert_array_equal(a, b)
    assert one.array_steps() == other.array_steps()
    for step in one.array_steps():
        kept, again = one.arrays(step), other.arrays(step)
        assert list(kept) == list(again)
        for name, array in kept.items():
            assert (array.dtype, array.shape) == (again[name].dtype, again[name].shape)
            assert array.tobytes() == again[name].tobytes()


def as_schema_2(path: Path) -> None:
    """Rewrite a run as the second schema had it: without checks."""
    content = json.loads((path / "run.json").read_text()) | {"schema_version": 2}
    content.pop("check")
    (path / "run.json").write_text(json.dumps(content))
    lines = (path / "measurements.jsonl").read_bytes()
    (path / "measurements.jsonl").write_bytes(re.sub(rb',"check":"[0-9a-f]{8}"', b"", lines))
