"""Names of scalars: what trainers mean by them, and what is refused."""

import pytest

from taumem.errors import DataError
from taumem.logs.names import NAMES, Meaning, axis_of, chosen, meaning_of


def heldout(*tags, asked=None):
    return chosen(Meaning.HELDOUT, tags, asked, "heldout")


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (("loss/validation/step_average", "loss/validation/step_divergence", "loss/average", "loss/current"),) * 2,
        (("loss/validation_step/total_average", "loss/validation_step/cat", "loss/train_step"),) * 2,
        (("loss/val/cats", "loss/train"),) * 2,
        (("val/loss", "loss/loss"),) * 2,
        (("loss/val", "loss/train-stabilized"),) * 2,
        (("val/nll", "val/ppl", "trainer/loss"),) * 2,
        (("eval_loss", "eval_runtime", "loss", "train_loss", "grad_norm"),) * 2,
        (("eval_cats_loss", "eval_train_loss", "loss"),) * 2,
        (("val_loss", "train_loss_step", "train_loss_epoch"),) * 2,
        (("taumem/heldout_loss", "val/loss"),) * 2,
        (("VAL/Loss", "lr"),) * 2,
    ],
)
def test_the_held_out_loss_of_each_trainer_is_found(tags, expected):
    assert heldout(*tags) == expected[0]


@pytest.mark.parametrize(
    "tags",
    [
        ("loss", "lr"),
        ("loss/average", "loss/current"),
        ("loss/validation/step_divergence", "loss/average"),
        ("smooth_loss/train_step", "loss/train_step"),
        ("val_accuracy", "train_loss"),
        ("val_loss_step",),
    ],
)
def test_nothing_is_taken_for_a_held_out_loss_that_is_none(tags):
    assert heldout(*tags) is None


def test_several_that_could_be_meant_are_refused_by_name():
    with pytest.raises(DataError, match=r"loss/val/cats, loss/val/dogs; name one by heldout \(--heldout\)"):
        heldout("loss/val/cats", "loss/val/dogs")
    assert heldout("loss/val/cats", "loss/val/dogs", asked="loss/val/dogs") == "loss/val/dogs"


def test_a_name_that_is_not_there_is_answered_with_the_nearest_one():
    with pytest.raises(DataError, match="did you mean 'val/loss'"):
        heldout("val/loss", "lr", asked="val/los")


def test_a_difference_is_no_loss_even_where_it_is_asked_for():
    with pytest.raises(DataError, match="moving average"):
        heldout("loss/validation/step_divergence", asked="loss/validation/step_divergence")


def test_the_loss_on_training_items_that_stay_the_same_is_told_from_that_of_batches():
    assert meaning_of("loss/train-stabilized").meaning is Meaning.TRAIN
    assert meaning_of("eval_train_loss").meaning is Meaning.TRAIN
    assert meaning_of("train/loss").meaning is Meaning.NOISY
    assert chosen(Meaning.TRAIN, ["loss", "train_loss"], None, "train") is None


def test_columns_that_count():
    assert [axis_of(name) for name in ("Step", "trainer/global_step", "_step", "epoch", "val_loss")] == [
        "steps",
        "steps",
        "steps",
        "epochs",
        None,
    ]


def test_each_row_of_the_table_is_reached_by_a_name_that_it_shows():
    for name in NAMES:
        first = name.shown.split(",")[0].replace("{concept}", "cat").replace("{dataset}", "cats").replace("{k}", "0")
        assert meaning_of(first) is name, first
