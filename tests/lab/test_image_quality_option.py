"""monitor.quality: what it adds to a run's record, and that a run without it is what it was."""

import warnings

import pytest
from pydantic import ValidationError

from taumem.errors import ConfigError
from taumem.lab import Experiment, load_experiment, make_run, make_study, plans_of
from taumem.lab.studies import check_data_and_network
from taumem.record import QUANTITIES, RunRecord, family_of

TINY = {
    "n_train": [8],
    "twins": False,
    "data": {"source": "fashion-mnist", "size": 8, "n_heldout": 64},
    "model": {"kind": "mlp", "width": 16, "depth": 1},
    "training": {"min_steps": 40, "steps_per_example": 0, "batch_size": 8},
    "monitor": {"first": 8, "per_doubling": 1, "samples_per_doubling": 1, "n_samples": 16, "sampling_steps": 3},
}


def made(folder, **monitor):
    experiment = Experiment.model_validate({"name": "tiny", **TINY, "monitor": TINY["monitor"] | monitor})
    (plan,) = plans_of(experiment)
    make_run(plan, folder)
    return RunRecord.read(folder / plan.name)


def test_it_adds_its_quantities_at_each_look_at_samples_and_changes_no_other_number(tmp_path):
    plain, more = made(tmp_path / "plain"), made(tmp_path / "more", quality=True)
    added = {m.quantity for m in more.measurements} - {m.quantity for m in plain.measurements}
    assert len(added) == 12
    assert {family_of(name) for name in added} <= set(QUANTITIES)
    assert more.curve("heldout_frechet").steps.tolist() == more.curve("copy_fraction").steps.tolist()
    assert more.header.probes["ImageQuality"]["n_items"] == {"heldout": 32, "train": 8}
    same = {m.key: m.value for m in more.measurements if m.quantity not in added}
    assert same == {m.key: m.value for m in plain.measurements}


def test_a_finished_run_goes_on_as_the_same_one_with_the_key_left_out_or_said(tmp_path):
    first = made(tmp_path)
    assert [m.key for m in made(tmp_path, quality=False, fid="").measurements] == [m.key for m in first.measurements]


@pytest.mark.parametrize("key", ["monitor.quality=true", "monitor.fid=inception.pt"])
@pytest.mark.parametrize("preset", ["text", "grammar"])
def test_what_is_not_about_images_is_refused(preset, key):
    with pytest.raises((ConfigError, ValidationError), match=r"monitor.quality and monitor.fid compare images"):
        load_experiment(preset, [key])


@pytest.mark.slow
def test_a_network_that_is_not_there_is_one_clear_line(tmp_path):
    pytest.importorskip("torchmetrics")
    with pytest.raises(ConfigError, match=r"^gone\.pt: no extractor of features can be read there"):
        made(tmp_path, fid="gone.pt")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "monitor", "why"),
    [({"n_heldout": 3}, {"quality": True}, "4 held-out ones"), ({}, {"fid": "gone.pt"}, r"^gone\.pt")],
    ids=["too few images", "no network"],
)
def test_what_samples_cannot_be_compared_with_is_refused_before_the_pretraining(tmp_path, data, monitor, why):
    if "fid" in monitor:
        pytest.importorskip("torchmetrics")
    changes = {"data": TINY["data"] | data, "monitor": TINY["monitor"] | {"n_heldout_items": 2} | monitor}
    start = {"data": TINY["data"], "n_train": 8, "steps": 5, "batch_size": 4}
    experiment = Experiment.model_validate({"name": "tiny", **TINY, **changes, "pretraining": start})
    with pytest.raises(ConfigError, match=why):
        make_study(experiment, tmp_path / "out", workers=1)
    assert not (tmp_path / "out").exists()


def test_what_can_be_compared_is_checked_without_a_word():
    data, monitor = TINY["data"] | {"n_heldout": 128}, TINY["monitor"] | {"quality": True}
    (plan,) = plans_of(Experiment.model_validate({"name": "tiny", **TINY, "data": data, "monitor": monitor}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_data_and_network([plan])
