"""Validity, novelty and uniqueness, with a language of one's own in place of molecules."""

import numpy as np
import pytest
import torch

from taumem.data import Lines
from taumem.errors import ConfigError, DataError
from taumem.probes import Novelty, share

LINES = Lines.of("sums", ["1+2", "3", "2+2+2", "12"], symbols="0123456789+")


def value(text: str) -> str | None:
    """Sums that have one value are one item; what is no sum is invalid."""
    parts = text.split("+")
    return str(sum(map(int, parts))) if all(part.isdecimal() for part in parts) else None


def tokens(*texts: str) -> torch.Tensor:
    rows = [LINES.alphabet.encode(text.ljust(5, "\n")) for text in texts]
    return torch.stack(rows)


def found(probe: Novelty, *texts: str) -> dict:
    return {estimate.quantity: estimate for estimate in probe.measure(tokens(*texts)).estimates}


TRAIN = tokens("1+2", "12")


def test_a_sample_is_new_if_no_training_item_means_the_same():
    reading = found(Novelty(TRAIN, LINES.decode, canonical=value), "1+2", "2+1", "3", "4", "4", "5+", "+")
    assert reading["validity"] == share("validity", 5, 7)
    assert reading["novelty"] == share("novelty", 2, 5)
    assert (reading["uniqueness"].value, reading["uniqueness"].count) == (2 / 5, 5)


def test_without_canonical_forms_items_are_the_same_if_they_are_written_alike():
    reading = found(Novelty(TRAIN, LINES.decode), "1+2", "2+1", "3", "5+", "")
    assert "validity" not in reading  # it is not known, and what is blank is no item
    assert reading["novelty"] == share("novelty", 3, 4)
    assert reading["uniqueness"].value == 1


def test_where_nothing_is_valid_there_is_nothing_new():
    assert set(found(Novelty(TRAIN, LINES.decode, canonical=value), "++", "")) == {"validity"}
    assert not found(Novelty(TRAIN, LINES.decode), "", "")


def test_the_error_of_uniqueness_is_the_jackknifes():
    texts = ["1", "1", "2", "3", "4", "4", "4", "5"]
    estimate = found(Novelty(TRAIN, LINES.decode), *texts)["uniqueness"]
    without = [len({*texts[:k], *texts[k + 1 :]}) / (len(texts) - 1) for k in range(len(texts))]
    n = len(texts)
    assert estimate.se == pytest.approx(((n - 1) * np.var(without)) ** 0.5)


def test_settings_say_whether_items_have_canonical_forms():
    assert Novelty(TRAIN, LINES.decode, canonical=value).settings == {"canonical": True, "n_items": {"train": 2}}


def test_no_training_items_and_samples_of_another_length_are_refused():
    with pytest.raises(ConfigError, match="got none"):
        Novelty(TRAIN[:0], LINES.decode)
    with pytest.raises(DataError):
        Novelty(TRAIN, LINES.decode).measure(torch.zeros((2, 9), dtype=torch.long))
