"""The built-in text: what PROVENANCE.md says about it is true."""

import gzip
import hashlib
import platform
import re
from pathlib import Path

import pytest

import taumem.data.english as english
from taumem.data import load_english
from taumem.data.english import build
from taumem.errors import DataError

FOLDER = Path(english.__file__).parent


def stated(what: str) -> str:
    """The value that the table in PROVENANCE.md gives."""
    found = re.search(rf"^\| {what} \| `?([0-9a-f,]+)", (FOLDER / "PROVENANCE.md").read_text(), re.MULTILINE)
    assert found
    return found[1]


def test_the_file_and_its_text_are_those_that_provenance_states():
    content = english.TOPICS_FILE.read_bytes()
    assert hashlib.sha256(content).hexdigest() == stated("SHA-256 of `topics.json.gz`")
    assert len(content) == int(stated("size").replace(",", ""))
    assert hashlib.sha256(gzip.decompress(content)).hexdigest() == stated("SHA-256 of the JSON") == english.SHA256


def test_the_packaged_text_is_small_and_carries_its_license():
    assert sum(file.stat().st_size for file in FOLDER.iterdir() if file.is_file()) <= 200_000
    assert "PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2" in (FOLDER / "LICENSE").read_text(encoding="utf-8")


def test_there_are_79_topics_in_alphabetical_order():
    topics = load_english()
    assert len(topics) == 79
    assert list(topics) == sorted(topics)
    assert sum(map(len, topics.values())) == 464_970
    assert topics["while"].startswith('The "while" statement\n')


@pytest.mark.skipif(platform.python_version() != "3.11.7", reason="other versions of Python have other topics")
def test_building_again_gives_the_same_text():
    assert hashlib.sha256(build.topics_as_json()).hexdigest() == english.SHA256


@pytest.mark.parametrize(
    "content",
    [None, b"", b"not gzip", gzip.compress(b"{}", mtime=0), english.TOPICS_FILE.read_bytes()[:-100]],
    ids=["missing", "empty", "another kind", "another text", "truncated"],
)
def test_a_damaged_installation_is_a_clear_error(content, tmp_path, monkeypatch):
    damaged = tmp_path / "topics.json.gz"
    if content is not None:
        damaged.write_bytes(content)
    monkeypatch.setattr(english, "TOPICS_FILE", damaged)
    with pytest.raises(DataError, match="install taumem again"):
        load_english()
