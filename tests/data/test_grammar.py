"""The Random Hierarchy Model, against a language written out string by string and parsed with dictionaries."""

import pickle
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from taumem.data import RandomHierarchyModel
from taumem.errors import ConfigError, DataError

PAPER = RandomHierarchyModel(v=8, m=3, s=2, L=3, seed=0)
HUGE = RandomHierarchyModel(v=32, m=8, s=2, L=6, seed=0)  # 2^194 strings

SMALL = [
    RandomHierarchyModel(2, 2, 2, 2, 0),
    RandomHierarchyModel(3, 2, 2, 2, 1),
    RandomHierarchyModel(4, 1, 3, 2, 2),
    RandomHierarchyModel(3, 4, 3, 1, 3),
    RandomHierarchyModel(3, 2, 2, 2, 4, n_classes=2, zipf=1.5),
    RandomHierarchyModel(2, 2, 2, 3, 5, n_classes=1),
    RandomHierarchyModel(3, 1, 2, 2, 6, n_classes=5),
    RandomHierarchyModel(3, 3, 2, 2, 7, zipf=(0.0, 2.0)),
]


def language(grammar: RandomHierarchyModel, label: int | None = None) -> dict[tuple[int, ...], float]:
    """Every string with its probability, by expanding symbols one at a time."""

    def expand(symbol: int, level: int) -> list[tuple[tuple[int, ...], float]]:
        if level == 0:
            return [((symbol,), 1.0)]
        exponent = grammar.zipf[level - 1] if isinstance(grammar.zipf, tuple) else grammar.zipf
        weights = [k**-exponent for k in range(1, grammar.m + 1)]
        found = []
        for rule, weight in zip(grammar.rules[level - 1][symbol].tolist(), weights, strict=True):
            for parts in product(*(expand(child, level - 1) for child in rule)):
                probability = weight / sum(weights)
                for _, of_part in parts:
                    probability *= of_part
                found.append((sum((tokens for tokens, _ in parts), ()), probability))
        return found

    roots = range(grammar.n_roots) if label is None else [label]
    found = [(tokens, p / len(roots)) for root in roots for tokens, p in expand(root, grammar.L)]
    assert len(dict(found)) == len(found), "a string has two derivations"
    return dict(found)


def valid_tuples(grammar: RandomHierarchyModel, string: tuple[int, ...]) -> list[list[bool]]:
    """For each level from the bottom, which tuples a rule makes, with a dictionary of rules."""
    symbols: list[int | None] = list(string)
    answers = []
    for rules in grammar.rules:
        symbol_of = {tuple(rule): a for a, of_a in enumerate(rules.tolist()) for rule in of_a}
        symbols = [symbol_of.get(tuple(symbols[i : i + grammar.s])) for i in range(0, len(symbols), grammar.s)]
        answers.append([symbol is not None for symbol in symbols])
    return answers


def rows(strings: Tensor) -> list[tuple[int, ...]]:
    return [tuple(row) for row in strings.tolist()]


def spoiled(grammar: RandomHierarchyModel, n: int) -> Tensor:
    """Strings of the language with a few tokens replaced: broken at all levels."""
    generator = torch.Generator().manual_seed(3)
    strings = grammar.sample(n, generator)
    random = torch.randint(grammar.v, strings.shape, generator=generator)
    return torch.where(torch.rand(strings.shape, generator=generator) < 0.1, random, strings)


grammars = st.builds(
    lambda v, m, s, depth, seed: (v, m, s, depth, seed),
    st.integers(2, 9),
    st.integers(1, 9),
    st.integers(2, 4),
    st.integers(1, 3),
    st.integers(),
).filter(lambda a: a[0] * a[1] <= a[0] ** a[2])


@given(grammars)
def test_no_tuple_comes_from_two_rules_of_a_level(arguments):
    grammar = RandomHierarchyModel(*arguments)
    assert len(grammar.rules) == grammar.L
    for rules in grammar.rules:
        assert rules.shape == (grammar.v, grammar.m, grammar.s)
        assert rules.min() >= 0
        assert rules.max() < grammar.v
        assert len(set(rows(rules.flatten(0, 1)))) == grammar.v * grammar.m


