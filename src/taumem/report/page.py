"""One self-contained page about a study: it opens offline, asks nothing of any server, and can be sent by mail."""

import json
import math
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import plotly.graph_objects as go
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from taumem.analysis import Onset, has_levels
from taumem.record import RunRecord, write_atomically
from taumem.report import figures, wording
from taumem.report.gallery import COPY_RATIO, gallery
from taumem.report.strings import string_gallery
from taumem.report.study import Forecast, Study
from taumem.report.texts import VERBATIM, text_gallery

__all__ = ["write_report"]


@dataclass(frozen=True)
class _Panel:
    """A figure on the page: where it goes, what it is called, and what plotly needs to draw it."""

    key: str
    title: str
    figure: go.Figure

    @property
    def json(self) -> Markup:
        """The figure as JSON that cannot end the script element it stands in."""
        return Markup(self.figure.to_json().replace("<", "\\u003c"))


@dataclass(frozen=True)
class _Group:
    """A section of figures: side by side where there is room."""

    title: str
    text: str
    panels: tuple[_Panel, ...]


def write_report(
    path: Path | str,
    records: Sequence[RunRecord],
    *,
    title: str | None = None,
    sentence: str | None = None,
    held_back: Collection[int] = frozenset(),
    forecast: Forecast | None = None,
    reproduce: str | None = None,
) -> Path:
    """Write the page of a study.

    Args:
        path: the HTML file to write.
        records: the runs, in any order; one run is enough, none gives a page that says so.
        title: what the study is called; the experiment's name if None.
        sentence: the verdict; made from the law if None.
        held_back: training-set sizes to keep out of every fit, such as the one that was forecast.
        forecast: what was forecast, and what was measured.
        reproduce: the command that makes the study again.

    Returns:
        The path.

    Raises:
        ConfigError: two runs are the same half of the same pair.
    """
    study = Study.of(records, held_back=held_back, forecast=forecast)
    page = _template().render(
        study=study,
        title=title or _title(study),
        verdict=sentence or _verdict(study),
        subtitle=_subtitle(study),
        law=_Panel("law", "The law", figures.law(study)) if study.onsets else None,
        phase=_phase_panels(study) if study.phase else None,
        has_levels=has_levels(study.records),
        groups=_groups(study),
        exhibits=gallery(study),
        string_exhibits=string_gallery(study),
        text_exhibits=text_gallery(study),
        has_text=_has_text(study),
        verbatim=VERBATIM,
        rules=_rules(study.onsets),
        missing=list(study.missing()),
        facts=_facts(study),
        experiment=_shared_experiment(study),
        reproduce=reproduce,
        chance=figures.chance_of_copies(study),
        copy_ratio=COPY_RATIO,
        night=Markup(json.dumps(figures.night(study.sizes))),
        plotly=Markup(get_plotlyjs()),
    )
    path = Path(path)
    write_atomically(path, page)
    return path


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "number": wording.number,
        "percent": wording.percent,
        "power": wording.power,
        "share": wording.share,
        "span": wording.span,
        "typical": wording.typical,
        "onset_span": wording.onset_span,
        "state": wording.state,
        "raised": _raised,
    }
    return environment.from_string(files("taumem.report").joinpath("page.html.j2").read_text(encoding="utf-8"))


def _raised(text: str) -> Markup:
    """Escape a text, and set exponents such as the one of ``P^0.97`` above the line."""
    return Markup(re.sub(r"\^(-?\d+(?:\.\d+)?)", r"<sup>\1</sup>", str(escape(text))))


def _title(study: Study) -> str:
    names = sorted({record.header.name for record in study.records})
    return ", ".join(names) or "No runs"


def _verdict(study: Study) -> str:
    """The study in one or two sentences, without a claim that it does not carry."""
    clock = study.headline
    if not study.records:
        return "There are no runs to report on yet."
    if clock is None:
        return "No clock could be read from these runs yet."
    parts = []
    if clock.free is not None:
        parts.append(f"{clock.clock} grows as P^{wording.power(clock.free.exponent)}")
    if clock.free is not None and clock.free.is_refuted:
        parts[0] += f", which is not in proportion to P (p = {wording.number(clock.free.linearity or 0)})"
    elif clock.linear is not None:
        c, batch = wording.number(clock.linear.prefactor.value), clock.linear.batch_size
        at = "" if batch is None else f" at batch size {batch:,}"
        alone = f"{clock.clock} comes at {c} steps an example{at}, if it is proportional to P"
        parts.append(f"{c} steps an example{at}" if parts else alone)
    if not parts:
        located, found = sum(onset.usable for onset in clock.onsets), wording.plural(len(clock.onsets), "onset")
        return f"{clock.clock}: {found}, {located or 'none'} of them located, the others only bounded. No law yet."
    sentence = ": ".join(parts) + "."
    if clock.free is not None and clock.free.bend is not None and clock.free.is_bent:
        sentence += (
            f" The line bends: its exponent changes by {wording.change(clock.free.bend)} from size to double size."
        )
    if clock.clock != "tau_val" and study.phase is None and any(other.clock == "tau_val" for other in study.clocks):
        sentence += " tau_val was not reached by enough runs: train longer."
    if study.forecast is None:
        return sentence
    made = study.forecast
    seen = "not measured yet" if made.measured is None else f"measured {wording.span(made.measured)}"
    return f"{sentence} Forecast for P = {made.n_train:,}: {wording.span(made.predicted)} steps; {seen}."


