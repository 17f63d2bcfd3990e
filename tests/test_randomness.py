"""Generators by purpose: reproducible, independent, and apart from the global state."""

import itertools
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import stats

from taumem.randomness import generator_for


def draws(generator: torch.Generator, n: int = 8) -> list[float]:
    return torch.rand(n, generator=generator, dtype=torch.float64).tolist()


def test_the_same_seed_and_purpose_give_the_same_draws():
    assert draws(generator_for(3, "batch", 7)) == draws(generator_for(3, "batch", 7))


@pytest.mark.slow
def test_another_process_gives_the_same_draws():
    # Were the derivation to use hash(), it would change with every process.
    program = "import torch; from taumem.randomness import generator_for as g; print(g(3, 'batch', 7).initial_seed())"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert int(told) == generator_for(3, "batch", 7).initial_seed()


def test_different_seeds_and_purposes_give_different_draws():
    purposes = [(0,), (1,), (0, "a"), (0, "b"), (0, "a", 1), (0, "a", 2), (0, "a", "1"), (0, "a1"), (0, 1), (0, 1, "a")]
    seeds = [generator_for(*purpose).initial_seed() for purpose in purposes]
    assert len(set(seeds)) == len(seeds)


def test_integers_of_numpy_and_torch_count_as_integers():
    expected = generator_for(3, "batch", 7).initial_seed()
    assert generator_for(np.int64(3), "batch", np.int32(7)).initial_seed() == expected
    assert generator_for(torch.tensor(3), "batch", torch.tensor(7)).initial_seed() == expected


def test_neighboring_purposes_are_uncorrelated():
    table = np.array([draws(generator_for(0, "step", k), 4) for k in range(2000)])
    assert stats.kstest(table[:, 0], "uniform").pvalue > 1e-3
    for one, other in itertools.combinations(range(4), 2):
        assert stats.pearsonr(table[:, one], table[:, other]).pvalue > 1e-3
    assert stats.pearsonr(table[:-1, 0], table[1:, 0]).pvalue > 1e-3


def test_the_global_random_states_are_neither_read_nor_written():
    states = random.getstate(), torch.get_rng_state()
    draws(generator_for(0, "anything"))
    assert random.getstate() == states[0]
    assert torch.equal(torch.get_rng_state(), states[1])
