"""monitor.hidden: what it adds to a run's record, and that a run without it is what it was."""

import pytest
from pydantic import ValidationError
from tiny import TINY, tiny

from taumem.analysis import find_onsets
from taumem.errors import ConfigError
from taumem.lab import Experiment, load_experiment, make_run, plans_of
from taumem.record import QUANTITIES, RunRecord, family_of

TOKENS = {
    "grammar": {
        "data": {"source": "grammar", "v": 4, "m": 2, "s": 2, "L": 2, "n_heldout": 6},
        "model": {"kind": "tree", "widths": 8},
    },
    "text": {
        "data": {"source": "text", "window": 16, "n_heldout": 16},
        "model": {"kind": "transformer", "width": 8, "depth": 1, "heads": 1},
    },
}


def made(folder, experiment):
    plan = plans_of(experiment)[0]
    make_run(plan, folder)
    return RunRecord.read(folder / plan.name)


def test_it_adds_its_quantities_at_each_look_at_samples_and_changes_no_other_number(tmp_path):
    seldom = TINY["monitor"] | {"first": 15, "per_doubling": 1}
    plain = made(tmp_path / "plain", tiny(monitor=seldom))
    more = made(tmp_path / "more", tiny(monitor=seldom | {"hidden": True}))
    added = {m.quantity for m in more.measurements} - {m.quantity for m in plain.measurements}
    returns = {"uturn_returns", "uturn_returns_chance", "basin", "basin_heldout"}
    assert added == {"cycled_copies", "cycled_copies_chance", *returns} <= set(QUANTITIES)
    assert more.curve("cycled_copies").steps.tolist() == more.curve("copy_fraction").steps.tolist()
    assert {"Cycling", "UTurns"} <= set(more.header.probes)
    same = {m.key: m.value for m in more.measurements if m.quantity not in added}
    assert same == {m.key: m.value for m in plain.measurements}
    assert {"tau_cycled[0.05]", "tau_uturn[0.1]"} <= {onset.clock for onset in find_onsets([more])}


@pytest.mark.parametrize("kind", TOKENS)
@pytest.mark.parametrize("diffusion", ["masked", "uniform"])
def test_tokens_are_asked_too_and_texts_also_by_place(tmp_path, kind, diffusion):
    steps = {"min_steps": 8, "steps_per_example": 0, "batch_size": 4}
    monitor = {"first": 8, "n_items": 4, "n_heldout_items": 8, "n_samples": 4, "sampling_steps": 4, "hidden": True}
    parts = {"diffusion": {"kind": diffusion}, "training": steps, "monitor": monitor}
    model = TOKENS[kind]["model"] | ({"time_features": 2} if (kind, diffusion) == ("grammar", "uniform") else {})
    experiment = {"name": "tiny", "n_train": [8], "twins": False, **TOKENS[kind], "model": model, **parts}
    record = made(tmp_path, Experiment.model_validate(experiment))
    found = {m.quantity for m in record.measurements}
    assert {family_of(name) for name in found} <= set(QUANTITIES)
    assert {"cycled_copies", "uturn_returns", "basin"} <= found
    places = {"infill_copies[start 0.5]", "infill_copies[middle 0.5]", "infill_copies[end 0.5]"}
    assert (places <= found) == (kind == "text" and diffusion == "masked")
    assert record.header.probes["Cycling"]["times_more"] == (8 / 6 if kind == "grammar" else 1)


def test_without_samples_or_in_latents_it_is_refused():
    with pytest.raises((ConfigError, ValidationError), match=r"monitor.hidden sends samples around.*n_samples is 0"):
        load_experiment("images", ["monitor.hidden=true", "monitor.n_samples=0"])
