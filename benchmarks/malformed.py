"""Thousands of malformed inputs over all readers: read, or refused in words; no traceback, no hang, bounded memory.

::

    python benchmarks/malformed.py                                   # 2,000 inputs, some minutes on one core
    python benchmarks/malformed.py --inputs 300 --seed 7 --kinds npz sealed

Small valid files of every kind that taumem reads are cut, spliced, given other bits, lengths and numbers, nested
deeply, or put under another's name; where a format has check sums or compression, damage is also done inside, and
closed up again. They are read in another process, which may take 1 GB beside what importing takes. Exits with 1 if any
reading ended in a traceback, did not end, or ended the process.
"""

import argparse
import gzip
import hashlib
import io
import json
import multiprocessing
import os
import random
import re
import resource
import struct
import sys
import tempfile
import traceback
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from taumem.audit import audit
from taumem.audit.features import Features
from taumem.audit.gates import judge, parse_gates
from taumem.data import gather, gather_all, load_folder, load_images, load_text, read_groups
from taumem.data.readers.picture import FORMATS, looks_like_a_picture
from taumem.diffusion import GaussianDiffusion
from taumem.errors import TaumemError
from taumem.lab import load_experiment
from taumem.models import MLP, Preconditioned
from taumem.record import DataFacts, Measurement, RunHeader, RunRecord, read_runs, seal
from taumem.record.audit import AuditRecord
from taumem.report.audit_page import write_audit_page
from taumem.report.junit import write_junit
from taumem.report.model_card import model_card
from taumem.training import Learner, load_checkpoint, save_checkpoint

SECONDS = 30.0
MEMORY = 2**30
LIMITS_ARE_KNOWN = sys.platform == "linux"
HUGE = ("9223372036854775808", "-1", "0", "1e999", "NaN", "-Infinity", "1" * 5000, "4294967295", "0.1e-400")
WRONG = (
    "null",
    "[]",
    "{}",
    '"x"',
    "true",
    "[[[]]]",
    '"\\ud800"',
    "[" * 3000 + "]" * 3000,
    '{"a":' * 2000 + "1" + "}" * 2000,
)

Damage = Callable[[random.Random, bytes], bytes]


# --- damage ---------------------------------------------------------------------------------------------------------


def cut(rng: random.Random, content: bytes) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def flip(rng: random.Random, content: bytes) -> bytes:
    spoiled = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8, 64)) if spoiled else 0):
        spoiled[rng.randrange(len(spoiled))] ^= 1 << rng.randrange(8)
    return bytes(spoiled)


def splice(rng: random.Random, content: bytes) -> bytes:
    """Repeat, remove or move a piece, or put in another one."""
    a, b = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    pieces = (b"", content[a:b] * 2, rng.randbytes(rng.randrange(64)), b"\0" * (b - a), b"\xff" * (b - a))
    return content[:a] + rng.choice(pieces) + content[b:]


def lie(rng: random.Random, content: bytes) -> bytes:
    """Put an extreme number where a length may stand: near the beginning, mostly."""
    if len(content) < 8:
        return content
    at = rng.randrange(min(len(content) - 4, rng.choice((32, 128, 4096))))
    number = rng.choice((0, 1, 0x7F, 0xFF, 0xFFFF, 12_000, 2**31 - 1, 2**31, 2**32 - 1))
    form = rng.choice((">I", "<I")) if number > 0xFFFF or rng.random() < 0.5 else rng.choice((">H", "<H"))
    written = struct.pack(form, number)
    return content[:at] + written + content[at + len(written) :]


def renumber(rng: random.Random, content: bytes) -> bytes:
    """Replace a number, or a value, of a text by a huge one or one of another kind."""
    places = list(re.finditer(rb'-?\d+(\.\d+)?(e-?\d+)?|"[^"]*"|true|false', content))
    if not places:
        return splice(rng, content)
    place = rng.choice(places)
    return content[: place.start()] + rng.choice(HUGE + WRONG).encode() + content[place.end() :]


BLUNT: tuple[Damage, ...] = (cut, flip, flip, splice, lie)
IN_WORDS: tuple[Damage, ...] = (cut, flip, splice, renumber, renumber, renumber)


def bluntly(rng: random.Random, content: bytes) -> bytes:
    return rng.choice(BLUNT)(rng, content)


def in_words(rng: random.Random, content: bytes) -> bytes:
    return rng.choice(IN_WORDS)(rng, content)


