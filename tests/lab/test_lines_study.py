"""A study of lines: what is asked of it, what its records say, what its page shows, and what is refused."""

from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

from taumem.analysis import Study
from taumem.cli import main
from taumem.data.readers import opening
from taumem.errors import ConfigError
from taumem.lab import Experiment, make_study
from taumem.lab.domains import lines as lines_domain
from taumem.report import write_report
from taumem.report.exhibits import exhibits_of

RNG = np.random.default_rng(0)
OWN = ["".join(RNG.choice(list("abcdefgh"), n)) for n in RNG.integers(3, 15, 60)]
TINY = {
    "name": "tiny-lines",
    "n_train": [4, 8],
    "twins": False,
    "data": {"source": "lines", "path": "own.txt", "n_heldout": 12},
    "diffusion": {"kind": "masked", "t_min": 0.02},
    "model": {"kind": "transformer", "width": 8, "depth": 1, "heads": 2, "stem": 3},
    "training": {"batch_size": 4, "learning_rate": 1e-2, "min_steps": 24, "steps_per_example": 0},
    "monitor": {"n_items": 8, "n_heldout_items": 8, "first": 2, "per_doubling": 2, "n_samples": 8},
}


def tiny(**data) -> Experiment:
    return Experiment.model_validate({**TINY, "data": {**TINY["data"], **data}})


@pytest.fixture(autouse=True)
def _own_file(tmp_path, monkeypatch):
    (tmp_path / "own.txt").write_text("\n".join(OWN))
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_lines_are_asked_for_what_texts_are_and_for_what_is_new(tmp_path):
    record, _ = records = make_study(tiny(), tmp_path / "out", workers=1)
    asked = {"copy_fraction", "copy_fraction_chance", "infill_copies", "heldout_bits", "novelty", "uniqueness"}
    assert asked <= set(record.quantities)
    assert "validity" not in record.quantities
    data, rule = record.header.data, record.header.copy_rule
    assert (data.kind, data.alphabet, data.item_shape) == ("texts", "\nabcdefgh", (max(map(len, OWN)),))
    assert rule.sentence.endswith("when at most 5 % of its symbols are replaced, put in or left out")
    write_report(tmp_path / "page.html", Study.of(records))
    page = (tmp_path / "page.html").read_text()
    for words in ("Valid, new and distinct samples", "stands where the other line has a symbol", rule.sentence[-30:]):
        assert words in page


@pytest.mark.slow
def test_samples_on_the_page_end_at_their_line_end(tmp_path):
    (exhibit, *_) = exhibits_of(Study.of(make_study(tiny(), tmp_path / "out", workers=1)))
    shown = [sample for look in exhibit.looks for sample in look.samples]
    assert shown
    assert {sample.nearest for sample in shown} <= set(OWN)
    assert not any("\n" in sample.sample or "↵" in sample.sample for sample in shown)


@pytest.mark.slow
def test_a_notation_has_samples_read_in_it(tmp_path, monkeypatch):
    monkeypatch.setattr(lines_domain, "canonical_smiles", lambda: lambda text: text if "a" in text else None)
    (record, _) = make_study(tiny(notation="smiles"), tmp_path / "out", workers=1)
    assert "validity" in record.quantities


def test_lines_without_a_file_are_refused_with_a_way_out():
    with pytest.raises(ConfigError, match=r"'data.path' is missing: say where your lines are"):
        tiny(path=None).data.open()


def test_the_molecules_say_what_to_install_where_they_are_not(capsys, monkeypatch):
    def missing(name: str):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(opening, "distribution", missing)
    with pytest.raises(SystemExit) as stop:
        main(["run", "molecules"])
    assert stop.value.code == 2
    assert "pip install --no-deps molsets" in capsys.readouterr().err
