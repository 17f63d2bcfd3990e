from typing import NamedTuple

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from taumem.data.item_set import ItemSet, digests, map_tensors
from taumem.errors import DataError


class Numbered(Dataset):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, place):
        return {"image": torch.full((1, 2, 2), float(place)), "text": f"number {place}"}


class Streamed(IterableDataset):
    def __iter__(self):
        return iter([torch.zeros(2)])


class Pair(NamedTuple):
    image: torch.Tensor
    label: torch.Tensor


ROWS = torch.arange(12.0).reshape(6, 2)
HOLDERS = {
    "a tensor": ROWS,
    "an array": ROWS.numpy(),
    "a dict": {"x": ROWS, "y": torch.arange(6)},
    "a dict with words": {"x": ROWS, "mask": (ROWS > 3).numpy(), "prompt": [f"word {k}" for k in range(6)]},
    "a tuple": (ROWS, torch.arange(6)),
    "a named tuple": Pair(ROWS, torch.arange(6)),
    "a list": [(ROWS[k], k) for k in range(6)],
    "a Dataset": Numbered(6),
    "a DataLoader": DataLoader(Numbered(6), batch_size=2),
}


@pytest.mark.parametrize("given", HOLDERS.values(), ids=HOLDERS)
def test_items_are_counted_and_picked_out_whatever_holds_them(given):
    items = ItemSet.of(given, "items")
    assert len(items) == 6
    some = digests(items.take([4, 1]), 2)
    assert some == [digests(items.take([k]), 1)[0] for k in (4, 1)]
    assert len(set(digests(items.take(range(6)), 6))) == 6
    again = ItemSet.of(items.subset([4, 1]), "items", collate=items.collate)
    assert digests(again.take([0, 1]), 2) == some


@pytest.mark.parametrize("name", ["a tensor", "a dict", "a tuple", "a named tuple", "a list"])
def test_a_subset_has_the_form_of_the_whole(name):
    assert type(ItemSet.of(HOLDERS[name], "items").subset([0, 2])) is type(HOLDERS[name])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (torch.zeros(0, 2), "none are there"),
        ([], "none are there"),
        ({}, "empty dict"),
        ((torch.zeros(3, 2), torch.zeros(4)), "0: 3, 1: 4"),
        ({"x": torch.zeros(3, 2), "n": 3}, "column 'n' is int"),
        ({"x": torch.zeros(3, 2), "words": ["a"]}, "'words': 1"),
        (iter([1, 2]), "list_iterator"),
        (Streamed(), "Streamed"),
        (3, "int"),
        (torch.tensor(3.0), "a single number"),
    ],
)
def test_what_cannot_be_counted_or_picked_out_is_refused_with_what_would_do(given, told):
    with pytest.raises(DataError, match=told):
        ItemSet.of(given, "training items")


def test_digests_tell_equal_numbers_as_equal_and_see_every_column():
    zeros, negative = torch.zeros(1, 2), -torch.zeros(1, 2)
    assert digests(zeros, 1) == digests(negative, 1)
    assert digests((zeros, torch.tensor([1])), 1) != digests((zeros, torch.tensor([2])), 1)
    assert digests({"x": zeros, "prompt": ["a"]}, 1) != digests({"x": zeros, "prompt": ["b"]}, 1)
    assert digests(torch.zeros(0, 2), 0) == []
    assert digests({"grid": torch.zeros(10), "x": zeros}, 1) == digests({"x": zeros}, 1)


def test_tensors_are_changed_inside_any_holder_and_words_are_handed_on():
    batch = {"x": (torch.ones(2), [torch.ones(1), "word"]), "n": 3}
    changed = map_tensors(lambda x: x + 1, batch)
    assert changed["x"][0].tolist() == [2, 2]
    assert changed["x"][1][0].tolist() == [2]
    assert changed["x"][1][1] == "word"
    assert changed["n"] == 3
    assert batch["x"][0].tolist() == [1, 1]
