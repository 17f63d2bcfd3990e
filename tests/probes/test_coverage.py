"""The isolation of training items, against brute force."""

import numpy as np
import pytest
import torch

from taumem.errors import ConfigError
from taumem.probes import Coverage


def test_isolation_is_the_mean_distance_to_the_three_nearest_others_by_brute_force():
    train = torch.randn(20, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    (found,) = Coverage(train[:7], train).measure(None).estimates
    flat = train.reshape(20, -1).double()
    apart = torch.cdist(flat, flat).sort(dim=1).values[:7, 1:4].mean(1) / 3
    assert np.allclose(found.items, apart, rtol=1e-5)
    assert found.value == pytest.approx(float(apart.mean()), rel=1e-5)


def test_of_tokens_it_is_the_share_of_positions_that_differ():
    train = torch.tensor([[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1]])
    (found,) = Coverage(train, train).measure(None).estimates
    assert np.allclose(found.items, [(1 + 2 + 4) / 12, (1 + 1 + 3) / 12, (2 + 1 + 2) / 12, (4 + 3 + 2) / 12])


def test_items_that_are_not_the_first_of_the_training_set_are_refused():
    with pytest.raises(ConfigError, match="the first items of a training set of 2 or more"):
        Coverage(torch.ones(2, 2), torch.zeros(3, 2))
