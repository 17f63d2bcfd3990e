"""One item per line: what is read, how lines of unequal length become items of one, what is held out and refused."""

import gzip
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from taumem.data import Lines, gather, line_choice, load_lines
from taumem.data.lines import ALIKE, LINE_END, without_ends
from taumem.data.smiles import canonical_smiles
from taumem.errors import ConfigError, DataError, TaumemWarning

RNG = np.random.default_rng(0)
SOME = ["".join(RNG.choice(list("abcdefgh"), n)) for n in RNG.integers(1, 40, 200)]

characters = st.text(st.characters(blacklist_characters=LINE_END, blacklist_categories=["Cs"]), min_size=1, max_size=12)


def of(*lines: str, **options) -> Lines:
    return Lines.of("some", lines, **options)


def decoded(lines: Lines, items) -> list[str]:
    return lines.decode(torch.as_tensor(np.asarray(items).astype(np.int64)))


class TestFiles:
    def test_a_line_is_an_item_whatever_signs_end_it(self, tmp_path):
        (tmp_path / "a.txt").write_bytes("one\r\nzwölf\r\n\tthree ".encode())
        lines = load_lines(tmp_path / "a.txt")
        assert decoded(lines, lines.items) == ["one", "zwölf", "\tthree "]
        assert lines.name == "a.txt"

    def test_a_gzipped_file_is_unpacked_and_a_folder_gives_the_lines_of_its_files(self, tmp_path):
        (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"three\nfour\n"))
        (tmp_path / "a.txt").write_bytes(b"one\ntwo")
        lines = load_lines(tmp_path)
        assert decoded(lines, lines.items) == ["one", "two", "three", "four"]
        assert gather(tmp_path / "b.txt.gz").items == ["three", "four"]

    @pytest.mark.parametrize(("ending", "separator"), [("csv", ","), ("csv", ";"), ("tsv", "\t")])
    @pytest.mark.parametrize("packed", [False, True])
    def test_a_column_of_a_table(self, tmp_path, ending, separator, packed):
        rows = [["id", "SMILES"], ["1", "CCO"], ["2", '"C,;\tC"']]
        content = "\n".join(separator.join(row) for row in rows).encode()
        file = tmp_path / f"a.{ending}{'.gz' if packed else ''}"
        file.write_bytes(gzip.compress(content) if packed else content)
        lines = load_lines(file, column="SMILES")
        assert decoded(lines, lines.items) == ["CCO", "C,;\tC"]

    def test_a_package_gives_its_files_without_being_imported(self, tmp_path, monkeypatch):
        (tmp_path / "toy" / "data").mkdir(parents=True)
        (tmp_path / "toy" / "__init__.py").write_text("raise RuntimeError('imported')")
        (tmp_path / "toy" / "data" / "train.txt").write_text("one\ntwo\n")
        (tmp_path / "toys_of_mine-1.0.dist-info").mkdir()
        (tmp_path / "toys_of_mine-1.0.dist-info" / "METADATA").write_text("Name: toys-of-mine\nVersion: 1.0\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        lines = load_lines("package:toys-of-mine/toy/data/train.txt")
        assert decoded(lines, lines.items) == ["one", "two"]
        assert lines.name == "toys-of-mine"
        with pytest.raises(DataError, match=r"toy.nowhere: no such file"):
            load_lines("package:toys-of-mine/toy/nowhere")
        with pytest.raises(DataError, match=r"'none-such' is not installed: pip install --no-deps none-such"):
            load_lines("package:none-such/a.txt")
        for whole in ("package:toys-of-mine", "package:toys-of-mine/"):  # else it would be all that is installed
            with pytest.raises(DataError, match=r"which file of the package\? Expected package:NAME/FILE"):
                load_lines(whole)

    def test_held_out_lines_may_have_a_file_of_their_own_and_symbols_of_their_own(self, tmp_path):
        (tmp_path / "a.txt").write_text("one\ntwo\n")
        (tmp_path / "b.txt").write_text("seven\n")
        lines = load_lines(tmp_path / "a.txt", tmp_path / "b.txt")
        assert decoded(lines, lines.heldout) == ["seven"]
        assert lines.items.shape == (2, 5)
        assert lines.alphabet.symbols == "\nenostvw"

    def test_blank_lines_and_longer_ones_are_left_out_and_counted(self, tmp_path):
        (tmp_path / "a.txt").write_text("one\n\n  \nseven\ntwo\n")
        with pytest.warns(TaumemWarning, match=r"3 lines read. 2 blank left out. 1 longer than 3 symbols left out"):
            lines = load_lines(tmp_path / "a.txt", max_length=3)
        assert decoded(lines, lines.items) == ["one", "two"]

    @pytest.mark.parametrize(
        ("name", "content", "options", "words"),
        [
            ("a.txt", b"", {}, r"a.txt: is empty\.$"),
            ("a.txt", b"\n \n\n", {}, "of its 3 lines each is blank"),
            ("a.txt", b"\x00\x01\x02" * 99, {}, "binary files"),
            ("a.txt", b"caf\xe9", {}, "not valid UTF-8.* by data.alphabet = 'bytes'"),
            ("a.txt.gz", gzip.compress(b"one\ntwo", mtime=0)[:-9], {}, "truncated or corrupt"),
            ("a.txt", b"x" * 2000, {}, "longest line has 2000 symbols; say .* by data.max_length"),
            ("a.txt", b"one\ntwo", {"max_length": 2}, "all lines are longer than data.max_length = 2"),
            ("a.txt", b"one\ntwo", {"symbols": "one"}, "1 of 2 lines have symbols that are none of those said .'tw'"),
            ("a.csv", b"id,word\n1,one", {}, r"a table; say which .* --set data.column=NAME. Its columns: id, word"),
            ("a.csv", b"id,word\n1,one", {"column": "wort"}, r"no column 'wort' \(nearest: 'word'\); set data.column"),
            ("a.csv", b"id,word\n1,one", {"column": "WORD"}, r"no column 'WORD' \(nearest: 'word'\)"),
            ("a.csv", b"id,word\n1,one", {"column": "FOO"}, r"no column 'FOO'; set data.column. Its columns: id, word"),
            ("a.csv", b"id,word\n", {"column": "word"}, "expected one item per line; no rows"),
            ("a.txt", b"id,word\n1,one", {"column": "word"}, r"is no table \(.csv, .tsv\).* leave data.column out"),
            ("a.csv", b'id,word\n1,"one\ntwo"', {"column": "word"}, "ends in line 3 has several lines"),
        ],
    )
    def test_what_will_not_do_is_refused_with_a_reason(self, tmp_path, name, content, options, words):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=words):
            load_lines(tmp_path / name, **options)

    def test_bytes_of_any_encoding_are_symbols_where_they_are_wanted(self, tmp_path):
        (tmp_path / "a.txt").write_bytes(b"caf\xe9\nth\xc3\xa9")
        lines = load_lines(tmp_path / "a.txt", alphabet="bytes")
        assert [bytes(row.tolist()).rstrip() for row in lines.items] == [b"caf\xe9", b"th\xc3\xa9"]
        assert lines.alphabet.vocabulary == 256
        with pytest.raises(ConfigError, match="symbols are said of characters"):
            load_lines(tmp_path / "a.txt", alphabet="bytes", symbols="abc")