def _subtitle(study: Study) -> str:
    if not study.records:
        return ""
    headers = [record.header for record in study.records]
    seeds = len({h.seed for h in headers})
    return " · ".join(
        [
            ", ".join(sorted({h.data.name for h in headers})),
            f"P = {wording.sizes_text(sorted({h.data.n_train for h in headers}))}",
            f"batch size {wording.sizes_text(study.batch_sizes)}",
            f"{wording.plural(len(headers), 'run')}, {wording.plural(seeds, 'seed')}",
            f"{' and '.join(sorted({h.weights for h in headers}))} weights",
        ]
    )


def _groups(study: Study) -> list[_Group]:
    """The figures that have something to show, with what to see in them."""
    agreement, membership = figures.agreement(study), figures.membership(study)
    models = [
        _Panel("agreement", "Agreement of two models, against the step", agreement),
        _Panel("membership", "Membership, against the step per training example", membership),
    ]
    models = [panel for panel in models if panel.figure.data]
    about = {
        "agreement": "Models that have learned the distribution draw the same sample from the same noise; models that "
        "have learned their own training sets do not.",
        "membership": "Membership is told from the loss alone: 0.5 is chance, 1 is certainty.",
    }
    two_models = " of two models on disjoint sets" if study.twins else " between training and held-out items"
    chance = (
        "The dotted lines are the chance level: the share of training strings in the language, times the share of "
        "samples in the language."
        if has_levels(study.records)
        else "The dashed line is the chance level: held-out data, which copy nothing, under the same rule."
    )
    of_text = _groups_of_text(study)
    groups = [
        _Group(
            "Losses",
            "Training and held-out loss part when the model starts to learn its training set rather than the "
            "distribution. Circles mark the minimum of the held-out loss (tau_val).",
            _both(study, "losses", figures.losses),
        ),
        of_text["bits"],
        _Group(
            "The gap, and its collapse",
            f"The relative gap{two_models}. If the onset grows in proportion to the number of training examples P, "
            "curves that lie apart against the step fall on one another against the step per training example.",
            _both(study, "gap", figures.gap),
        ),
        _Group(
            "Copies among samples",
            f"The share of samples that are copies of training items, with exact 95 % intervals. {chance}",
            _both(study, "copies", figures.copies),
        ),
        of_text["infilling"],
        _Group(
            " and ".join(panel.title.partition(",")[0] for panel in models).replace("and M", "and m"),
            " ".join([*(about[panel.key] for panel in models), "Bands are two standard errors."]),
            tuple(models),
        ),
        of_text["quality"],
    ]
    return [group for group in groups if group.panels]


def _groups_of_text(study: Study) -> dict[str, _Group]:
    """What is measured of texts alone, by where it goes."""
    quality = (
        _Panel(
            "words",
            "Words of samples that are in the dictionary (the words of the text itself)",
            figures.dictionary_words(study),
        ),
        _Panel("divergence", "3-grams of samples against those of held-out texts", figures.ngram_divergence(study)),
        _Panel("entropy", "How unsure the model is of a hidden symbol", figures.entropy(study)),
    )
    return {
        "bits": _Group(
            "Bits per symbol",
            "The bound on the bits that a symbol costs: on held-out texts, and dotted on training texts. Dashed: the "
            "bits that held-out texts cost under an n-gram model with Kneser-Ney smoothing, fitted to the same "
            "training texts. A model below it predicts unseen text better than counts of short passages do.",
            _both(study, "bits", figures.bits),
        ),
        "infilling": _Group(
            "Texts filled in from memory",
            "Half of each text is hidden, and the model fills it in, where it is surest first: the share of training "
            "texts that come back verbatim but for a few symbols, with exact 95 % intervals. Dotted: the share of "
            "held-out texts under the same rule, the chance level.",
            _both(study, "infilling", figures.infilling),
        ),
        "quality": _Group(
            "How much the samples read like the language",
            "Dashed: what held-out texts would give.",
            tuple(panel for panel in quality if any(map(_points, panel.figure.data))),
        ),
    }


