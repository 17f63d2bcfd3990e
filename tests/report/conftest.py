"""Three planted studies, of images, of a grammar and of texts: each written, read and rendered once for all tests."""

from collections.abc import Callable
from pathlib import Path

import planted_grammar
import planted_study
import planted_text
import pytest
from numpy.typing import NDArray
from planted_study import EXCLUDED
from reading import Page

from taumem.analysis import Forecast, Interval, Study
from taumem.record import RunHeader, RunRecord
from taumem.report import page_of

COMMAND = "taumem run planted --seed 0"


@pytest.fixture(scope="session")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[RunRecord]:
    return planted_study.study(tmp_path_factory.mktemp("study"), (16, 32, 64, 128), steps=3000)


@pytest.fixture(scope="session")
def forecast() -> Forecast:
    made, seen = Interval(768.0, 640.0, 930.0, 0.9, 16), Interval(760.0, 700.0, 830.0, 0.9, 16)
    return Forecast("tau_val", 128, made, seen)


@pytest.fixture(scope="session")
def study(records: list[RunRecord], forecast: Forecast) -> Study:
    return Study.of(records, excluded=EXCLUDED, proof=forecast)


@pytest.fixture(scope="session")
def page(study: Study) -> Page:
    return Page(page_of(study, reproduce=COMMAND))


@pytest.fixture(scope="session")
def grammar_records(tmp_path_factory: pytest.TempPathFactory) -> list[RunRecord]:
    return planted_grammar.study(tmp_path_factory.mktemp("grammar"))


@pytest.fixture(scope="session")
def grammar(grammar_records: list[RunRecord]) -> Study:
    return Study.of(grammar_records)


@pytest.fixture(scope="session")
def grammar_page(grammar: Study) -> Page:
    return Page(page_of(grammar))


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study.of(planted_text.study(tmp_path_factory.mktemp("text")))


@pytest.fixture(scope="session")
def text_page(texts: Study) -> Page:
    return Page(page_of(texts))


@pytest.fixture
def one_run(tmp_path: Path) -> Callable[..., Study]:
    """A study of one run that kept the same arrays at each of some steps."""

    def make(header: RunHeader, arrays: dict[str, NDArray], steps: tuple[int, ...] = (10, 100)) -> Study:
        with RunRecord.open(tmp_path / "run", header) as record:
            for step in steps:
                record.keep_arrays(step, arrays)
        return Study.of([RunRecord.read(tmp_path / "run")])

    return make