def in_png(rng: random.Random, content: bytes) -> bytes:
    """Damage a chunk, and give it the check sum that fits."""
    chunks, at = [], 8
    while at + 12 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    k = rng.randrange(len(chunks))
    name, inside = chunks[k]
    packed = name == b"IDAT" and rng.random() < 0.5
    inside = bluntly(rng, zlib.decompress(inside) if packed else inside)
    chunks[k] = name, zlib.compress(inside) if packed else inside
    parts = [struct.pack(">I", len(x)) + n + x + struct.pack(">I", zlib.crc32(n + x)) for n, x in chunks]
    return content[:8] + b"".join(parts)


def in_gzip(rng: random.Random, content: bytes) -> bytes:
    inside = gzip.decompress(content)
    return gzip.compress(rng.choice((bluntly(rng, inside), inside + bytes(rng.choice((1, 10**6, 10**8))))), 1)


def in_zip(rng: random.Random, content: bytes) -> bytes:
    """Damage one of the files of an archive, or of a sealed study, whose sum is then made to fit."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as damaged:
        victim = rng.choice(archive.namelist())
        for info in archive.infolist():
            inside = archive.read(info)
            if info.filename == victim:
                inside = (in_words if victim.endswith(".json") else in_npy)(rng, inside)
            damaged.writestr(info.filename, inside, info.compress_type)
    return file.getvalue()


def in_npy(rng: random.Random, content: bytes) -> bytes:
    """Damage the words of the header of an array, whose length is made to fit."""
    length = int.from_bytes(content[8:10], "little")
    words = content[10 : 10 + length].decode("latin-1")
    kind = rng.choice(
        ("|u1", "<f2", ">f8", "|O", "|b1", "<c16", "<U9", "<M8[s]", "|V0", "<f16", "junk", "[('a','<f4')]")
    )
    numbers = "(4, 4)", "(99999999, 999, 999)", "(0, 9223372036854775807)", "(-4, 4)", "(True,)", "(" * 3000, "4L", "()"
    words = rng.choice(
        (
            re.sub("'descr': '[^']*'", f"'descr': {kind!r}", words),
            re.sub(r"\([\d, ]*\)", lambda _: rng.choice(numbers), words),
            words.replace("False", rng.choice(("True", "None", "7"))),
            in_words(rng, words.encode()).decode("latin-1"),
        )
    )
    return content[:8] + struct.pack("<H", len(words) & 0xFFFF) + words.encode("latin-1") + content[10 + length :]


def numbers_in_npy(rng: random.Random, content: bytes) -> bytes:
    """Leave the header, and put other numbers into an array: repeated rows, and bits that stand for anything."""
    if content[:6] != b"\x93NUMPY":
        return splice(rng, content)
    start = 10 + int.from_bytes(content[8:10], "little")
    numbers = bytearray(content[start:])
    for _ in range(rng.choice((1, 3, 30))):
        a, b, n = rng.randrange(len(numbers)), rng.randrange(len(numbers)), rng.choice((1, 4, 8, 20, 40))
        extreme = rng.choice((b"\0\0\x80\x7f", b"\xff\xff\x7f\x7f", b"\1\0\0\0", b"\0\0\xc0\xff"))
        piece = bytes(numbers[b : b + n]) if rng.random() < 0.6 else extreme
        numbers[a : a + len(piece)] = piece[: len(numbers) - a]
    return content[:start] + bytes(numbers)


def in_sealed(rng: random.Random, content: bytes) -> bytes:
    inside = rng.choice((in_zip, bluntly))(rng, content[:-64])
    return inside + hashlib.sha256(inside).hexdigest().encode()


def in_safetensors(rng: random.Random, content: bytes) -> bytes:
    length = int.from_bytes(content[:8], "little")
    words = in_words(rng, content[8 : 8 + length])
    return struct.pack("<Q", len(words)) + words + content[8 + length :]


def in_lines(rng: random.Random, content: bytes) -> bytes:
    """Damage one line of several."""
    lines = content.split(b"\n")
    k = rng.randrange(len(lines))
    return b"\n".join((*lines[:k], in_words(rng, lines[k]), *lines[k + 1 :]))


# --- what is read ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """A kind of input: valid files by their names, how to damage them, and how a path is read."""

    files: dict[str, bytes]
    damages: tuple[Damage, ...]
    read: Callable[[Path], Any]
    alone: bool = True
    """Whether each file is an input; else the first of them is damaged, and the others stand beside it."""


@cache
def kinds() -> dict[str, Kind]:
    """All kinds, by their names."""
    rng = np.random.default_rng(0)
    gray, color = rng.integers(0, 256, (6, 8, 9), np.uint8), rng.integers(0, 256, (6, 8, 9, 3), np.uint8)
    idx = struct.pack(">BBBB3I", 0, 0, 8, 3, *gray.shape) + gray.tobytes()
    cifar = b"".join(bytes([k]) + rng.bytes(3072) for k in range(3))
    words = "In the beginning was the word. Naïve, größer, слово.\r\n" * 40
    pictures = _pictures(color[0])
    pngs = {name: content for name, content in pictures.items() if name.endswith("png")}
    arrays = {f"{k}.npy": _saved(np.save, a) for k, a in enumerate((gray, color, gray / 255, np.asfortranarray(gray)))}
    archives = {"1.npz": _saved(np.savez_compressed, gray), "2.npz": _saved(np.savez, gray)}
    texts = {f"{code}.txt": words.encode(code, "replace") for code in ("utf-8", "utf-16", "utf-32-le", "cp1251")}
    with tempfile.TemporaryDirectory() as folder:
        study = _study(Path(folder) / "study")
        run = next(study.glob("*/run.json")).parent
        record = {file.relative_to(run).as_posix(): file.read_bytes() for file in run.rglob("*.*") if file.is_file()}
        sealed = seal(study).read_bytes()
        save_checkpoint(_learner(), Path(folder) / "a.safetensors")
        checkpoint = (Path(folder) / "a.safetensors").read_bytes()
    toml = (files("taumem.lab") / "presets" / "own-images.toml").read_bytes()
    experiment = json.dumps(load_experiment("demo").model_dump(mode="json")).encode()
    found = {
        "picture": Kind(pictures, BLUNT, _read_folder),
        "png": Kind(pngs, (in_png,), _read_folder),
        "npy": Kind(arrays, (bluntly, in_npy), _read_array),
        "npz": Kind(archives, (bluntly, in_zip), _read_array),
        "idx": Kind({"a.idx": idx}, BLUNT, load_images),
        "gzip": Kind({"a-idx3.gz": gzip.compress(idx)}, (bluntly, in_gzip), load_images),
        "cifar": Kind({"a.bin": cifar}, BLUNT, load_images),
        "text": Kind(texts, BLUNT, _read_text),
        "toml": Kind({"a.toml": toml}, IN_WORDS, load_experiment),
        "json": Kind({"a.json": experiment}, IN_WORDS, load_experiment),
        "sealed": Kind({"a.sealed": sealed}, (bluntly, in_sealed, in_sealed), _read_study),
        "checkpoint": Kind({"a.safetensors": checkpoint}, (bluntly, in_safetensors), _read_checkpoint),
    }
    of_an_audit, vectors = _audited(color), rng.normal(size=(12, 5)).astype(np.float32)
    tokens = {"t.npy": _saved(np.save, rng.integers(0, 9, (12, 6))), "v.npy": _saved(np.save, vectors)}
    lines = {"l.txt": words.encode(), "b.txt": rng.bytes(400), "w.csv": b"a,b\n" * 40}
    groups = {
        "g.csv": b"name,group\n" + b"".join(b"a/%d.png,p%d\n" % (k, k % 3) for k in range(9)),
        "g.tsv": b"".join(b'"%d.png"\tp%d\n' % (k, k % 3) for k in range(9)),
        "g.json": json.dumps({f"{k}.png": k % 3 for k in range(9)}).encode(),
    }
    found |= {
        "gathered": Kind(pictures | arrays | archives | tokens | lines, BLUNT, _gather),
        "gathered arrays": Kind(arrays | archives | tokens, (in_npy,), _gather_arrays),
        "groups": Kind(groups, IN_WORDS, _read_groups),
        "audited": Kind({"s.npy": _saved(np.save, vectors)} | tokens | lines, (*BLUNT, numbers_in_npy), _audit),
        "audit record": Kind({"audit.json": of_an_audit}, (in_lines,), _read_audit),
        "torchscript": Kind({"m.pt": _traced()}, (bluntly, in_zip), _read_features),
    }
    for kind, ending, damages in (
        ("header", ".json", IN_WORDS),
        ("measurements", ".jsonl", (in_lines,)),
        ("samples", ".npz", (bluntly, in_zip)),
    ):
        victim = next(name for name in record if name.endswith(ending))
        found[kind] = Kind({victim: record[victim]} | record, damages, _read_run, alone=False)
    return found


def _pictures(pixels: Any) -> dict[str, bytes]:
    pictures, exif = {}, Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(pixels)
    for family in FORMATS:
        ending = next((e for e, name in Image.registered_extensions().items() if name == family), None)
        if ending and family in Image.SAVE:
            pictures[f"a{ending}"] = _saved(image.save, format=family, exif=exif)
    for mode in ("L", "LA", "P", "RGBA", "1"):
        pictures[f"{mode}.png"] = _saved(image.convert(mode).save, format="PNG")
    pictures["b.tif"] = _saved(image.convert("CMYK").save, format="TIFF", compression="tiff_lzw")
    pictures["b.gif"] = _saved(image.save, format="GIF", save_all=True, append_images=[image.rotate(90)])
    return pictures


def _saved(save: Callable[..., Any], *arguments: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    save(file, *arguments, **options)
    return file.getvalue()


def _study(folder: Path) -> Path:
    data = DataFacts(name="a", fingerprint="ab" * 32, n_train=8, n_heldout=4, item_shape=(1, 4, 4), kind="images")
    for seed in range(2):
        header = RunHeader(name="study", data=data, seed=seed, batch_size=4, steps=32)
        with RunRecord.open(folder / f"P000008-seed{seed}", header) as record:
            for step in (8, 16, 32):
                when = {"step": step, "examples": 4 * step, "seconds": step / 8}
                losses = [0.5, 1 / step, 0.25]
                record.append(
                    [
                        Measurement(quantity="heldout_loss", t=0.35, value=0.5, se=0.1, count=3, items=losses, **when),
                        Measurement(quantity="copy_fraction", value=0.2, low=0.1, high=0.4, confidence=0.9, **when),
                    ]
                )
            record.keep_arrays(8, {"samples": np.zeros((3, 1, 4, 4), np.float16), "gap_ratio": np.ones(3)})
    return folder


def _audited(pixels: Any) -> bytes:
    """The record of an audit."""
    rng = np.random.default_rng(0)
    others = [rng.integers(0, 256, (n, *pixels.shape[1:]), np.uint8) for n in (12, 8)]
    return audit(pixels, *others, orbit="none").to_json().encode()


def _traced() -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
        torch.jit.save(torch.jit.trace(module.eval(), torch.zeros(2, 3, 8, 8)), file)
    return file.getvalue()


def _learner() -> Learner:
    network = MLP((1, 4, 4), width=8, depth=1, generator=torch.Generator().manual_seed(0))
    learner = Learner.start(Preconditioned(network, GaussianDiffusion()), ema_window=0.1)
    sum(p.sum() for p in learner.denoiser.parameters()).backward()
    learner.optimizer.step()
    return learner


def _read_folder(path: Path) -> None:
    load_folder(path.parent, size=(4, 4), skip_unreadable=len(path.name) % 2 == 0)


def _read_array(path: Path) -> None:
    load_images(path, value_range=None if path.stat().st_size % 2 else (0, 255))


def _read_text(path: Path) -> None:
    load_text(path, alphabet=("text8", "characters", "bytes")[path.stat().st_size % 3])


def _gather(path: Path) -> None:
    """As a file alone, or as the folder that it is in, at random."""
    size = path.stat().st_size
    gather(path if size % 3 and not looks_like_a_picture(path.name) else path.parent, limit=size % 5 + 1)


def _gather_arrays(path: Path) -> None:
    whole = np.zeros((3, 8, 9), np.uint8)
    gather_all(path, whole)


def _read_groups(path: Path) -> None:
    read_groups(path, [f"a/{k}.png" for k in range(9)])


def _audit(path: Path) -> None:
    rng = np.random.default_rng(0)
    if path.suffix == ".npy":
        others = [rng.normal(size=(n, 5)).astype(np.float32) for n in (12, 8)]
        others = [rng.integers(0, 9, (n, 6)) for n in (12, 8)] if path.name == "t.npy" else others
    else:
        others = [[f"{k} {rng.integers(9**k)} and so on" for k in range(n)] for n in (12, 8)]
    audit(path, *others, orbit="none", as_bytes=path.suffix != ".npy" or None)


def _read_audit(path: Path) -> None:
    record = AuditRecord.read(path.parent)
    judge(record, parse_gates("copies>0.1, flagged>0"))
    write_audit_page(path.with_name("report.html"), record)
    model_card(record)
    write_junit(path.with_name("junit.xml"), record)


def _read_features(path: Path) -> None:
    Features.of(str(path))(torch.zeros(3, 3, 8, 8))


def _read_run(path: Path) -> None:
    folder = path.parent.parent if path.suffix == ".npz" else path.parent
    _look_at(RunRecord.read(folder))
    with RunRecord.open(folder, RunRecord.read(folder).header) as record:
        _look_at(record)


def _read_study(path: Path) -> None:
    for record in read_runs(path):
        _look_at(record)


def _look_at(record: RunRecord) -> None:
    for key in {(m.quantity, m.t) for m in record.measurements}:
        record.curve(*key)
    for step in record.array_steps():
        record.arrays(step)


def _read_checkpoint(path: Path) -> None:
    load_checkpoint(_learner(), path)


# --- reading --------------------------------------------------------------------------------------------------------


def make(kind: Kind, rng: random.Random | None, folder: Path) -> Path:
    """Write a damaged input (without a generator, a whole one) into a folder, and say which file it is."""
    others = {} if kind.alone else kind.files  # of a run's folder, one file is damaged and the others are whole
    names = list(kind.files) if kind.alone else list(kind.files)[:1]
    name = rng.choice(names) if rng else names[0]
    content = kind.files[name]
    for other, whole in others.items():
        (folder / other).parent.mkdir(parents=True, exist_ok=True)
        (folder / other).write_bytes(whole)
    if rng and kind.alone and rng.random() < 0.05:  # what it is not
        content = rng.choice([file for other in kinds().values() for file in other.files.values()])
    elif rng:
        content = rng.choice(kind.damages)(rng, content)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


def outcome(kind: Kind, path: Path) -> str:
    """Read an input: ``read``, ``refused``, or a traceback."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind.read(path)
    except TaumemError as error:
        str(error).encode("utf-8")
        return "refused for memory" if "more memory than there is" in str(error) else "refused"
    except BaseException:
        return traceback.format_exc()
    return "read"


