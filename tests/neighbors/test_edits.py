"""Nearest strings by edit distance, against the textbook's table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textbook import edit_distance

import taumem.neighbors.edits as edits
from taumem.neighbors import nearest_by_edits

strings = st.text("abc", max_size=7)


@given(st.lists(strings, max_size=5), st.lists(strings, min_size=1, max_size=9), st.sampled_from([1, 7, 2**24]))
def test_the_nearest_is_the_first_of_the_fewest_edits_in_however_many_blocks(queries, among, at_once):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edits, "AT_ONCE", at_once)
        distance, place = nearest_by_edits(queries, among)
    for k, query in enumerate(queries):
        shares = [edit_distance(query, other) / max(len(query), len(other), 1) for other in among]
        assert distance[k] == pytest.approx(min(shares))
        assert place[k] == shares.index(min(shares))
