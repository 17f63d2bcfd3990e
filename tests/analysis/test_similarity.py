"""Agreement of what is no number is no agreement of 0."""

import numpy as np
import pytest

from taumem.analysis import agreement, agreement_chance
from taumem.errors import ConfigError

IMAGES = np.random.default_rng(0).normal(size=(8, 1, 4, 4))


@pytest.mark.parametrize("ask", [agreement, agreement_chance])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("n_bad", [1, 8])
def test_samples_that_are_not_finite_are_refused_from_either_model(ask, bad, n_bad):
    spoiled = IMAGES.copy()
    spoiled[:n_bad, 0, 2, 2] = bad
    for pair in ((spoiled, IMAGES), (IMAGES, spoiled)):
        with pytest.raises(ConfigError, match=f"{n_bad} of 8 samples hold others"):
            ask(*pair)


@pytest.mark.parametrize("other", [IMAGES > 0, IMAGES.astype(complex), np.array([["a"] * 4] * 8)])
def test_what_is_neither_floats_nor_integers_is_refused(other):
    with pytest.raises(ConfigError, match="8 of 8 samples hold others"):
        agreement(other, other)


def test_lists_are_taken_as_the_arrays_that_they_are():
    assert agreement(IMAGES.tolist(), IMAGES) == agreement(IMAGES, IMAGES)
