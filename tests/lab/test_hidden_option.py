"""monitor.hidden: what it adds to a run's record, and that a run without it is what it was."""

import shutil

import numpy as np
import pytest
from pydantic import ValidationError
from tiny import TINY, tiny

from taumem.analysis import find_onsets
from taumem.audit import audit
from taumem.cli import main
from taumem.data.readers import opening
from taumem.errors import ConfigError, DataError, RecordError
from taumem.lab import Experiment, load_experiment, make_run, plans_of, stressing
from taumem.lab.stressing import plan_of, stress
from taumem.probes import Cycling
from taumem.record import QUANTITIES, RunRecord, family_of
from taumem.record.sealing import seal

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


def test_samples_that_are_there_are_not_drawn_again_and_no_number_changes(tmp_path):
    monitor = TINY["monitor"] | {"hidden": True}
    prepared = plans_of(tiny(monitor=monitor))[0].prepare()
    denoiser = prepared.learner().averaged.eval()
    drawn, found = [], []
    for is_shared in (True, False):
        with RunRecord.open(tmp_path / str(is_shared), prepared.header()) as record:
            made = prepared.monitor(record)
            (cycling,) = (probe for probe in made.costly_probes if isinstance(probe, Cycling))
            assert (cycling.sampler, cycling.seed) == (made.sampler, made.seed)
            sampler, counted = made.sampler, []
            made.sampler = lambda *given, of=sampler, n=counted: n.append(1) or of(*given)
            cycling.sampler = (
                made.sampler if is_shared else lambda *given, of=sampler, n=counted: n.append(1) or of(*given)
            )
            made.look(denoiser, 4, 16, samples=True)
            drawn.append(len(counted))
            found.append([(m.key, m.value, m.low, m.high) for m in record.measurements])
    assert drawn == [1, 2]
    assert found[0] == found[1]


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


def test_a_run_is_put_to_the_stress_test_by_its_last_checkpoint(tmp_path, capsys):
    monitor = {"first": 15, "per_doubling": 1, "n_samples": 4, "sampling_steps": 3}
    experiment = tiny(monitor=TINY["monitor"] | monitor)
    record = made(tmp_path, experiment)
    plan, made_by = plan_of(record), plans_of(experiment)[0]
    assert (plan.name, plan.experiment.recipe) == (made_by.name, experiment.recipe)
    with pytest.raises(SystemExit) as leaving:
        main(["stress", str(record.path), "-o", str(tmp_path / "s"), "--samples", "30", "--cycles", "2"])
    assert not leaving.value.code
    assert "taumem audit --train" in capsys.readouterr().out
    sets = {name: np.load(tmp_path / "s" / f"{name}.npy") for name in ("generated", "train", "heldout", "stressed")}
    assert {name: len(items) for name, items in sets.items()} == {
        "generated": 30,
        "train": 8,
        "heldout": 64,
        "stressed": 30,
    }
    assert not np.array_equal(sets["generated"], sets["stressed"])
    stressed = sets.pop("stressed")
    assert audit(**sets, stress=stressed, parts=False).stress.copies.n == 30
    shutil.rmtree(record.path / "checkpoints")
    with pytest.raises(RecordError, match="its weights are gone"):
        stress(record.path, tmp_path / "again")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    monitor = {"first": 15, "per_doubling": 1, "n_samples": 4, "sampling_steps": 3}
    return made(tmp_path_factory.mktemp("study"), tiny(monitor=TINY["monitor"] | monitor)).path


def test_more_samples_than_one_block_holds_go_through_the_model_block_by_block(run, tmp_path, monkeypatch):
    def drawn(n):
        folder = stress(run, tmp_path / str(n), n_samples=n, cycles=1)
        return [np.load(folder / f"{name}.npy") for name in ("generated", "stressed")]

    few = drawn(8)
    monkeypatch.setattr(stressing, "BLOCK", 8)
    asked, draw = [], stressing.draw_samples
    monkeypatch.setattr(stressing, "draw_samples", lambda *args: asked.append(draw(*args)) or asked[-1])
    more = drawn(20)
    assert [len(block) for block in asked] == [8, 8, 4]
    for first, whole in zip(few, more, strict=True):
        assert np.array_equal(first, whole[:8])
        assert len(np.unique(whole, axis=0)) == 20


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("samples", "99999999", "n_samples (--samples) is how many are drawn, from 2 to 10,000,000; got 99,999,999."),
        ("samples", "1", "n_samples (--samples) is how many are drawn, from 2 to 10,000,000; got 1."),
        ("time", "1.5", "t (--time) is the time that samples are sent to, between 0 and 1; got 1.5."),
        ("cycles", "0", "cycles (--cycles) is how often samples are sent around, at least once; got 0."),
    ],
)
def test_a_number_of_the_stress_test_that_cannot_be_is_one_line_that_names_it(
    run, tmp_path, capsys, monkeypatch, option, value, said
):
    monkeypatch.setattr(stressing, "load_checkpoint", None)  # it is refused before anything is read
    with pytest.raises(SystemExit) as leaving:
        main(["stress", str(run), "-o", str(tmp_path / "s"), f"--{option}", value])
    assert leaving.value.code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def test_samples_that_fill_the_memory_are_refused_before_they_are_drawn(run, tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "memory_of_machine", lambda: 1_000_000)
    with pytest.raises(DataError, match=r"the samples: needs .* GB of memory.* Ask for fewer \(--samples\)"):
        stress(run, tmp_path / "s", n_samples=100_000)


def test_the_stress_test_says_which_folder_it_expects(run, tmp_path):
    with pytest.raises(RecordError, match=r"no run here .*expected a run's folder, such as .*P000008-seed0"):
        stress(run.parent, tmp_path / "s")
    sealed = seal(run.parent, tmp_path / "study.sealed")
    for place in (sealed, tmp_path / "study.sealed" / run.name):
        with pytest.raises(RecordError, match=r"a sealed study keeps no weights.*expected the folder of a run"):
            stress(place, tmp_path / "s")


def test_the_plan_of_a_record_of_before_has_todays_names_and_one_that_draws_nothing_is_refused(tmp_path):
    record = made(tmp_path, tiny(monitor=TINY["monitor"] | {"n_samples": 0}))
    monitor = record.header.experiment["monitor"]
    old = {("levels" if key == "times" else key): value for key, value in monitor.items()}

    def plan_with(**changed):
        changed = record.header.experiment | changed
        return plan_of(RunRecord.of(record.header.model_copy(update={"experiment": changed}), record.measurements))

    assert list(plan_with(monitor=old).experiment.monitor.times) == monitor["times"]
    diffusion = record.header.experiment["diffusion"] | {"only_at": 0.2}
    with pytest.raises(ConfigError, match="no sample can be drawn"):
        plan_with(diffusion=diffusion, monitor=monitor | {"times": [0.2]})