def _both(study: Study, name: str, draw: Callable[..., go.Figure]) -> tuple[_Panel, ...]:
    """A figure against the step, and against the step per training example; none where there is nothing to show."""
    both = (("step", "against the step", False), ("example", "against the step per training example", True))
    drawn = [_Panel(f"{name}-{key}", words, draw(study, per_example=flag)) for key, words, flag in both]
    return tuple(drawn) if any(map(_points, drawn[0].figure.data)) else ()


def _has_text(study: Study) -> bool:
    return any(record.header.data.alphabet for record in study.records)


def _phase_panels(study: Study) -> dict[str, _Panel]:
    """The figures of the phase diagram, by their keys."""
    panels = (
        _Panel("phase", "The phase diagram", figures.phase_diagram(study)),
        _Panel("price", "What a model can do when copies set in, against P / P*", figures.price(study)),
        _Panel("levels-step", "against the step", figures.levels(study)),
        _Panel("levels-example", "against the step per training example", figures.levels(study, per_example=True)),
    )
    return {panel.key: panel for panel in panels}


def _points(trace: Any) -> bool:
    return trace.x is not None and len(trace.x) > 0 and trace.x[0] is not None


def _rules(onsets: Sequence[Onset]) -> list[tuple[str, str]]:
    """The definition of each clock, in the order of the clocks; one for clocks that differ by their threshold alone."""
    thresholds: dict[tuple[str, str], list[str]] = {}
    for clock, rule in {onset.clock: onset.rule for onset in onsets}.items():
        family, _, threshold = clock.rstrip("]").partition("[")
        if threshold:
            family, rule = f"{family}[x]", re.sub(rf"(?<![\d.]){re.escape(threshold)}(?![\d.]*\d)", "x", rule)
        thresholds.setdefault((family, rule), []).extend([threshold] if threshold else [])
    return [
        (clock, f"{rule} Here x = {', '.join(values)}." if values else rule)
        for (clock, rule), values in thresholds.items()
    ]


def _facts(study: Study) -> list[tuple[str, str]]:
    """How the study was made: what its headers say, each once."""
    headers = [record.header for record in study.records]

    def listed(values: Collection[object]) -> str:
        return ", ".join(str(value) for value in sorted(values, key=str)) or "unknown"

    names = sorted({name for h in headers for name in h.versions})
    versions = [f"{name} {listed({h.versions.get(name, 'unknown') for h in headers})}" for name in names]
    shapes = {" × ".join(map(str, h.data.item_shape)) for h in headers}
    held_back = [f"{size:,}" for size in sorted(study.held_back)]
    facts = [
        ("Experiment", listed({h.name for h in headers})),
        ("Data", listed({h.data.name for h in headers})),
        ("Shape of an item", listed(shapes)),
        ("Held-out items", wording.sizes_text(sorted({h.data.n_heldout for h in headers}))),
        ("Training examples P", wording.sizes_text(sorted({h.data.n_train for h in headers}))),
        *_facts_of_text(study),
        ("Held back from the fits", ", ".join(held_back) or "none"),
        ("Batch size", wording.sizes_text(study.batch_sizes)),
        ("Weights measured", listed({h.weights for h in headers})),
        ("Seeds", listed({h.seed for h in headers})),
        ("Device", listed({h.device for h in headers})),
        ("Versions", ", ".join(versions) or "unknown"),
    ]
    return facts if headers else []


def _facts_of_text(study: Study) -> list[tuple[str, str]]:
    data = [record.header.data for record in study.records if record.header.data.alphabet]
    symbols = sorted({d.n_train * math.prod(d.item_shape) for d in data})
    alphabets = sorted({len(d.alphabet) for d in data})
    facts = [("P in symbols", wording.sizes_text(symbols)), ("Symbols of the alphabet", wording.sizes_text(alphabets))]
    return facts if data else []


def _shared_experiment(study: Study) -> str:
    """The configuration as JSON: the part that all runs share."""
    configurations = [record.header.experiment for record in study.records]
    if not configurations:
        return ""
    first, *rest = configurations
    shared = {key: value for key, value in first.items() if all(other.get(key) == value for other in rest)}
    return json.dumps(shared, indent=2) if shared else ""