def _work(pipe: Any) -> None:
    """Read what is asked for, in bounded memory, and say how it ended and how much memory was taken at most."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the decoders' own libraries complain there
    torch.set_num_threads(1)
    for kind in kinds().values():  # what comes with the first use of anything
        with tempfile.TemporaryDirectory() as folder:
            outcome(kind, make(kind, None, Path(folder)))
    if LIMITS_ARE_KNOWN:
        most = memory("VmSize") + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    while True:
        try:
            name, path = pipe.recv()
        except EOFError:
            return
        before = memory("VmRSS")
        if LIMITS_ARE_KNOWN:
            Path("/proc/self/clear_refs").write_text("5")  # begin anew with the largest memory
        ended = outcome(kinds()[name], path)
        pipe.send((ended, memory("VmHWM") - before))


def memory(name: str) -> int:
    """How much memory this process has, in bytes; where Linux does not say it, 0."""
    status = Path("/proc/self/status").read_text() if LIMITS_ARE_KNOWN else ""
    return 1024 * int(found[1]) if (found := re.search(rf"{name}:\s*(\d+) kB", status)) else 0


class Worker:
    """A process that reads; another one, once it hangs or dies."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()

    def read(self, name: str, path: Path) -> tuple[str, int]:
        self.pipe.send((name, path))
        try:
            return self.pipe.recv() if self.pipe.poll(SECONDS) else ("hang", 0)
        except EOFError:
            return "the process died", 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--inputs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=kinds(), default=list(kinds()))
    parser.add_argument("--keep", type=Path, help="a folder for the inputs that went wrong")
    options = parser.parse_args()
    table, peaks, wrong = {name: Counter[str]() for name in options.kinds}, Counter[str](), list[str]()
    worker = Worker()
    for k in range(options.inputs):
        name = options.kinds[k % len(options.kinds)]
        with tempfile.TemporaryDirectory() as folder:
            path = make(kinds()[name], random.Random(f"{options.seed} {k}"), Path(folder))
            ended, peak = worker.read(name, path)
            peaks[name] = max(peaks[name], peak)
            if ended not in ("read", "refused", "refused for memory"):
                wrong.append(f"--- {name}, input {k} of seed {options.seed}\n{ended}")
                if options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    (options.keep / f"{options.seed}-{k}-{path.name}").write_bytes(path.read_bytes())
                if ended in ("hang", "the process died"):
                    worker.process.kill()
                    worker = Worker()
                ended = ended if ended in ("hang", "the process died") else "traceback"
            table[name][ended] += 1
    ends = ("read", "refused", "refused for memory", "traceback", "hang", "the process died")
    print("| kind | " + " | ".join(ends) + " | peak memory |\n|" + "---|" * (len(ends) + 2))
    for name, counts in (*table.items(), ("all", sum(table.values(), Counter()))):
        peak = peaks[name] if name != "all" else max(peaks.values())
        print(f"| {name} | " + " | ".join(str(counts[end]) for end in ends) + f" | {peak / 2**20:.0f} MB |")
    print("\n".join(wrong))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