@given(st.lists(characters, min_size=1, max_size=12), st.sampled_from(["characters", "bytes"]))
def test_lines_are_put_behind_each_other_and_come_back_as_they_were(lines, alphabet):
    found = of(*lines, alphabet=alphabet)
    assert decoded(found, found.items) == lines
    lengths = [len(line if alphabet == "characters" else line.encode()) for line in lines]
    assert found.items.shape == (len(lines), max(lengths))
    assert ((found.items == found.end).sum(axis=1) == max(lengths) - np.array(lengths)).all()
    rows = torch.from_numpy(found.items.astype(np.int64))
    assert list(map(len, without_ends(rows, found.end))) == lengths


def test_a_line_end_inside_an_item_and_no_lines_at_all_are_refused():
    with pytest.raises(DataError, match="line ends in them"):
        of("one\ntwo", "three")
    with pytest.raises(DataError, match="no lines"):
        of()
    with pytest.raises(DataError, match="no held-out lines"):
        of("one", heldout=[])


def test_the_symbols_may_be_said_more_than_occur():
    assert of("ba", symbols="cab").alphabet.symbols == "\nabc"


@pytest.mark.filterwarnings("ignore:.*passed over:taumem.errors.TaumemWarning")
@given(n_train=st.integers(1, 60), n_heldout=st.integers(0, 60), seed=st.integers(0, 9), own=st.booleans())
def test_training_sets_are_nested_and_held_out_lines_do_not_depend_on_them(n_train, n_heldout, seed, own):
    lines = of(*SOME, heldout=SOME[:90] + [line[::-1] for line in SOME] if own else None)
    small, large = (lines.split(n, n_heldout, seed) for n in (n_train, n_train + 20))
    assert torch.equal(large.train[:n_train], small.train)
    assert torch.equal(large.heldout, small.heldout)
    assert (len(small), len(small.heldout)) == (n_train, n_heldout)
    assert small.vocabulary == 9
    train, heldout = ({*decoded(lines, part)} for part in (large.train, large.heldout))
    assert not train & heldout
    assert train <= {*SOME}


