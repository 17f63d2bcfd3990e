"""Random features in the laboratory: ordinary runs, at one diffusion time, that follow what is derived of them."""

import numpy as np
import pytest
import torch

from taumem.errors import ConfigError
from taumem.lab import load_experiment, make_run, plans_of
from taumem.lab.domain import Asked, nearness
from taumem.models import GradientFlow, moments_of_items
from taumem.probes import usual_attacks
from taumem.record import RunRecord

TINY = [
    "data.dimensions=6",
    "data.n_items=600",
    "data.n_heldout=256",
    "n_train=[64]",
    "diffusion.only_at=0.4",
    "monitor.times=[0.4]",
    "seeds=[0]",
    "model.width=96",
    "training.learning_rate=8",
    "training.batch_size=256",
    "training.min_steps=60",
    "training.steps_per_example=0",
    "monitor.n_heldout_items=256",
]


def test_a_run_of_the_preset_follows_the_curve_that_is_derived(tmp_path):
    [plan] = plans_of(load_experiment("random-features", TINY))
    make_run(plan, tmp_path)
    run = plan.prepare()
    network = run.learner().denoiser.network
    train, heldout = (moments_of_items(network, run.diffusion, of, 0.4) for of in (run.split.train, run.split.heldout))
    flow = GradientFlow(train)
    record = RunRecord.read(tmp_path / plan.name)
    for quantity, moments in (("train_loss", train), ("heldout_loss", heldout)):
        curve = record.curve(quantity)
        derived = flow.losses(moments, 8.0 * torch.tensor(curve.steps), learning_rate=8.0).numpy()
        # Items are asked under one draw of noise each, the same at every look: their mean is off by a factor.
        ratio = curve.values / derived
        assert derived.min() < 0.75
        np.testing.assert_allclose(ratio / ratio[0], 1, atol=0.03)
        assert ratio[0] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["monitor.times=[0.1, 0.2]"], r"only_at = 0\.2 is the one time of every loss"),
        (["monitor.n_samples=4"], "set monitor.times"),
        (["diffusion.learned_variance=true", "diffusion.eta=1"], "only_at is one time"),
        (["data.source=text"], "takes"),
    ],
)
def test_what_one_time_cannot_do_is_refused(changes, words):
    with pytest.raises(ConfigError, match=words):
        load_experiment("random-features", changes)


def test_what_is_asked_of_a_process_of_one_time_is_asked_at_that_time():
    [plan] = plans_of(load_experiment("random-features", TINY))
    run = plan.prepare()
    asked = Asked(run.diffusion, run.split, {"train": run.split.train, "heldout": run.split.heldout}, (0.4,), 8, 64, 0)
    assert nearness(asked).times == (0.4,)
    assert [attack.name for attack in usual_attacks(run.diffusion, (0.4,))] == ["averaged"]
