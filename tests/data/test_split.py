"""Split: disjoint, without duplicates, nested, and recognizable by its fingerprint."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from taumem.data import Split
from taumem.data.pixels import from_bytes
from taumem.data.stored import Stored
from taumem.errors import DataError


def items_set(items: Tensor) -> set[tuple[float, ...]]:
    """What the rows are, by value: an independent statement of equality."""
    return {tuple(row) for row in items.flatten(1).tolist()}


def distinct_items(n: int) -> Tensor:
    return torch.arange(n * 2, dtype=torch.float32).reshape(n, 1, 2) / (2 * n)


@given(
    values=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=40),
    n_heldout=st.integers(0, 5),
    seed=st.integers(0, 2**31),
)
def test_a_split_keeps_every_distinct_item_exactly_once(values, n_heldout, seed):
    items = torch.tensor(values, dtype=torch.float32)
    distinct = set(values)
    if n_heldout >= len(distinct):
        with pytest.raises(DataError, match=f"{len(distinct)} distinct items"):
            Split.make("toy", items, n_heldout, seed=seed)
        return
    split = Split.make("toy", items, n_heldout, seed=seed)
    train, heldout = items_set(split.train), items_set(split.heldout)
    assert len(split.heldout) == n_heldout == len(heldout)
    assert len(split) == len(train)
    assert train | heldout == distinct
    assert not train & heldout


@given(n=st.integers(2, 30), seed=st.integers(0, 1000), data=st.data())
def test_first_gives_nested_sets_and_halves_disjoint_ones_nested_too(n, seed, data):
    split = Split.make("toy", distinct_items(n + 3), 3, seed=seed)
    small = data.draw(st.integers(1, n))
    large = data.draw(st.integers(small, n))
    assert torch.equal(split.first(large).train[:small], split.first(small).train)
    assert torch.equal(split.first(small).heldout, split.heldout)

    one, two = split.halves()
    assert not items_set(one.train) & items_set(two.train)
    assert items_set(one.train) | items_set(two.train) == items_set(split.train)
    assert torch.equal(one.heldout, split.heldout)
    assert torch.equal(two.heldout, split.heldout)
    for whole, part in zip(split.halves(), split.first(large).halves() if large > 1 else (), strict=False):
        assert torch.equal(whole.train[: len(part)], part.train)


def test_the_same_seed_gives_the_same_split_and_another_seed_another():
    items = distinct_items(50)
    split = Split.make("toy", items, 10, seed=3)
    assert Split.make("toy", items, 10, seed=3).fingerprint == split.fingerprint
    assert Split.make("toy", items, 10, seed=4).fingerprint != split.fingerprint


def test_later_duplicates_and_the_global_random_state_change_nothing():
    items = distinct_items(20)
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 - the global state is what must not matter
    before = torch.get_rng_state()
    split = Split.make("toy", torch.cat([items, items[[5, 2, 2]]]), 5)
    assert torch.equal(torch.get_rng_state(), before)
    assert split.fingerprint == Split.make("toy", items, 5).fingerprint


def test_the_heldout_items_stay_the_same_for_every_training_set_size():
    split = Split.make("toy", distinct_items(40), 8, seed=1)
    assert all(torch.equal(split.first(p).heldout, split.heldout) for p in (1, 5, 32))


@pytest.mark.parametrize(
    "change",
    [
        lambda train, heldout: (train + torch.eye(5, 2)[:, None] * 1e-3, heldout),
        lambda train, heldout: (train, heldout * 1.5),
        lambda train, heldout: (train[:-1], heldout),
        lambda train, heldout: (train.flip(0), heldout),
        lambda train, heldout: (train.double(), heldout.double()),
        lambda train, heldout: (train.reshape(5, 2), heldout.reshape(3, 2)),
        lambda train, heldout: (torch.cat([train, heldout[:1]]), heldout[1:]),
    ],
    ids=["one value", "heldout", "fewer", "order", "type", "shape", "the border between the parts"],
)
def test_the_fingerprint_changes_with_every_change_of_the_data(change):
    items = distinct_items(8)
    split = Split.of("toy", items[:5], items[5:])
    assert Split.of("toy", *change(items[:5], items[5:])).fingerprint != split.fingerprint


def test_the_fingerprint_does_not_depend_on_name_or_memory_layout():
    items = distinct_items(8)
    split = Split.of("toy", items[:5], items[5:])
    strided = items.transpose(0, 2).contiguous().transpose(0, 2)
    assert not strided.is_contiguous()
    assert Split.of("another name", strided[:5], strided[5:]).fingerprint == split.fingerprint


def test_minus_zero_and_zero_are_the_same_value():
    split = Split.make("toy", torch.tensor([[0.0], [-0.0], [1.0]]), 0)
    assert len(split) == 2
    with pytest.raises(DataError, match="both in the training set and held out"):
        Split.of("toy", torch.tensor([[0.0]]), torch.tensor([[-0.0]]))


def test_a_split_may_hold_nothing_out():
    items = distinct_items(4)
    assert len(Split.make("toy", items, 0).heldout) == 0
    assert len(Split.of("toy", items, items[:0])) == 4


@pytest.mark.parametrize("n_train", [0, -1, 8])
def test_asking_for_more_training_items_than_there_are_names_the_possible_sizes(n_train):
    split = Split.make("toy", distinct_items(10), 3)
    with pytest.raises(DataError, match=r"toy: .*choose P between 1 and 7"):
        split.first(n_train)


def test_one_item_cannot_be_halved():
    with pytest.raises(DataError, match="at least 2 items"):
        Split.make("toy", distinct_items(1), 0).halves()


def test_overlapping_sets_are_refused():
    items = distinct_items(6)
    with pytest.raises(DataError, match="2 items are both in the training set and held out"):
        Split.of("toy", items[:4], items[2:])


def test_duplicates_in_a_given_training_set_are_refused():
    items = distinct_items(6)
    with pytest.raises(DataError, match="2 of 6 training items are duplicates"):
        Split.of("toy", items[[0, 1, 1, 2, 2, 3]], items[4:])


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_refused_with_their_place(bad):
    items = distinct_items(6)
    items[4, 0, 1] = bad
    with pytest.raises(DataError, match=r"1 items hold NaN or infinite values .the first is item 4"):
        Split.make("toy", items, 2)


def test_training_and_heldout_items_must_agree_in_shape_and_type():
    with pytest.raises(DataError, match=r"shape \(2,\), held-out items \(3,\)"):
        Split.of("toy", torch.eye(2), torch.eye(3))
    with pytest.raises(DataError, match=r"torch.float32, held-out items torch.float64"):
        Split.of("toy", torch.eye(2), torch.eye(2, dtype=torch.float64))


@pytest.mark.parametrize("items", [torch.zeros(5), torch.zeros(5, 0), torch.tensor(1.0)])
def test_items_without_an_axis_are_refused(items):
    with pytest.raises(DataError, match="at least one axis"):
        Split.make("toy", items, 1)


def test_an_empty_data_set_is_refused():
    with pytest.raises(DataError, match="0 distinct items"):
        Split.make("toy", torch.zeros(0, 3), 0)
    with pytest.raises(DataError, match="training set is empty"):
        Split.of("toy", torch.zeros(0, 3), torch.zeros(2, 3))


def test_tokens_keep_their_vocabulary_through_first_and_halves():
    tokens = torch.cartesian_prod(torch.arange(4), torch.arange(4))
    split = Split.make("text", tokens, 4, vocabulary=4)
    assert split.vocabulary == 4
    assert split.first(3).vocabulary == 4
    assert [half.vocabulary for half in split.halves()] == [4, 4]
    assert split.train.dtype == torch.int64
    assert split.item_shape == (2,)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (torch.tensor([[0, 4]]), "from 0 to 3; got torch.int64 from 0 to 4"),
        (torch.tensor([[-1, 2]]), "from -1 to 2"),
        (torch.tensor([[0.0, 1.0]]), "must be integers"),
    ],
)
def test_tokens_outside_the_vocabulary_are_refused(tokens, message):
    with pytest.raises(DataError, match=message):
        Split.make("text", tokens, 0, vocabulary=4)


# --- another kind -----------------------------------------------------------------------------------------------------


def bytes_of(n: int, seed: int = 0) -> Tensor:
    return torch.randint(256, (n, 1, 4, 4), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


@pytest.mark.parametrize("images", [bytes_of(9), bytes_of(9).float(), bytes_of(9).float() * 0.9, bytes_of(9).numpy()])
def test_images_from_0_to_255_are_refused_with_what_to_do(images):
    with pytest.raises(DataError, match=r"toy: .*x / 127\.5 - 1"):
        Split.make("toy", images, 2)
    with pytest.raises(DataError, match=r"toy: .*x / 127\.5 - 1"):
        Split.of("toy", images[:7], images[7:])
    assert len(Split.make("toy", bytes_of(9) / 127.5 - 1, 2)) == 7


def test_images_of_16_bits_are_refused_too():
    with pytest.raises(DataError, match=r"from 0 to 65535: bring them there by 2 \* x / 65535 - 1"):
        Split.make("toy", torch.linspace(0, 65535, 160).reshape(10, 1, 4, 4), 2)


@pytest.mark.parametrize(
    "items",
    [
        torch.linspace(-4, 4, 640).reshape(10, 4, 4, 4),  # latents
        torch.linspace(0, 1, 160).reshape(10, 1, 4, 4),
        torch.linspace(0, 255, 160).reshape(10, 16),  # vectors of any range
    ],
)
def test_latents_and_vectors_may_have_any_range(items):
    assert len(Split.make("toy", items, 2)) == 8


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (torch.arange(20).reshape(10, 2), r"torch.int64; say how many symbols .* vectors by x\.float\(\)"),
        (torch.zeros(4, 3, dtype=torch.complex64), "complex64"),
        (torch.zeros(4, 3, dtype=torch.bool), "torch.bool"),
        (torch.utils.data.TensorDataset(torch.zeros(4, 3)), r"TensorDataset of 4.*torch\.stack"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_data_is_refused_in_words(items, message):
    with pytest.raises(DataError, match=f"toy: .*{message}"):
        Split.make("toy", items, 1)


def test_arrays_and_lists_make_the_split_that_their_tensor_makes():
    items = distinct_items(8)
    for same in (items.numpy(), list(items)):
        assert Split.make("toy", same, 3).fingerprint == Split.make("toy", items, 3).fingerprint


@pytest.mark.parametrize("low", [torch.float16, torch.bfloat16])
def test_items_in_low_precision_are_split_without_their_duplicates(low):
    items = distinct_items(8).to(low)
    split = Split.make("toy", torch.cat([items, items[:2]]), 3)
    assert (len(split), split.train.dtype) == (5, low)
    assert split.fingerprint == Split.make("toy", items, 3).fingerprint
    with pytest.raises(DataError, match="both in the training set and held out"):
        Split.of("toy", items[:5], items[4:])


@pytest.mark.parametrize("unsigned", [np.uint16, np.uint32, np.uint64])
def test_tokens_in_integers_without_a_sign_are_taken_as_tokens(unsigned):
    tokens = np.arange(24).reshape(8, 3)
    split = Split.make("text", tokens.astype(unsigned), 2, vocabulary=24)
    assert split.fingerprint == Split.make("text", tokens, 2, vocabulary=24).fingerprint
    with pytest.raises(DataError, match="from 0 to 22"):
        Split.make("text", tokens.astype(unsigned), 2, vocabulary=23)


def test_held_out_images_on_another_scale_are_refused():
    signed = bytes_of(20) / 127.5 - 1
    with pytest.raises(DataError, match=r"held-out items lie in \[0, 1\], .* \[-1, 1\]; bring .* 2 \* x - 1"):
        Split.of("toy", signed, bytes_of(8, 1) / 255)


@pytest.mark.parametrize("n_train", [1, 7, 25, None])
def test_bytes_that_become_floats_where_they_are_taken_make_the_split_of_floats(n_train):
    pixels = np.random.default_rng(3).integers(0, 256, (40, 1, 4, 4)).astype(np.uint8)
    pixels[[9, 30]] = pixels[[2, 5]]  # duplicates
    whole = Split.make("toy", from_bytes(pixels), 8, seed=5)
    split = Split.make("toy", Stored(pixels, from_bytes), 8, seed=5, n_train=n_train)
    n = n_train or len(whole)
    assert split.fingerprint == whole.first(n).fingerprint
    assert torch.equal(split.train, whole.train[:n])
    assert (len(split), split.n_more, split.n_items) == (n, 30 - n, 38)
    assert (whole.n_more, whole.n_items) == (0, 38)


def test_halves_of_the_first_items_are_the_first_items_of_the_halves():
    split = Split.make("toy", distinct_items(40), 8, seed=1)
    for one, other in zip(split.first(14).halves(), split.halves(), strict=True):
        assert one.fingerprint == other.first(7).fingerprint