@pytest.mark.filterwarnings("ignore:.*passed over:taumem.errors.TaumemWarning")
def test_of_lines_that_are_alike_one_is_kept_and_none_is_on_both_sides():
    kin = [line[:-1] + sign for line in SOME if len(line) >= 31 for sign in "abcdefgh"]
    assert len(kin) >= 8 * 10
    lines = of(*kin, *kin)
    split = lines.split(len(kin) // 16, len(kin) // 16)
    kept = decoded(lines, torch.cat([split.train, split.heldout]))
    assert len({line[:-1] for line in kept}) == len(kept) == 2 * (len(kin) // 16)
    wider = lines.split(len(kin) // 2, len(kin) // 4, resemblance=1.0)
    assert len({*decoded(lines, torch.cat([wider.train, wider.heldout]))}) == len(wider) + len(wider.heldout)
    with pytest.raises(DataError, match=rf"P = {len(kin)} lines .* distinct of .* that resemble others passed over"):
        lines.split(len(kin), 1)
    assert ALIKE == 0.5


def other(n: int) -> list[str]:
    """So many lines that are unlike each other."""
    rng = np.random.default_rng(1)
    return ["".join(rng.choice(list("abcdefgh"), 40)) for _ in range(n)]


@pytest.mark.filterwarnings("error")
def test_lines_that_are_passed_over_are_counted_and_told_once():
    distinct = other(150)
    lines = of(*distinct, *distinct[:20], *(line[:-1] + "-" for line in distinct[50:60]))
    told = r"150 distinct of 180 lines; 20 equal and 10 that resemble others passed over \(data\.resemblance\)"
    with pytest.warns(TaumemWarning, match=told):
        lines.split(4, 4)
    lines.split(100, 4, seed=1)
    of(*distinct).split(100, 4)
    own = of(*distinct, heldout=[*distinct[:3], *other(160)[150:]])
    with pytest.warns(TaumemWarning, match=r"; 3 equal and 0 that resemble"):
        own.split(10, 13)


def test_of_very_many_lines_no_more_are_looked_at_than_it_takes(monkeypatch):
    monkeypatch.setattr(line_choice, "FEW", 50)
    distinct = other(300)
    lines = of(*distinct, *distinct)
    with pytest.warns(TaumemWarning, match=r"distinct of 5\d lines that were drawn from 600; \d+ equal and 0 that"):
        few = lines.split(10, 4)
    assert torch.equal(lines.split(280, 4).train[:10], few.train)
    with pytest.raises(DataError, match=r"296 are left to train on \(300 distinct of 600 lines; 300 equal"):
        lines.split(297, 4)


def test_lines_that_are_all_equal_are_called_so():
    with pytest.raises(DataError, match="all 200 lines are equal"):
        of(*["abcdef"] * 200).split(4, 2)


def test_at_a_resemblance_of_1_lines_with_the_same_passages_go_though_they_are_not_equal():
    with pytest.warns(TaumemWarning, match="1 equal and 2 that resemble others"):
        of("a" * 12, "a" * 13, "a" * 14, *other(20), other(1)[0]).split(4, 4, resemblance=1.0)


@pytest.mark.parametrize(
    ("lines", "options", "words"),
    [
        (["one"], {"max_length": -1}, "max_length is a whole number from 1, or None; got -1"),
        (["one"], {"max_length": 0}, "max_length is a whole number from 1"),
        (["one"], {"max_length": 1.5}, "max_length is a whole number from 1"),
        (["one"], {"alphabet": "text8"}, "lines have no alphabet 'text8'; Known: bytes, characters"),
        (["one"], {"alphabet": "byte"}, "did you mean 'bytes'"),
        (["one"], {"symbols": 3}, "symbols is a string of the characters"),
        (["one", 2, None], {}, "lines is a list of strings; 2 are none, such as 2"),
        ("one", {}, "lines is a list of strings, one per item; got str"),
        (None, {}, "lines is a list of strings, one per item; got NoneType"),
        (["one"], {"heldout": [b"two"]}, "heldout is a list of strings; 1 are none"),
    ],
)
def test_what_no_lines_can_be_made_of_is_refused_at_the_top(lines, options, words):
    with pytest.raises(ConfigError, match=words):
        Lines.of("some", lines, **options)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_train": 0},
        {"n_heldout": -1},
        {"resemblance": 0},
        {"resemblance": 1.1},
        {"n_train": 5.5},
        {"n_heldout": 1.5},
        {"seed": "a"},
        {"resemblance": "b"},
    ],
)
def test_numbers_out_of_their_ranges_are_refused(wrong):
    with pytest.raises(ConfigError, match="lines need P >= 1"):
        of(*SOME).split(**{"n_train": 4, "n_heldout": 4, **wrong})


def test_rdkit_knows_molecules_from_other_strings_and_one_molecule_from_another():
    pytest.importorskip("rdkit")
    canonical = canonical_smiles()
    assert canonical("C(C)O") == canonical("OCC") != canonical("CCN")
    assert canonical("C1CC") is None
    assert [canonical(text) for text in ("CC O", "C\tC", " CC", "CC ")] == [None] * 4  # RDKit itself reads CC or C


def test_without_rdkit_a_note_says_what_is_not_measured(monkeypatch):
    monkeypatch.setitem(sys.modules, "rdkit", None)
    with pytest.warns(TaumemWarning, match="RDKit is not installed"):
        assert canonical_smiles() is None
