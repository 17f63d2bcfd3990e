"""One self-contained page about a study: it opens offline, asks nothing of any server, and can be sent by mail."""

import json
from pathlib import Path

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from taumem.analysis import Study
from taumem.analysis.onset import refuse_time
from taumem.errors import ConfigError
from taumem.record import write_atomically
from taumem.report import figures
from taumem.report.rendering import render
from taumem.report.sections import SECTIONS
from taumem.report.summary import subtitle, title_of, verdict

__all__ = ["page_of", "write_report"]


def write_report(
    path: Path | str,
    study: Study,
    *,
    title: str | None = None,
    sentence: str | None = None,
    reproduce: str | None = None,
) -> Path:
    """Write the page of a study.

    Args:
        path: the HTML file to write.
        study: what it is about; of one run is enough, of none gives a page that says so.
        title: what the study is called; the experiment's name if None.
        sentence: the verdict; made from the law if None.
        reproduce: the command that makes the study again.

    Returns:
        The path.

    Raises:
        ConfigError: what should be a study is none, or one in effective time.
    """
    content = page_of(study, title=title, sentence=sentence, reproduce=reproduce)
    path = Path(path)
    write_atomically(path, content)
    return path


def page_of(
    study: Study, *, title: str | None = None, sentence: str | None = None, reproduce: str | None = None
) -> str:
    """The page of a study, as HTML; the arguments are those of :func:`write_report`."""
    if not isinstance(study, Study):
        raise ConfigError(
            f"a page is of a Study, such as Study.of(read_runs(FOLDER)); got a {type(study).__name__}. "
            "write_report takes the file first, then the study."
        )
    refuse_time(study.unit, "a page is about steps")
    return render(
        "layout.html.j2",
        folder="sections",
        study=study,
        title=title or title_of(study),
        verdict=sentence or verdict(study),
        subtitle=subtitle(study),
        cautions=study.cautions,
        sections=[section for sections_of in SECTIONS for section in sections_of(study)],
        reproduce=reproduce,
        night=Markup(json.dumps(figures.night(study.sizes))),
        plotly=Markup(get_plotlyjs()),
    )
