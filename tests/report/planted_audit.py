"""The records of planted audits: of images, of texts, of vectors; with names that try to break a page."""

import numpy as np
from numpy.typing import NDArray

from taumem.analysis import exact_interval
from taumem.record.audit import (
    AuditedItems,
    AuditRecord,
    AuditVerdict,
    Bounds,
    Chance,
    Control,
    CopyShare,
    Duplicates,
    Flagged,
    Histogram,
    NotRun,
    Pair,
    Phantoms,
    Power,
    RuleResult,
    Score,
    Share,
)
from taumem.record.thumbnails import difference, thumbnail

N, N_TRAIN, N_HELDOUT = 500, 2000, 400
NASTY = "<script>alert(1)</script>\"'&\n\udcff.png"
COMMAND = "taumem audit --train train --generated samples --heldout heldout -o audit"
WAYS = ("as it is", "mirrored", "shifted by 2, -1")


def share(count: int, n: int) -> Share:
    low, high = exact_interval(count, n)
    return Share(count=count, n=n, fraction=count / max(n, 1), low=low, high=high)


def chance(count: int, n: int) -> Chance:
    return Chance(**share(count, n).model_dump(), source="heldout")


def copies(count: int, n: int = N, by_chance: int = 0) -> CopyShare:
    rule = "a sample is a copy if the nearest training item is nearer than 1/3 of the way to the next one"
    return CopyShare(**share(count, n).model_dump(), chance=chance(by_chance, N_HELDOUT // 2), rule=rule, p=3.2e-7)


def audit_of(kind: str = "images", n_copies: int = 12, **changes: object) -> AuditRecord:
    """A record as an audit would write it; ``changes`` replace parts of it."""
    scores = np.sort(np.concatenate([np.geomspace(0.004, 0.12, n_copies), np.linspace(0.25, 1.1, N - n_copies)]))
    null = np.linspace(0.22, 1.1, N_HELDOUT // 2)
    edges = np.linspace(0, 1.2, 49)
    false = [min(k + 1, 1 + int(0.9 * max(k + 1 - n_copies, 0)) + (k > 4)) for k in range(N)]
    content = {
        "made": {"taumem": "0.1.0", "python": "3.11.7", "torch": "2.13.0", "platform": "Linux"},
        "settings": {"orbit": "light", "rule": "gap<1/3", "q": 0.05, "features": "pixels", "seed": 0, "groups": None},
        "inputs": {
            "generated": items("samples/", N, kind, "a" * 64, ("2 files skipped that cannot be read: samples/x.png",)),
            "train": items("patients/train/", N_TRAIN, kind, "b" * 64),
            "heldout": items("patients/heldout/", N_HELDOUT, kind, "c" * 64),
        },
        "n_train": N_TRAIN,
        "n_generated": N,
        "n_heldout": N_HELDOUT,
        "verdict": AuditVerdict(
            state="copies",
            sentence=f"Copies found: {n_copies} of {N} samples (2.4 % [1.2 %, 4.2 %]) are copies of training items, "
            "where chance gives 0 of 200.",
            p=6.4e-7,
        ),
        "copies": copies(n_copies),
        "rules": (
            rule("gap<1/4", n_copies - 2, 0),
            rule("gap<1/2", n_copies + 4, 3),
            rule("identical", 3, 0),
        ),
        "flagged": Flagged(count=n_copies - 1, n=N, q=0.05, n_null=200, fewest=50),
        "bounds": Bounds(
            confidence=0.95, thresholds=tuple(scores.tolist()), found=tuple(range(1, N + 1)), false=tuple(false)
        ),
        "phantoms": Phantoms(
            n_train=N_TRAIN,
            n_heldout=N_HELDOUT,
            matched_train=11,
            matched_heldout=0,
            expected_heldout=1.8,
            p=0.135,
            best_p=0.135,
        ),
        "scores": {
            "c_t": Score(
                name="c_t",
                label="C_T (Meehan et al. 2020)",
                value=-3.41,
                meaning="0 where nothing is copied; far below 0: samples lie closer to the training set than held-out "
                "items do; above 0: further away.",
                n=N,
                parts={"cell 1": -2.1, "cell 2": -4.9, "cell 3": -3.0},
            ),
            "closer_to_train": Score(
                name="closer_to_train",
                label="share closer to train than to held-out",
                value=0.53,
                low=0.48,
                high=0.57,
                meaning="0.5 where nothing is copied; 1 where all is.",
                n=N,
            ),
            "nn_divergence": Score(name="nn_divergence", label="nearest-neighbor divergence", value=None, meaning="-"),
        },
        "partial": (rule("patch", 19, 2),),
        "controls": (
            Control(
                name="negative",
                sentence="held-out items audited as if they were samples: 0 of 200 are flagged",
                count=0,
                n=200,
                passed=True,
                p=1.0,
            ),
            Control(
                name="positive",
                sentence="planted copies with noise: 48 of 50 are found",
                count=48,
                n=50,
                passed=None,
            ),
        ),
        "power": Power(
            excluded_above=0.006,
            smallest_p=1 / 201,
            sentence="With 500 samples and none found, a rate above 0.6 % would be excluded at 95 %.",
        ),
        "duplicates": Duplicates(
            train_identical=3,
            train_near=17,
            n_groups=1980,
            rule="near-duplicates are ...",
            heldout_identical=1,
        ),
        "exchangeability": "p-values hold if samples that copy nothing score like held-out items.",
        "exchangeability_p": 0.4,
        "histogram": Histogram(
            edges=tuple(edges.tolist()),
            generated=tuple(np.histogram(scores, edges)[0].tolist()),
            null=tuple(np.histogram(null, edges)[0].tolist()),
        ),
        "pairs": pairs_of(kind, scores, n_copies),
        "not_run": (NotRun(what="Membership", why="no losses were given."),),
        "cost": {"comparisons": 1.5e7, "views": 18},
        "findings": {"findings.csv": "d" * 64},
    }
    return AuditRecord.model_validate(content | changes)


def items(source: str, n: int, kind: str, digest: str, notes: tuple[str, ...] = ()) -> AuditedItems:
    shape = (1, 28, 28) if kind == "images" else (64,)
    return AuditedItems(source=source, n=n, kind=kind, shape=shape, digest=digest, notes=notes)


def rule(name: str, count: int, by_chance: int) -> RuleResult:
    return RuleResult(
        name=name,
        sentence=f"a sample is a copy by {name}, in words",
        threshold=0.25,
        samples=share(count, N),
        chance=chance(by_chance, N_HELDOUT // 2),
    )


def pairs_of(kind: str, scores: NDArray[np.float64], n_copies: int, n: int = 70) -> tuple[Pair, ...]:
    return tuple(
        Pair(
            sample=NASTY if k == 3 else f"samples/{k:05d}.png",
            train=f"patients/train/Jane Doe {3 * k}.png",
            row=k,
            nearest=3 * k,
            score=float(scores[k]),
            distance=float(scores[k]) / 2,
            ratio=None if k == 5 else float(min(scores[k], 1)),
            way=WAYS[k % 3],
            p=(1 + max(0, k - n_copies)) / 201,
            q=min(1.0, (1 + max(0, k - n_copies)) / 20),
            flagged=k < n_copies - 1,
            copied=k < n_copies,
            **CONTENTS[kind](k),
        )
        for k in range(n)
    )


def _images(k: int) -> dict[str, str]:
    generator = np.random.default_rng(k)
    coarse = generator.uniform(-1, 1, (1, 7, 7))
    train = coarse.repeat(4, 1).repeat(4, 2)
    sample = train + 0.02 * (k + 1) * generator.standard_normal(train.shape)
    drawn = thumbnail(sample), thumbnail(train), difference(sample, train)
    pictures = dict(zip(("sample_image", "train_image", "difference_image"), drawn, strict=True))
    return pictures if WAYS[k % 3] == WAYS[0] else pictures | {"view_image": thumbnail(sample[..., ::-1])}


def _texts(k: int) -> dict[str, str]:
    train = f"Call me Ishmael. Some years ago - never mind how long precisely <{k}>\n\x00"
    sample = train[k % 5 :].replace("a", "o" * (1 + k % 2), k % 4)
    return {"sample_text": sample, "train_text": train}


CONTENTS = {"images": _images, "texts": _texts, "vectors": lambda k: {}}
