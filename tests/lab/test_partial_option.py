"""monitor.partial: what it adds to a run's record in each domain, and that a run without it is what it was."""

import pytest
from pydantic import ValidationError

from taumem.errors import ConfigError
from taumem.lab import Experiment, load_experiment, make_run, plans_of
from taumem.record import QUANTITIES, RunRecord, family_of

TRAINING = {"min_steps": 16, "steps_per_example": 0, "batch_size": 8}
MONITOR = {"first": 8, "per_doubling": 1, "samples_per_doubling": 1, "n_samples": 8, "sampling_steps": 3}
MASKED = {"kind": "masked"}
MLP = {"kind": "mlp", "width": 16, "depth": 1}
DOMAINS = {
    "images": {"data": {"source": "fashion-mnist", "size": 8, "n_heldout": 40}},
    "text": {"data": {"source": "text", "window": 16, "n_heldout": 40}, "diffusion": MASKED},
    "grammar": {
        "data": {"source": "grammar", "v": 4, "m": 2, "s": 2, "L": 2, "n_heldout": 20},
        "diffusion": MASKED,
    },
}
MOTIFS = {"images": ("0.25", "0.5"), "text": ("2", "4"), "grammar": ("1",)}


def made(folder, name, **monitor):
    sections = {"n_train": [8], "twins": False, "model": MLP, "training": TRAINING} | DOMAINS[name]
    experiment = Experiment.model_validate({"name": name, **sections, "monitor": MONITOR | monitor})
    (plan,) = plans_of(experiment)
    make_run(plan, folder)
    return RunRecord.read(folder / plan.name)


@pytest.mark.parametrize("name", DOMAINS)
def test_it_adds_its_quantities_at_each_look_at_samples_and_changes_no_other_number(tmp_path, name):
    plain, more = made(tmp_path / "plain", name), made(tmp_path / "more", name, partial=True)
    added = {m.quantity for m in more.measurements} - {m.quantity for m in plain.measurements}
    parts = {f"part_copies{end}[{x}]" for end in ("", "_chance") for x in ("0.25", "0.5", "0.75", "1")}
    kinds = ("motif_divergence", "motif_divergence_chance", "motif_surprise", "motif_surprise_chance")
    expected = parts | {f"{kind}[{size}]" for kind in kinds for size in MOTIFS[name]}
    assert added <= expected
    assert expected - added <= {"motif_surprise[4]"}  # of fresh weights, whose texts have no motif of the language
    assert {family_of(quantity) for quantity in added} <= set(QUANTITIES)
    assert more.curve("part_copies[0.5]").steps.tolist() == more.curve("copy_fraction").steps.tolist()
    assert more.header.probes["PartCopies"]["sizes"] == [0.25, 0.5, 0.75, 1]
    same = {m.key: m.value for m in more.measurements if m.quantity not in added}
    assert same == {m.key: m.value for m in plain.measurements}


def test_what_has_no_parts_and_no_samples_is_refused_in_one_line(tmp_path):
    (plan, *_) = plans_of(load_experiment("mixture", ["monitor.partial=true", "n_train=[8]"]))
    with pytest.raises(ConfigError, match=r"parts of images, texts or strings; .* 'mixture' has none"):
        make_run(plan, tmp_path)
    with pytest.raises((ConfigError, ValidationError), match="n_samples is 0"):
        load_experiment("images", ["monitor.partial=true", "monitor.n_samples=0"])
