"""What a reader must know before believing a study, a sentence each; alike where it is planned and where it is read."""

from collections.abc import Collection, Iterator, Sequence

from taumem.analysis.differences import recipe_of
from taumem.analysis.forecast import Forecast
from taumem.analysis.shares import FEWEST_HELDOUT, exact_interval
from taumem.analysis.wording import factor, percent, plural, sizes_text
from taumem.errors import first_difference
from taumem.record import RunRecord

__all__ = ["cautions_of", "few_heldout", "full_batches", "of_a_forecast"]


def full_batches(sizes: Collection[int], batch_size: int, *, exclude: str = "--exclude") -> str:
    """Say that runs with P up to the batch size are runs with full batches, which have a law of their own.

    Args:
        sizes: numbers of training examples P.
        batch_size: of all of them.
        exclude: how the reader keeps sizes out of the fits; empty where there is nothing to fit yet.

    Returns:
        The sentence; empty where all sizes are larger than the batch size.

    >>> full_batches((8, 16), 16)[:57]
    'P = 8, 16 are no larger than the batch size (16): each st'
    """
    small, large = (sorted(p for p in sizes if (p <= batch_size) == within) for within in (True, False))
    if not small:
        return ""
    are = "is" if len(small) == 1 else "are"
    first = (
        f"P = {sizes_text(small)} {are} no larger than the batch size ({batch_size:,}): each step sees the whole "
        "training set. With full batches onsets grow much more slowly with P than at a fixed batch size"
    )
    if len(large) < 2:
        rest = f"only P = {sizes_text(large)} is larger" if large else "none is larger"
        return f"{first}, and such runs forecast no larger one ({rest}). Choose a smaller batch size, or larger P."
    how = f" ({' '.join(f'{exclude} {p}' for p in small)})" if exclude else ""
    return f"{first}: a law for larger P may use P = {sizes_text(large)} only. Keep the others out of it{how}."


def few_heldout(n_heldout: int, key: str = "") -> str:
    """Say that chance is hardly known from so few held-out items; empty where there are enough.

    Args:
        n_heldout: how many there are.
        key: of an experiment, which says how many are held out; empty where there is no experiment.

    >>> few_heldout(8)[:88]
    '8 held-out items: where none of them passes for a copy, chance is still only known to be'
    """
    if n_heldout >= FEWEST_HELDOUT:
        return ""
    high = exact_interval(0, n_heldout)[1]
    return (
        f"{n_heldout} held-out items: where none of them passes for a copy, chance is still only known to be 0 % "
        f"[0 %, {percent(high)}], and copies count only above that; the held-out loss rests on them too. Hold out "
        f"{FEWEST_HELDOUT} or more{f' ({key})' if key else ''}, or bring more data."
    )


def of_a_forecast(forecast: Forecast) -> Iterator[str]:
    """What speaks against a forecast, whatever its law says.

    Args:
        forecast: with the law that it rests on, if there is one.
    """
    law, predicted, n_train = forecast.law, forecast.predicted, forecast.n_train
    if law is not None:
        if law.batch_size is not None and (told := full_batches(law.sizes, law.batch_size)):
            yield told
        if n_train <= law.sizes[-1]:
            yield (
                f"P = {n_train:,} is no larger than the largest pilot (P = {law.sizes[-1]:,}): nothing is "
                "extrapolated, and a run of that size costs no more than the pilots did. Measure it."
            )
    if predicted.spans_much:
        yield (
            f"The forecast's interval spans {factor(predicted.low, predicted.high)}, which says next to nothing: add "
            "pilots, larger ones if you can."
        )


def cautions_of(records: Sequence[RunRecord], excluded: Collection[int] = ()) -> Iterator[str]:
    """What a reader of these runs must know.

    Args:
        records: the runs.
        excluded: sizes that are kept out of every fit.
    """
    yield from _several_studies(records)
    if unknown := set(excluded) - {record.header.data.n_train for record in records}:
        yield f"No run has P = {sizes_text(sorted(unknown))}, which was to be kept out of the fits."
    headers = [record.header for record in records if record.header.data.n_train not in excluded]
    # Of several batch sizes, or of the whole set, the law takes it into account.
    batch_sizes = {header.batch_size for header in headers}
    if len(batch_sizes) == 1 and (told := full_batches({h.data.n_train for h in headers}, batch_sizes.pop())):
        yield told
    if logged := [record for record in records if "log" in record.header.probes]:
        yield (
            f"{plural(len(logged), 'run')} of {len(records)} from logs of other trainers: their losses are means "
            "without items, whose intervals know the jitter of the curve and nothing else."
        )
    counted = [
        record.header.data.n_heldout
        for record in records
        if record.curve_or_none("copy_fraction_chance") is not None and not record.header.data.sample_complexities
    ]
    key = "data.n_heldout" if all(header.experiment for header in headers) else ""
    if counted and (told := few_heldout(min(counted), key)):
        yield told


def _several_studies(records: Sequence[RunRecord]) -> Iterator[str]:
    headers = [record.header for record in records]
    if len(names := sorted({header.name for header in headers})) > 1:
        yield (
            f"Several experiments in one ({', '.join(names)}): means and laws are over all of their runs. Give each "
            "by itself, unless they differ in their sizes, batch sizes and seeds alone, or in settings that the law "
            "is told of (--covariate)."
        )
    keys = [header.key for header in headers]
    if twice := sorted({str(key) for key in keys if keys.count(key) > 1}):
        yield f"Counted more than once: {', '.join(twice)}. Give each run once; another recipe needs another name."
    for name in names:
        first, *others = [recipe_of(header.experiment) for header in headers if header.name == name]
        if other := next((recipe for recipe in others if recipe != first), None):
            difference = first_difference(first, other).replace("this one has", "in another run it is")
            yield (
                f"Runs of {name} were made in different ways ({difference}): means and laws are over all of them. "
                "Give each by itself."
            )
