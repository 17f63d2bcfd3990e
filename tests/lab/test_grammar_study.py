"""A study of strings: trained one by one or together, interrupted, and stopped once it has memorized."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from small_sweeps import Worker

from taumem.analysis import PhaseDiagram, find_onsets
from taumem.errors import ConfigError, RecordError
from taumem.lab import Experiment, Interrupted, make_run, make_runs_together, make_study, plans_of
from taumem.monitor import Monitor
from taumem.record import RunRecord, seal, unseal

TINY = {
    "name": "tiny-grammar",
    "n_train": [8, 16, 24],
    "twins": False,
    "data": {"source": "grammar", "v": 4, "m": 2, "s": 2, "L": 2, "n_heldout": 8},
    "diffusion": {"kind": "masked", "weighting": "x0"},
    "model": {"kind": "tree", "widths": [16, 24]},
    "training": {
        "batch_size": 8,
        "learning_rate": 1e-2,
        "ema_window": None,
        "min_steps": 60,
        "steps_per_example": 0,
        "together": True,
    },
    "monitor": {
        "times": [0.3, 0.6],
        "n_items": 8,
        "n_heldout_items": 8,
        "first": 4,
        "per_doubling": 2,
        "n_samples": 64,
        "sampling_steps": 8,
    },
}


def tiny(**changes) -> Experiment:
    return Experiment.model_validate({**TINY, **changes})


def training(**changes) -> dict:
    return {"training": {**TINY["training"], **changes}}


def measured(record: RunRecord) -> dict:
    return {m.key: m.value for m in record.measurements}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["masked", "uniform"])
def test_runs_that_train_together_are_those_that_train_one_by_one(tmp_path, kind):
    study = tiny(diffusion={"kind": kind, "weighting": "x0"})
    together = make_study(study, tmp_path / "together", workers=1)
    for record, plan in zip(together, plans_of(study), strict=True):
        make_run(plan, tmp_path / "alone")
        alone = RunRecord.read(tmp_path / "alone" / plan.name)
        losses = {key: value for key, value in measured(alone).items() if key[1].endswith("_loss")}
        assert len(losses) > 50
        assert {key: measured(record)[key] for key in losses} == pytest.approx(losses, rel=1e-3)
        assert measured(record).keys() == measured(alone).keys()
        assert record.header == alone.header


@pytest.mark.slow
def test_two_workers_share_the_runs_out(tmp_path):
    progress: list[tuple[int, int]] = []
    at_once = make_study(
        tiny(),
        tmp_path / "two",
        workers=2,
        executor=Worker(tmp_path / "worker"),
        progress=lambda done, total: progress.append((done, total)),
    )
    in_turn = make_study(tiny(), tmp_path / "one", workers=1)
    for one, other in zip(at_once, in_turn, strict=True):
        assert measured(one) == pytest.approx(measured(other), abs=0.2)
        assert one.last_step == other.last_step == 60
    assert progress[0] == (0, 180)
    assert progress[-1] == (180, 180)


@pytest.mark.slow
@pytest.mark.parametrize("interrupted_at", [1, 8, 37])
def test_interrupted_together_they_end_as_unbroken_ones(tmp_path, interrupted_at):
    plans = plans_of(tiny())
    make_runs_together(plans, tmp_path / "unbroken")

    def on_step(plan, step: int) -> None:
        if plan.n_train == 16 and step == interrupted_at:
            raise Interrupted

    with pytest.raises(Interrupted):
        make_runs_together(plans, tmp_path / "broken", on_step)
    make_runs_together(plans, tmp_path / "broken")
    for plan in plans:
        unbroken, broken = (RunRecord.read(tmp_path / which / plan.name) for which in ("unbroken", "broken"))
        assert measured(broken) == measured(unbroken)
        states = [load_file(plan.checkpoint(tmp_path / which, 60)) for which in ("unbroken", "broken")]
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[0] | states[1])


def test_runs_that_a_kill_left_at_different_steps_go_on(tmp_path):
    plans = plans_of(tiny())

    def on_step(plan, step: int) -> None:
        if step == 20:
            raise Interrupted

    with pytest.raises(Interrupted):
        make_runs_together(plans[:1], tmp_path, on_step)
    make_runs_together(plans, tmp_path)
    assert {RunRecord.read(tmp_path / plan.name).last_step for plan in plans} == {60}


def test_what_stops_one_run_saves_the_others_at_one_step(tmp_path):
    plans = plans_of(tiny())

    def on_step(plan, step: int) -> None:
        if plan == plans[1] and step == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_runs_together(plans, tmp_path, on_step)
    assert [[int(file.stem) for file in plan.checkpoints(tmp_path)] for plan in plans] == [[10], [10], [10]]


def test_runs_that_diverge_are_not_saved(tmp_path):
    plans = plans_of(tiny(**training(learning_rate=1e20)))
    with pytest.raises(RecordError, match="finite"):
        make_runs_together(plans, tmp_path)
    assert [len(plan.checkpoints(tmp_path)) for plan in plans] == [0, 0, 0]


@pytest.mark.slow
def test_a_look_that_another_runs_end_prevented_is_made_up_for(tmp_path, monkeypatch):
    plans = plans_of(tiny())
    make_runs_together(plans, tmp_path / "unbroken")
    plain_look = Monitor.look

    def look(self, denoiser, step, *arguments, **options):
        if step == 8 and self.record.path == tmp_path / "broken" / plans[1].name:
            raise MemoryError
        return plain_look(self, denoiser, step, *arguments, **options)

    monkeypatch.setattr(Monitor, "look", look)
    with pytest.raises(MemoryError):
        make_runs_together(plans, tmp_path / "broken")
    monkeypatch.undo()
    assert [len(plan.checkpoints(tmp_path / "broken")) for plan in plans] == [1, 0, 1]
    make_runs_together(plans, tmp_path / "broken")
    for plan in plans:
        unbroken, broken = (RunRecord.read(tmp_path / which / plan.name) for which in ("unbroken", "broken"))
        assert broken.steps == unbroken.steps


def test_a_record_that_is_older_than_a_key_goes_on(tmp_path):
    (plan, *_) = plans_of(tiny(n_train=[8]))
    make_run(plan, tmp_path)
    file = tmp_path / plan.name / "run.json"
    header = json.loads(file.read_text())
    del header["experiment"]["training"]["stop_at_copies"], header["check"]
    file.write_text(json.dumps(header))
    steps: list[int] = []
    make_run(plan, tmp_path, lambda plan, step: steps.append(step))
    assert steps == []
    header["experiment"]["training"]["learning_rate"] = 0.5
    file.write_text(json.dumps(header))
    with pytest.raises(RecordError, match="another run"):
        make_run(plan, tmp_path)


@pytest.mark.slow
def test_a_run_ends_once_it_has_memorized_and_is_not_made_again(tmp_path):
    study = tiny(n_train=[8, 24], **training(stop_at_copies=0.3, min_steps=1000, learning_rate=5e-3))
    small, large = make_study(study, tmp_path, workers=1)
    assert small.last_step < large.last_step <= 1000
    copies, chance = small.curve("copy_fraction"), small.curve("copy_fraction_chance")
    above = copies.values - chance.values
    assert (above[-2:] > 0.3).all()
    assert above[-3] <= 0.3 or above[-2] <= 0.3 or len(above) == 2
    assert not ((above[:-2] > 0.3) & (above[1:-1] > 0.3)).any()  # it did not go on longer than it had to
    lines = (small.path / "measurements.jsonl").read_text()
    make_study(study, tmp_path, workers=1)
    assert (small.path / "measurements.jsonl").read_text() == lines


def test_a_study_of_a_grammar_has_levels_and_a_price(tmp_path):
    records = make_study(tiny(), tmp_path, workers=1)
    assert records[0].header.data.sample_complexities == (16, 32)
    onsets = find_onsets(records)
    clocks = {onset.clock for onset in onsets}
    assert {"tau_gen", "tau_level[1]", "tau_level[2]", "tau_val", "tau_gap[0.1]", "tau_copy[0.05]"} <= clocks
    diagram = PhaseDiagram.of(records, onsets).to_json()
    assert [size["n_train"] for size in diagram["levels"]] == [8, 16, 24]


def test_twins_draw_disjoint_strings(tmp_path):
    a, b = plans_of(tiny(n_train=[12], twins=True))
    one, other = a.prepare(), b.prepare()
    assert torch.equal(other.twin_items, one.split.train)
    assert torch.equal(one.twin_items, other.split.train)
    assert not set(map(tuple, one.split.train.tolist())) & set(map(tuple, other.split.train.tolist()))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_train": [30]}, r"30 and 8 held out are 38 strings, but the grammar has only 32"),
        ({"data": {**TINY["data"], "m": 5}}, r"ambiguous.*m\*v = 20 different tuples.*v\^s = 16"),
        ({"model": {"kind": "tree", "widths": [8, 8, 8]}}, r"widths names 3 levels and the tree has L = 2"),
    ],
)
def test_what_cannot_be_is_refused_before_a_folder_is_made(tmp_path, changes, words):
    with pytest.raises(ConfigError, match=words):
        make_study(tiny(**changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_control_without_the_trees_structure_takes_tokens_too(tmp_path):
    study = tiny(n_train=[8], model={"kind": "mlp", "width": 32, "depth": 1}, **training(min_steps=8))
    (record,) = make_study(study, tmp_path, workers=1)
    assert record.last_step == 8


def test_a_run_that_a_kill_cut_between_any_two_facts_goes_on(tmp_path):
    (plan, *_) = plans_of(tiny(n_train=[8], training={**TINY["training"], "stop_at_copies": 0.5}))
    make_run(plan, tmp_path / "unbroken")
    whole = (tmp_path / "unbroken" / plan.name / "measurements.jsonl").read_bytes().splitlines(keepends=True)
    copies = [k for k, line in enumerate(whole) if b'"copy_fraction"' in line]
    for cut in (copies[1] + 1, copies[-1] + 1):  # after the copies, before their chance level
        folder = tmp_path / f"cut{cut}" / plan.name
        shutil.copytree(tmp_path / "unbroken" / plan.name, folder, ignore=shutil.ignore_patterns("checkpoints"))
        (folder / "measurements.jsonl").write_bytes(b"".join(whole[:cut]))
        make_run(plan, folder.parent)
        unbroken, broken = (RunRecord.read(place / plan.name) for place in (tmp_path / "unbroken", folder.parent))
        assert {m.key: m.value for m in broken.measurements} == {m.key: m.value for m in unbroken.measurements}


def test_a_study_that_was_sealed_and_unsealed_is_not_made_again(tmp_path):
    experiment = tiny(n_train=[8])
    make_study(experiment, tmp_path / "study", workers=1)
    again = unseal(seal(tmp_path / "study"), tmp_path / "again")
    steps: list[int] = []
    (plan, *_) = plans_of(experiment)
    make_run(plan, again, lambda plan, step: steps.append(step))
    assert steps == []
    assert not plan.checkpoints(again)
