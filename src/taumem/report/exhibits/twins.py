"""Two models on disjoint training sets, drawing from the same noise: what they make of it as training goes on."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from taumem.analysis import Study
from taumem.analysis.similarity import agreement_or_none, sampled_steps
from taumem.analysis.wording import number, percent
from taumem.errors import ConfigError
from taumem.record import Curve, RunRecord
from taumem.record.thumbnails import EXACT_HEIGHT, as_data_uri, enlarged
from taumem.report.exhibits.pictures import SHOWN_HEIGHT, are_pictures
from taumem.report.exhibits.way import Arrays
from taumem.report.items import copies_among

__all__ = ["Moment", "Row", "TwinExhibit", "twin_exhibits"]

N_NOISES = 4
N_MOMENTS = 7
CLOCKS = ("tau_val", "tau_val_mean")


@dataclass(frozen=True)
class Moment:
    """A look at which both models were sampled: a column of the picture.

    Attributes:
        step: optimizer steps.
        per_example: steps for each training example.
        mark: the clock that struck there; empty at other looks.
        similarity: of all pairs of samples, as :func:`taumem.analysis.agreement` has it; None where it is unknown.
        copies: the share of copies among the samples of each model; None where they were not counted.
    """

    step: int
    per_example: str
    mark: str
    similarity: float | None
    copies: tuple[float, float] | None


@dataclass(frozen=True)
class Row:
    """Images from one noise, a look each.

    Attributes:
        name: what they are, such as ``model A``.
        images: as data URIs.
        copied: which of them count as copies; of nearest training images none.
    """

    name: str
    images: tuple[str, ...]
    copied: tuple[bool, ...]

    @property
    def is_nearest(self) -> bool:
        """Whether these are training images."""
        return not self.name.startswith("model")


@dataclass(frozen=True)
class TwinExhibit:
    """Two models, over training.

    Attributes:
        title: which pair it is.
        sentence: what is seen, in numbers.
        moments: the columns.
        noises: for each noise its rows: each model's sample over the training image nearest to it.
    """

    title: str
    sentence: str
    moments: tuple[Moment, ...]
    noises: tuple[tuple[Row, ...], ...]


def twin_exhibits(study: Study) -> list[TwinExhibit]:
    """Show the first pair on the fewest training examples, and the first on the most.

    Pairs whose records kept no images that were drawn at the same steps are passed over. Where the nearest training
    images were not kept, samples are shown alone.
    """
    shown: dict[int, tuple[RunRecord, RunRecord]] = {}
    for a, b in study.twins:
        steps = [step for step in sampled_steps(a, b) if step > 0]
        if steps and all(are_pictures(record.arrays(steps[-1])) for record in (a, b)):
            shown.setdefault(a.header.data.n_train, (a, b))
    return [_exhibit(*shown[size], study) for size in sorted({min(shown), max(shown)})] if shown else []


def _exhibit(a: RunRecord, b: RunRecord, study: Study) -> TwinExhibit:
    struck = [o for o in study.onsets if o.clock in CLOCKS and o.usable and o.run in (a.header.key, b.header.key)]
    steps = [step for step in sampled_steps(a, b) if step > 0]
    tau = math.exp(sum(math.log(o.step) for o in struck) / len(struck)) if len(struck) == 2 else None
    at = None if tau is None else min(steps, key=lambda step: abs(math.log(step / tau)))
    chosen = moments_to_show(steps, at)
    agreement = _agreement(a, b)
    moments = tuple(
        Moment(
            step,
            number(step / a.header.data.n_train),
            struck[0].clock if step == at else "",
            _at(agreement, step),
            _copies(a, b, step),
        )
        for step in chosen
    )
    drawn = [(record.arrays(step), record) for record in (a, b) for step in chosen]
    noises = zip(*(_rows(drawn[: len(chosen)], "A"), _rows(drawn[len(chosen) :], "B")), strict=False)
    n_train, late = a.header.data.n_train, "" if tau is None else f" · {struck[0].clock} = {number(tau)} steps"
    title = f"P = {n_train:,}, seed {a.header.seed}{late}"
    return TwinExhibit(title, _sentence(moments), moments, tuple((*of_a, *of_b) for of_a, of_b in noises))


def moments_to_show(steps: Sequence[int], at: int | None) -> list[int]:
    """Choose looks evenly on a logarithmic axis: the first, the last, and the one at which the clock struck.

    >>> moments_to_show([8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096], at=512)
    [8, 16, 64, 128, 512, 2048, 4096]
    """
    if len(steps) <= N_MOMENTS:
        return list(steps)
    aims = np.geomspace(steps[0], steps[-1], N_MOMENTS)
    chosen = {min(steps, key=lambda step: abs(math.log(step / aim))) for aim in aims}
    if at is not None and at not in chosen:  # it takes the place of the look nearest to it, but for the two ends
        inner = chosen - {steps[0], steps[-1]}
        chosen = chosen - {min(inner, key=lambda step: abs(math.log(step / at)))} | {at}
    return sorted(chosen)


def _rows(looks: Sequence[tuple[Arrays, RunRecord]], model: str) -> Iterator[tuple[Row, ...]]:
    """For each noise the samples of a model, over the training images nearest to them where they were kept."""
    arrays = [each for each, _ in looks]
    copied = [copies_among(record.header, each) for each, record in looks]
    has_nearest = all("nearest" in each and each["nearest"].shape == each["samples"].shape for each in arrays)
    for k in range(min(N_NOISES, *(len(each["samples"]) for each in arrays))):
        samples = tuple(_picture(each["samples"][k]) for each in arrays)
        rows = [Row(f"model {model}", samples, tuple(bool(flags[k]) for flags in copied))]
        if has_nearest:
            nearest = tuple(_picture(each["nearest"][k]) for each in arrays)
            rows.append(Row(f"nearest of {model}'s set", nearest, (False,) * len(nearest)))
        yield tuple(rows)


def _picture(image: np.ndarray) -> str:
    return as_data_uri(enlarged(image, SHOWN_HEIGHT), exact=image.shape[-2] <= EXACT_HEIGHT)


def _agreement(a: RunRecord, b: RunRecord) -> Curve | None:
    try:
        return agreement_or_none(a, b)
    except ConfigError:  # they do not pair up
        return None


def _at(curve: Curve | None, step: int) -> float | None:
    return None if curve is None or step not in curve.steps else float(curve.values[curve.steps == step][0])


def _copies(a: RunRecord, b: RunRecord, step: int) -> tuple[float, float] | None:
    of_a, of_b = (_at(record.curve_or_none("copy_fraction"), step) for record in (a, b))
    return None if of_a is None or of_b is None else (of_a, of_b)


def _sentence(moments: Sequence[Moment]) -> str:
    """How alike all samples of the two are, and how many are copies, at the first look, at the clock, and last."""
    told = [m for k, m in enumerate(moments) if k in (0, len(moments) - 1) or m.mark]
    words = []
    for moment in told:
        said = [f"similarity {moment.similarity:.2f}"] if moment.similarity is not None else []
        if moment.copies is not None:
            said.append(f"copies {percent(moment.copies[0])} (A), {percent(moment.copies[1])} (B)")
        if said:
            words.append(f"at step {moment.step:,}{f' ({moment.mark})' if moment.mark else ''} {', '.join(said)}")
    return f"Of all samples, {'; '.join(words)}." if words else ""