def test_a_seed_is_a_grammar_and_each_level_has_rules_of_its_own():
    again, other = RandomHierarchyModel(8, 3, 2, 3, 0), RandomHierarchyModel(8, 3, 2, 3, 1)
    assert again == PAPER
    assert all(torch.equal(a, b) for a, b in zip(again.rules, PAPER.rules, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(other.rules, PAPER.rules, strict=True))
    assert not torch.equal(PAPER.rules[0], PAPER.rules[1])


def test_the_rules_of_a_published_seed_never_change():
    assert RandomHierarchyModel(3, 2, 2, 2, 0).rules[0].tolist() == [
        [[0, 1], [1, 1]],
        [[1, 0], [2, 1]],
        [[0, 0], [2, 0]],
    ]


def test_rules_are_drawn_uniformly_from_all_tuples():
    firsts = [RandomHierarchyModel(3, 1, 2, 1, seed).rules[0][0, 0].tolist() for seed in range(3000)]
    _, counts = np.unique(np.array(firsts) @ [3, 1], return_counts=True)
    assert len(counts) == 9
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("grammar", SMALL)
def test_the_strings_are_those_of_the_language_each_once(grammar):
    strings = grammar.decode(range(grammar.n_strings))
    assert strings.dtype == torch.int64
    assert set(rows(strings)) == set(language(grammar))
    assert len(set(rows(strings))) == grammar.n_strings
    assert grammar.encode(strings) == list(range(grammar.n_strings))


@pytest.mark.parametrize("grammar", SMALL)
def test_the_probabilities_are_those_of_the_derivations(grammar):
    strings = grammar.decode(range(grammar.n_strings))
    expected = language(grammar)
    np.testing.assert_allclose(grammar.log_prob(strings).exp(), [expected[row] for row in rows(strings)], rtol=1e-12)
    assert float(grammar.log_prob(strings).exp().sum()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("grammar", SMALL[:4])
def test_membership_is_exact_on_every_possible_string(grammar):
    everything = list(product(range(grammar.v), repeat=grammar.d))[:50_000]
    members = language(grammar)
    inside = [row in members for row in everything]
    strings = torch.tensor(everything)
    assert grammar.contains(strings).tolist() == inside
    assert torch.isfinite(grammar.log_prob(strings)).tolist() == inside
    assert ((grammar.labels(strings) >= 0) == torch.tensor(inside)).all()


def test_the_closed_form_counts_the_strings_exactly():
    assert PAPER.n_strings == 8 * 3**7 == 17496
    assert RandomHierarchyModel(16, 4, 2, 3).n_strings == 16 * 4**7
    assert RandomHierarchyModel(8, 3, 2, 3, n_classes=2).n_strings == 2 * 3**7
    assert HUGE.n_strings == 2**194
    assert PAPER.sample_complexities == (72, 216, 648)
    assert RandomHierarchyModel(8, 2, 2, 4).sample_complexities[-1] == 256


@given(seed=st.integers(), levels=st.integers(1, 6), branches=st.integers(2, 3))
def test_numbers_and_strings_translate_into_each_other_whatever_their_size(seed, levels, branches):
    grammar = RandomHierarchyModel(12, 7, branches, levels, seed)
    ids = [0, grammar.n_strings - 1, grammar.n_strings // 3, grammar.n_strings // 7 * 5]
    strings = grammar.decode(ids)
    assert strings.shape == (4, grammar.d)
    assert grammar.contains(strings).all()
    assert grammar.encode(strings) == ids
    assert grammar.labels(strings).tolist() == [i // (grammar.n_strings // 12) for i in ids]


@pytest.mark.parametrize("grammar", [*SMALL, PAPER])
def test_levels_are_those_of_a_parser_with_dictionaries(grammar):
    strings = spoiled(grammar, 300)
    found = grammar.levels(strings)
    answers = [valid_tuples(grammar, row) for row in rows(strings)]
    shares = [[sum(level) / len(level) for level in answer] for answer in answers]
    np.testing.assert_allclose(found.valid_fraction, shares, atol=1e-7)
    assert found.reached.tolist() == [sum(all(level) for level in answer) for answer in answers]
    assert len(set(found.reached.tolist())) > 1 or grammar.m * grammar.v == grammar.v**grammar.s


def test_strings_of_the_language_reach_the_top_and_random_ones_do_by_the_chance_of_their_tuples():
    generator = torch.Generator().manual_seed(0)
    assert (PAPER.levels(PAPER.sample(500, generator)).reached == PAPER.L).all()
    noise = torch.randint(8, (40_000, 8), generator=generator)
    reached = PAPER.levels(noise).reached
    chance = 3 / 8  # m v of the v^s tuples are made by a rule, and then the parent is as random
    for level, n_tuples in ((1, 4), (2, 6), (3, 7)):
        hits = int((reached >= level).sum())
        assert stats.binomtest(hits, len(noise), chance**n_tuples).pvalue > 1e-4


def test_no_strings_have_no_levels():
    none = torch.empty(0, 8, dtype=torch.int64)
    assert PAPER.levels(none).reached.shape == (0,)
    assert PAPER.levels(none).valid_fraction.shape == (0, 3)
    assert PAPER.encode(none) == []


@pytest.mark.parametrize("grammar", [SMALL[1], SMALL[4], SMALL[7]])
@pytest.mark.parametrize("label", [None, 1])
def test_samples_follow_the_probabilities(grammar, label):
    expected = language(grammar, label)
    drawn = rows(grammar.sample(20_000, torch.Generator().manual_seed(2), label=label))
    counts = dict.fromkeys(expected, 0)
    for row in drawn:
        counts[row] += 1
    p = np.array(list(expected.values()))
    assert stats.chisquare(list(counts.values()), p * len(drawn)).pvalue > 1e-3


@pytest.mark.parametrize("grammar", [PAPER, HUGE, RandomHierarchyModel(8, 3, 2, 3, zipf=1.0)])
def test_a_split_is_of_distinct_strings_held_out_first_and_nested(grammar):
    large, small = grammar.split(300, 100, seed=4), grammar.split(50, 100, seed=4)
    assert large.train.shape == (300, grammar.d)
    assert large.train.dtype == large.heldout.dtype == torch.int64
    assert large.vocabulary == grammar.v
    assert len(set(rows(large.train)) | set(rows(large.heldout))) == 400
    assert grammar.contains(torch.cat([large.train, large.heldout])).all()
    assert torch.equal(small.heldout, large.heldout)
    assert torch.equal(small.train, large.train[:50])
    assert large.fingerprint == grammar.split(300, 100, seed=4).fingerprint
    assert large.fingerprint != grammar.split(300, 100, seed=5).fingerprint


@pytest.mark.parametrize("zipf", [0.0, 1.0])
def test_a_split_can_take_the_whole_language(zipf):
    grammar = RandomHierarchyModel(3, 2, 2, 2, 1, zipf=zipf)
    split = grammar.split(20, 4)
    assert set(rows(split.train)) | set(rows(split.heldout)) == set(language(grammar))


@pytest.mark.slow
def test_every_string_is_as_likely_to_be_held_out_as_any_other():
    grammar = SMALL[5]
    held = [grammar.encode(grammar.split(1, 3, seed).heldout) for seed in range(1000)]
    counts = np.bincount(np.array(held).flatten(), minlength=grammar.n_strings)
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.slow
def test_the_first_string_of_a_zipf_split_follows_the_probabilities():
    grammar = RandomHierarchyModel(2, 2, 2, 1, 0, zipf=1.0)
    first = [grammar.encode(grammar.split(1, 0, seed).train)[0] for seed in range(600)]
    expected = grammar.log_prob(grammar.decode(range(4))).exp().numpy() * 600
    assert stats.chisquare(np.bincount(first, minlength=4), expected).pvalue > 1e-3


@pytest.mark.parametrize("zipf", [0.0, 1.0])
def test_a_split_of_one_class_holds_that_class_alone(zipf):
    grammar = RandomHierarchyModel(6, 3, 2, 2, 0, n_classes=4, zipf=zipf)
    split = grammar.split(15, 12, label=2)
    both = torch.cat([split.train, split.heldout])
    assert len(set(rows(both))) == 27 == grammar.n_strings // 4
    assert (grammar.labels(both) == 2).all()
    assert set(grammar.labels(grammar.split(60, 48).train).tolist()) == {0, 1, 2, 3}


def test_a_grammar_that_was_used_still_travels_to_another_process():
    split = HUGE.split(5, 5)
    copy = pickle.loads(pickle.dumps(HUGE))
    assert copy == HUGE
    assert hash(copy) == hash(HUGE)
    assert copy.split(5, 5).fingerprint == split.fingerprint


def test_tokens_of_any_integer_type_are_read():
    strings = PAPER.sample(20, torch.Generator().manual_seed(0))
    for dtype in (torch.uint8, torch.int16, torch.int32):
        assert PAPER.contains(strings.to(dtype)).all()


@given(st.integers(2, 6), st.integers(2, 40), st.integers(2, 3))
def test_more_rules_than_tuples_are_refused_by_name(v, m, s):
    assume(m * v > v**s)
    with pytest.raises(ConfigError, match="ambiguous"):
        RandomHierarchyModel(v, m, s, 2, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"v": 1}, "v of at least 2"),
        ({"m": 0}, "m of at least 1"),
        ({"s": 1}, "s of at least 2"),
        ({"L": 0}, "L of at least 1"),
        ({"n_classes": 0}, "n_classes of at least 1"),
        ({"n_classes": 22}, "ambiguous"),
        ({"v": 2, "m": 1, "s": 63}, "below 2\\^63"),
        ({"zipf": -1.0}, "zipf must be"),
        ({"zipf": float("nan")}, "zipf must be"),
        ({"zipf": (1.0, 1.0)}, "zipf must be"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        RandomHierarchyModel(**{"v": 8, "m": 3, "s": 2, "L": 3, "seed": 0, **arguments})


def test_splits_that_cannot_be_are_refused():
    for n_train, n_heldout, label in ((17_000, 497, None), (2000, 188, 0)):
        with pytest.raises(ConfigError, match="the grammar has only"):
            PAPER.split(n_train, n_heldout, label=label)
    for n_train, n_heldout in ((0, 5), (5, -1)):
        with pytest.raises(ConfigError, match="P >= 1"):
            PAPER.split(n_train, n_heldout)
    with pytest.raises(ConfigError, match="from 0 to 7; got 8"):
        PAPER.split(5, 5, label=8)
    with pytest.raises(ConfigError, match="too rare"):
        RandomHierarchyModel(4, 2, 2, 2, 0, zipf=20.0).split(16, 0)


def test_what_is_no_string_of_the_grammar_is_refused():
    good = PAPER.sample(3, torch.Generator().manual_seed(0))
    bad = {
        "\\[n, s\\^L = 8\\]": good[:, :7],
        "got shape \\(8,\\)": good[0],
        "0 to 7; got 0 to 8": torch.tensor([[0, 8, 0, 0, 0, 0, 0, 0]]),
        "got -1 to 0": torch.tensor([[0, -1, 0, 0, 0, 0, 0, 0]]),
        "got torch.float32": good.float(),
    }
    for message, strings in bad.items():
        for ask in (PAPER.contains, PAPER.levels, PAPER.labels, PAPER.log_prob, PAPER.encode):
            with pytest.raises(DataError, match=message):
                ask(strings)
    with pytest.raises(DataError, match="not in the language"):
        PAPER.encode(spoiled(PAPER, 100))
    for ids in ([-1], [0, 17496]):
        with pytest.raises(ConfigError, match="numbered from 0 to 17495"):
            PAPER.decode(ids)
