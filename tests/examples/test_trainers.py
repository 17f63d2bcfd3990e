"""The guard in trainers of others: each file of examples/trainers against a stand-in with that trainer's hooks."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

import taumem

HERE = Path(__file__).parent
ADAPTERS = HERE.parents[1] / "examples" / "trainers"


def loaded(file):
    spec = importlib.util.spec_from_file_location(f"loaded_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


stand_ins = loaded(HERE / "stand_in_trainers.py")


def test_every_adapter_has_its_stand_in():
    assert {file.stem for file in ADAPTERS.glob("*.py")} == set(stand_ins.TRAINERS)


@pytest.mark.slow
@pytest.mark.parametrize("name", stand_ins.TRAINERS)
def test_a_guarded_trainer_stops_keeps_a_checkpoint_and_trains_as_without_a_guard(name, tmp_path, monkeypatch):
    made = []

    def strict(*arguments, **options):
        made.append(taumem_guard(*arguments, **options, strict=True, budget=None, n_draws=8))
        return made[-1]

    taumem_guard = taumem.Guard
    monkeypatch.setattr(taumem, "Guard", strict)
    monkeypatch.setattr(sys, "path", [*sys.path])
    run = stand_ins.TRAINERS[name](monkeypatch)
    (tmp_path / "guarded").mkdir()
    net = run(loaded(ADAPTERS / f"{name}.py"), tmp_path / "guarded", stand_ins.LIMIT)
    (guard,) = made
    facts, verdict = guard.record.header.data, guard.verdict
    assert (facts.n_train, facts.n_heldout) == (stand_ins.N_TRAIN, stand_ins.N_HELDOUT)
    assert verdict.stop
    assert verdict.reason == "gap_opened"
    assert verdict.step < stand_ins.LIMIT
    assert Path(verdict.checkpoint.path).exists()
    assert verdict.checkpoint.step == verdict.keep

    (tmp_path / "alone").mkdir()
    alone = run(None, tmp_path / "alone", verdict.step)
    assert all(map(torch.equal, net.state_dict().values(), alone.state_dict().values()))


def test_kohyas_items_are_images_once_each_whatever_the_batches_are():
    images = loaded(ADAPTERS / "kohya.py").images_of(stand_ins.Group(stand_ins.TRAIN))
    assert len(images) == stand_ins.N_TRAIN
    assert torch.equal(torch.cat([image["latents"] for image in images]), stand_ins.TRAIN)
    assert images[0]["captions"] == ["a word"]
    assert [ids.shape for ids in images[0]["input_ids_list"]] == [(1, 3)]
    assert images[0]["images"] is None
