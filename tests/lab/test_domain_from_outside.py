"""A domain that is defined elsewhere, in one place: experiments, runs in other processes, fit, page and JSON see it."""

import json
from pathlib import Path
from typing import Literal

import circle
import pytest
from tiny import TINY, tiny

from taumem.cli import main
from taumem.errors import ConfigError
from taumem.lab import DataConfig, RunPlan, load_experiment, make_run, make_study
from taumem.lab.domain import Domain
from taumem.record import RunRecord

CIRCLE = """
name = "circles"
n_train = [8, 16]
data = {source = "circle", radius = 2}
model = {kind = "linear"}
training = {batch_size = 4, min_steps = 60, steps_per_example = 0}
monitor = {n_items = 16, n_heldout_items = 32, first = 4, n_samples = 8, sampling_steps = 3}
"""


@pytest.fixture
def experiment(tmp_path) -> Path:
    file = tmp_path / "circles.toml"
    file.write_text(CIRCLE)
    return file


def test_it_is_named_in_an_experiments_file_and_survives_the_journey_through_json(experiment, tmp_path):
    study = load_experiment(experiment, ["model.bias=false"])
    assert study.data == circle.CircleConfig(radius=2)
    assert study.model == circle.LinearConfig(bias=False)
    file = tmp_path / "experiment.json"
    file.write_text(study.model_dump_json())
    assert load_experiment(file) == study
    assert study.recipe["data"] == {"source": "circle", "radius": 2}
    assert load_experiment("mixture", ["data.source=circle", "model.kind=mlp"]).data == circle.CircleConfig()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["data.source=circel"], ["data.source is 'circel'", "did you mean 'circle'? Known: circle, fashion-mnist"]),
        (["data.radus=1"], ["unknown key 'data.radus'", "did you mean 'radius'"]),
        (["model.kind=linea"], ["model.kind is 'linea'", "did you mean 'linear'"]),
        (["model.kind=unet"], ["data.source 'circle' takes model.kind 'linear' or 'mlp'; got 'unet'"]),
        (
            ["data.source=mixture"],
            ["data.source 'mixture' takes model.kind 'unet' or 'mlp' or 'random-features'; got 'linear'"],
        ),
        (["data.radius=wide"], ["data.radius: expected a number", "got 'wide'"]),
    ],
)
def test_mistakes_in_it_are_named_like_all_others(experiment, changes, words):
    with pytest.raises(ConfigError) as error:
        load_experiment(experiment, changes)
    for word in words:
        assert word in str(error.value)


def facts(record: RunRecord) -> list[dict]:
    """All that was measured, but for the time it took."""
    return [m.model_dump(exclude={"seconds"}) for m in record.measurements]


@pytest.mark.slow
def test_processes_that_are_spawned_know_it_and_fit_page_and_json_see_it(experiment, tmp_path, capsys):
    """What holds of any runs in processes is tested here too: they equal runs in turn, and tell how far they are."""
    study = load_experiment(experiment)
    in_turn = make_study(study, tmp_path / "one", workers=1)
    progress: list[tuple[int, int]] = []
    at_once = make_study(
        study, tmp_path / "two", workers=2, progress=lambda done, total: progress.append((done, total))
    )
    assert [facts(r) for r in at_once] == [facts(r) for r in in_turn]
    assert [r.header.half for r in at_once] == ["a", "b", "a", "b"]
    assert progress[0] == (0, 240)
    assert progress[-1] == (240, 240)
    assert [done for done, _ in progress] == sorted(done for done, _ in progress)
    assert in_turn[0].header.data.alphabet == "a circle's"

    with pytest.raises(SystemExit) as stop:
        main(["fit", str(tmp_path / "two"), "--json"])
    assert not stop.value.code
    content = json.loads(capsys.readouterr().out)
    assert {onset["n_train"] for onset in content["onsets"]} == {8, 16}
    with pytest.raises(SystemExit) as stop:
        main(["report", str(tmp_path / "two"), "-o", str(tmp_path / "page.html")])
    assert not stop.value.code
    assert "circle" in (tmp_path / "page.html").read_text()


@pytest.mark.slow
def test_a_run_prepares_its_data_once(tmp_path):
    # A radius of its own: what was read for other tests does not count.
    study = tiny(data={"source": "circle", "radius": 7}, model={"kind": "linear"})
    plan = RunPlan(study, 8, 0, "a")
    make_run(plan, tmp_path)
    domain = plan.prepare().domain
    assert domain.asked_for == [(16, 0), (16, 0)]  # by the run, and by this test
    make_study(tiny(**{**TINY, "data": {"source": "circle", "radius": 5}}), tmp_path / "sweep", workers=1)
    domain = RunPlan(tiny(data={"source": "circle", "radius": 5}), 8, 0, "a").prepare().domain
    # Four runs, this test, and once to refuse what cannot be before the first of them.
    assert len(domain.asked_for) == 4 + 1 + 1


def test_two_sources_of_one_name_are_refused():
    with pytest.raises(ConfigError, match=r"source 'images' is taken by taumem\.lab\.domains\.images\.ImagesConfig"):

        class Other(DataConfig):
            source: Literal["images"]

            def open(self) -> Domain: ...

    assert load_experiment("own-images").data.tag == "images"
