"""Groups as people write them down: tables with and without a first line, JSON, names with and without folders."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taumem.data import read_groups
from taumem.errors import DataError, TaumemWarning

NAMES = ["train/a/1.png", "train/b/2.png", "train/b/3.png"]
TABLES = {
    "a.csv": "train/a/1.png,x\ntrain/b/2.png,x\ntrain/b/3.png,y\n",
    "b.csv": "name,group\na/1.png,x\nb/2.png,x\n3.png,y\n",
    "c.csv": "patient;file\nx;data/train/a/1.png\nx;data/train/b/2.png\n\ny;data/train/b/3.png\n",
    "d.tsv": "age\tid\tpatient\n7\t1.png\tx\n8\t2.png\tx\n9\t3.png\ty\n",
    "e.csv": "\ufeffname,group\r\na\\1.png,x\r\nb\\2.png,x\r\nb\\3.png,y\r\n",
    "f.json": json.dumps({"1.png": "x", "2.png": "x", "3.png": "y", "other/9.png": "z"}),
    "g.json": "[7, 7, 8]",
}


def written(path, text):
    path.write_text(text, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize("name", TABLES)
def test_every_form_gives_the_same_groups(tmp_path, name):
    first, second, third = read_groups(written(tmp_path / name, TABLES[name]), NAMES)
    assert first == second != third


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\\\r\0"), min_size=1).filter(
            lambda name: name.strip() and name not in ("name", "group")
        ),
        st.integers(0, 3),
        min_size=1,
    )
)
def test_any_name_survives_a_table_and_json(tmp_path_factory, groups):
    folder = tmp_path_factory.mktemp("groups")
    quoted = {name: name.replace('"', '""') for name in groups}
    table = "name,group\n" + "".join(f'"{quoted[name]}",{group}\n' for name, group in groups.items())
    expected = [f"group {group}" for group in groups.values()]
    assert read_groups(written(folder / "a.json", json.dumps(groups)), list(groups)) == expected
    assert read_groups(written(folder / "a.csv", table), list(groups)) == expected


def test_names_that_are_no_utf8_are_found(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"caf\xe9.png,x\nb.png,y\n")
    assert read_groups(tmp_path / "a.csv", [os.fsdecode(b"caf\xe9.png"), "b.png"]) == ["group x", "group y"]


def test_an_item_without_a_group_is_one_of_its_own_and_is_named(tmp_path):
    path = written(tmp_path / "a.csv", "1.png,x\n2.png,\n")
    with pytest.warns(TaumemWarning, match=r"2 of 3 items have no group there, .*: 'train/b/2\.png', 'train/b/3\.png'"):
        labels = read_groups(path, NAMES)
    assert len(set(labels)) == 3


def test_the_end_of_a_name_that_two_items_share_is_not_guessed(tmp_path):
    names = ["train/1.png", "heldout/1.png", "train/2.png"]
    with pytest.warns(TaumemWarning, match="2 of 3 items have no group there, or no name of their own"):
        labels = read_groups(written(tmp_path / "a.csv", "1.png,x\n2.png,x\n"), names)
    assert len(set(labels)) == 3
    table = "train/1.png,x\nheldout/1.png,y\ntrain/2.png,x\n"
    first, second, third = read_groups(written(tmp_path / "b.csv", table), names)
    assert first == third != second


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "1.png,x\n1.png,y\n", r"line 2: 1\.png has two groups, 'x' and 'y'"),
        ("a.csv", "1.png,x\n2.png\n", r"line 2 has 1 cells, the first line 2"),
        ("a.csv", "1.png,x,7\n", r"its first line is '1\.png, x, 7'; expected two columns"),
        ("a.csv", "1.png\n2.png\n", r"its first line is '1\.png'"),
        ("a.csv", "name,size\n1.png,x\nname,y\n", "two groups|none of the 3 items|1 of 3|2 of 3"),
        ("a.csv", "dog.png,x\n", r"none of the 3 items is in it; they are called 'train/a/1\.png', .*holds 'dog\.png'"),
        ("a.csv", "", "none of the 3 items is in it; .* it holds nothing"),
        ("a.csv", "1.png,x\0\n" * 2000 + '"', "none of the 3|not readable|cells|items have no"),
        ("a.csv", '"' + "x" * 200_000 + '",y\n', r"line 1 is not readable \(field larger"),
        ("a.json", "{", "not readable as JSON"),
        ("a.json", "[" * 100_000, "not readable as JSON"),
        ("a.json", "1" * 5000, "not readable as JSON"),
        ("a.json", "null", "got a single NoneType"),
        ("a.json", '{"1.png": 1, "1.png": 2}', r"'1\.png' stand there more than once"),
        ("a.json", '{"1.png": [1]}', r"a group is a word or a whole number; got \[1\]"),
        ("a.json", "[1, 2]", "a list of 2 groups, for 3 items; give one for each"),
        ("a.json", "[1, 2, 1.5]", "a group is a word or a whole number; got 1.5"),
    ],
)
def test_what_is_no_such_table_is_refused_in_words(tmp_path, name, text, message):
    with pytest.raises((DataError, TaumemWarning), match=message):
        read_groups(written(tmp_path / name, text), NAMES)


def test_a_folder_and_nothing_are_refused(tmp_path):
    for place, message in ((tmp_path, "a folder; expected a file of two columns"), (tmp_path / "no", "no such file")):
        with pytest.raises(DataError, match=message):
            read_groups(place, NAMES)
