"""What the paper's scale needs, at a small one: learned variances and checkpointed activations in a run."""

import pytest
import torch
from tiny import tiny

from taumem.diffusion import LearnedVariance
from taumem.errors import ConfigError
from taumem.lab import RunPlan, load_experiment, make_run
from taumem.record import RunRecord

UNET = {"kind": "unet", "channels": 8, "multipliers": [1, 2], "blocks": 1, "dropout": 0.1}
LEARNED = {"learned_variance": True, "eta": 1.0, "vlb_weight": 0.1, "vlb_steps": 100}


def of_images(diffusion=None, model=UNET, **training):
    usual = {"batch_size": 4, "learning_rate": 1e-2, "min_steps": 12, "steps_per_example": 0}
    return tiny(
        data={"source": "fashion-mnist", "size": 8, "n_heldout": 80},
        model=model,
        diffusion=diffusion or {},
        twins=False,
        training=usual | training,
    )


def made(experiment, folder):
    plan = RunPlan(experiment, 8, 0, None)
    make_run(plan, folder)
    return plan, RunRecord.read(folder / plan.name)


def values(record):
    return [(m.quantity, m.step, m.t, m.value) for m in record.measurements]


@pytest.mark.slow
def test_a_checkpointed_run_measures_what_another_does_to_the_last_bit(tmp_path):
    _, plain = made(of_images(), tmp_path / "plain")
    _, again = made(of_images(checkpoint_activations=True), tmp_path / "again")
    assert values(plain) == values(again)
    assert again.header.experiment["training"]["checkpoint_activations"] is True


@pytest.mark.slow
def test_learned_variances_are_trained_and_the_simple_loss_is_measured(tmp_path):
    plan, record = made(of_images(LEARNED), tmp_path)
    prepared = plan.prepare()
    assert isinstance(prepared.diffusion, LearnedVariance)
    assert (prepared.diffusion.vlb_weight, prepared.objective.vlb_weight, prepared.objective.n_steps) == (0, 0.1, 100)
    assert {m.quantity for m in record.measurements} >= {"train_loss", "heldout_loss", "gap", "copy_fraction"}
    learner = prepared.learner()
    xt, t = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([0.3, 0.7])
    assert learner.denoiser(xt, t).shape == xt.shape
    _, unbounded = made(of_images(LEARNED | {"vlb_weight": 0}), tmp_path / "0")
    assert values(record) != values(unbounded)  # clipping and the samples know of the bound


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"diffusion": {"learned_variance": True}}, "learned_variance is that of ancestral sampling; set eta = 1"),
        ({"diffusion": LEARNED, "together": True}, r"together does not do diffusion\.learned_variance"),
        ({"checkpoint_activations": True, "together": True}, r"together does not do training\.checkpoint_activations"),
    ],
)
def test_what_does_not_go_together_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        of_images(model=UNET | {"dropout": 0}, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"diffusion": LEARNED}, "learned_variance needs a network with outputs for it"),
        ({"checkpoint_activations": True}, "networks in stages"),
    ],
)
def test_a_network_that_cannot_do_it_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        RunPlan(of_images(model={"kind": "mlp"}, **options), 8, 0, None).prepare().learner()


def test_the_papers_image_network_has_about_half_a_billion_parameters():
    experiment = load_experiment("favero-cifar10")
    with torch.device("meta"):
        network = experiment.model.build(None, (3, 32, 32), experiment.diffusion.build(None), torch.Generator())
    assert 450e6 < sum(weights.numel() for weights in network.parameters()) < 550e6


def test_a_crop_is_said_as_true_or_as_a_side_in_pixels():
    crops = [load_experiment("own-images", [f"data.crop={crop}"]).data.crop for crop in ("true", "140", "false")]
    assert crops == [True, 140, False]
    with pytest.raises(ConfigError, match=r"n_heldout: expected a number.*; got true or false"):
        load_experiment("own-images", ["data.n_heldout=true"])
