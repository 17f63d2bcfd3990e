"""Seal the studies of this folder, and write what is read off them as text: how the committed files were made.

    python experiments/seal.py               # all studies whose runs are here, as folders or sealed
    python experiments/seal.py text/english

A study's folder (unsealed, or made again with its sealed file moved away) becomes STUDY.sealed. Onsets
and laws, which anybody can read off it by `taumem fit`, go into STUDY.onsets.tsv and STUDY.laws.tsv, so that a change
of a rule shows in a diff. The sealed files are smaller than lossless ones: the values of items have 4 or 5 digits of
the mean of their look (which is exact), and of images 12 pictures are kept per look, in 256 shades. What docs/ print
is the same to the last digit.
"""

import argparse
from pathlib import Path
from typing import Any

from taumem import Study, read_runs
from taumem.analysis import agreement_of_twins
from taumem.errors import TaumemError, nearest_name
from taumem.record import seal, write_atomically

HERE = Path(__file__).parent
IMAGES: dict[str, Any] = {"digits": 4, "pictures": 12, "shades": 256}
OPTIONS: dict[str, dict[str, Any]] = {
    "images/fashion": IMAGES,
    "images/full-batch": IMAGES,
    "quality/fashion": IMAGES,
    "cifar10/tiny": {"digits": 4, "pictures": 6, "shades": 32},  # three colors, four times the pixels
    "partial/grammar": {"digits": 3},
    "partial/zipf": {"digits": 3},
    "partial/text": {"digits": 3},
    "partial/images": IMAGES | {"pictures": 4, "shades": 32},
    "text/english": {"digits": 4},
    "text/full-batch": {"digits": 4},
    "text/text8": {"digits": 4},
    "grammar/levels": {"digits": 5},
    "grammar/masked": {"digits": 5},
    "grammar/uniform": {"digits": 5},
    "grammar/m4-masked": {"digits": 5},
    "grammar/m4-uniform": {"digits": 5},
    "grammar/full-batch": {"digits": 4},
    "unseen/cifar10": {"digits": 4},
    "unseen/emoji": {"digits": 4},
    "unseen/molecules": {"digits": 4},
    "unseen/grammar": {"digits": 4},
    "items/zipf": {"digits": 5},
    "items/removal": {"digits": 3},
    **{
        f"finetuning/{name}": {"digits": 4} | ({} if name.startswith("text") else {"pictures": 8, "shades": 64})
        for name in (
            "pixels-full",
            "pixels-lora4",
            "latents-full",
            "latents-lora4",
            "latents-lora16",
            "latents-scratch",
            "text-full",
            "text-lora4",
        )
    },
    "noises/images": {"digits": 2, "pictures": 4, "shades": 32},
    "noises/text": {"digits": 3},
    "hidden/images": {"digits": 3, "pictures": 1, "shades": 16},
    "hidden/grammar": {"digits": 3},
    "hidden/text": {"digits": 3},
    "order/images": {"digits": 3, "pictures": 2, "shades": 16},
    "order/text": {"digits": 3},
    "order/grammar": {"digits": 3},
    "price/widths": {"digits": 4, "pictures": 1, "shades": 8},
    "privacy/images": {"digits": 3, "pictures": 1, "shades": 16},
    "privacy/mixture": {"digits": 3},
    "unit/grammar": {"digits": 2},
    "unit/images": {"digits": 3},
    "unit/text": {"digits": 3},
    "unit/mlp": {"digits": 3},
    "unit/across": {"digits": 3},
    **{f"theory/{name}": {"digits": 3} for name in ("measured", "solved")},
}
ARMS = ("unit/", "noises/", "price/")
"""Studies of several settings each, whose laws are another script's."""
ONSETS = ("clock", "n_train", "seed", "half", "censored", "step", "low", "high")
LAWS = ("clock", "exponent", "low", "high", "steps_per_example", "linearity", "n_onsets", "n_censored")


def main() -> None:
    """Seal what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", nargs="*", default=list(OPTIONS))
    names = parser.parse_args().studies
    if unknown := [name for name in names if name not in OPTIONS]:
        parser.error(f"no study '{unknown[0]}'; {nearest_name(unknown[0], OPTIONS)}")
    for name in names:
        folder, options = HERE / name, OPTIONS[name]
        if folder.is_dir():
            extra = agreement_of_twins(read_runs(folder)) if "pictures" in options else None
            file = seal(folder, **options, short_errors=True, extra=extra, replace=True)
            print(f"{file.relative_to(HERE)}: {file.stat().st_size / 1e6:.2f} MB")
        if not name.startswith(ARMS):
            write_tables(folder)


def write_tables(study: Path) -> None:
    """Write the onsets and the laws of a sealed study beside it, to five digits."""
    read = Study.of(read_runs(study.with_name(f"{study.name}.sealed")))
    onsets = [
        (o.clock, o.n_train, o.seed, o.run.half or "", o.censored, *map(number, (o.step, o.low, o.high)))
        for o in read.onsets
    ]
    laws = []
    linear, _ = read.fits(1.0)
    for clock, law in read.laws.items():
        ends = map(number, (law.exponent.value, law.exponent.low, law.exponent.high))
        per_example = number(linear[clock].prefactor.value) if clock in linear else ""
        tested = "" if law.linearity is None else number(law.linearity)
        laws.append((clock, *ends, per_example, tested, law.n_onsets, law.n_censored))
    for kind, names, rows in (("onsets", ONSETS, onsets), ("laws", LAWS, laws)):
        lines = ["\t".join(names), *("\t".join(map(str, row)) for row in rows)]
        write_atomically(study.with_name(f"{study.name}.{kind}.tsv"), "\n".join(lines) + "\n")


def number(value: float) -> str:
    """Five significant digits."""
    return f"{value:.5g}"


if __name__ == "__main__":
    try:
        main()
    except TaumemError as error:
        raise SystemExit(f"error: {error}") from None
