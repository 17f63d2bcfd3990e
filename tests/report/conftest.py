"""One full study for all tests of the report, written to disk once."""

import planted_study
import pytest
from planted_study import HELD_BACK

from taumem.analysis import Interval
from taumem.record import RunRecord
from taumem.report import Forecast, Study


@pytest.fixture(scope="session")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[RunRecord]:
    return planted_study.study(tmp_path_factory.mktemp("study"), (16, 32, 64, 128), steps=3000)


@pytest.fixture(scope="session")
def forecast() -> Forecast:
    made, seen = Interval(768.0, 640.0, 930.0, 0.9, 16), Interval(760.0, 700.0, 830.0, 0.9, 16)
    return Forecast("tau_val", 128, made, seen)


@pytest.fixture(scope="session")
def study(records: list[RunRecord], forecast: Forecast) -> Study:
    return Study.of(records, held_back=HELD_BACK, forecast=forecast)
