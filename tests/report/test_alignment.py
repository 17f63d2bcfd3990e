"""Two texts over one another: nothing is lost, the differences are marked, and the columns stay in line."""

from hypothesis import given
from hypothesis import strategies as st
from textbook import edit_distance

from taumem.report.exhibits.alignment import CUT, GAP, MOST_SYMBOLS, aligned
from taumem.report.exhibits.texts import SIGNS, VERBATIM

TEXTS = st.text(st.characters(codec="ascii", exclude_characters=GAP), max_size=60)


def rows(chunks) -> tuple[str, str]:
    stretches = [stretch for chunk in chunks for stretch in chunk]
    return "".join(s.sample for s in stretches), "".join(s.nearest for s in stretches)


def shown(text: str) -> str:
    return "".join(SIGNS.get(c, c if c.isprintable() else "�") for c in text)


@given(TEXTS, TEXTS)
def test_both_texts_are_there_whole_and_differ_at_the_fewest_places(sample, nearest):
    chunks = aligned(sample, nearest)
    above, below = rows(chunks)
    assert len(above) == len(below)
    assert above.replace(GAP, "") == shown(sample)
    assert below.replace(GAP, "") == shown(nearest)
    differing = sum(len(s.sample) for chunk in chunks for s in chunk if s.mark == "differs")
    assert differing == edit_distance(sample, nearest)
    assert all(s.sample == s.nearest for chunk in chunks for s in chunk if s.mark != "differs")


def test_the_longest_passage_that_agrees_is_marked():
    chunks = aligned("abc" + "v" * VERBATIM + "xyz", "ab" + "v" * VERBATIM + "qrs")
    verbatim = "".join(s.sample for chunk in chunks for s in chunk if s.mark == "verbatim")
    assert verbatim == "v" * VERBATIM


def test_long_texts_are_cut_and_say_so():
    above, below = rows(aligned("a" * 5000, "a" * 4000))
    assert above == below == "a" * (MOST_SYMBOLS - len(CUT)) + CUT
