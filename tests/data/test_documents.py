"""Text files as people have them: encodings, binary files among them, letters that an alphabet does not have."""

import codecs
import os
from typing import ClassVar

import pytest

from taumem.data import Text, load_text
from taumem.errors import DataError, TaumemWarning

RUSSIAN = "В начале было слово, и слово это было записано много раз подряд. "
ENGLISH = "In the beginning was the word, and the word was written down. "


def text_of(text: Text) -> list[str]:
    return ["".join(text.alphabet.symbols[k] for k in document) for document in text.documents]


class TestEncodings:
    MARKED: ClassVar = {
        "utf-8-sig": "utf-8-sig",
        "utf-16-le": codecs.BOM_UTF16_LE,
        "utf-16-be": codecs.BOM_UTF16_BE,
        "utf-32-le": codecs.BOM_UTF32_LE,
        "utf-32-be": codecs.BOM_UTF32_BE,
    }

    @pytest.mark.parametrize("encoding", MARKED)
    def test_a_byte_order_mark_says_the_encoding_and_is_no_part_of_the_text(self, tmp_path, encoding):
        mark = self.MARKED[encoding]
        content = (RUSSIAN + ENGLISH).encode(encoding)
        (tmp_path / "a.txt").write_bytes(content if isinstance(mark, str) else mark + content)
        assert text_of(load_text(tmp_path / "a.txt", alphabet="characters")) == [RUSSIAN + ENGLISH]

    @pytest.mark.parametrize("text", [ENGLISH, RUSSIAN, ENGLISH * 300], ids=["English", "Russian", "long"])
    @pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
    @pytest.mark.parametrize("alphabet", ["text8", "characters"])
    def test_without_a_mark_the_likely_encoding_is_said(self, tmp_path, text, encoding, alphabet):
        (tmp_path / "a.txt").write_bytes(text.encode(encoding))
        with pytest.raises(DataError, match=rf"a\.txt: not a text: it looks like {encoding.upper()} .*iconv -f"):
            load_text(tmp_path / "a.txt", alphabet=alphabet)

    @pytest.mark.parametrize("encoding", ["latin-1", "cp1251", "koi8-r", "shift-jis"])
    def test_other_encodings_are_refused_as_no_utf8(self, tmp_path, encoding):
        text = {"latin-1": "café au lait", "shift-jis": "日本語です"}.get(encoding, RUSSIAN)
        (tmp_path / "a.txt").write_bytes(text.encode(encoding))
        with pytest.raises(DataError, match=r"a\.txt: not valid UTF-8: byte \d+ .*convert the file to UTF-8"):
            load_text(tmp_path / "a.txt")

    def test_a_damaged_utf16_file_is_refused_in_words(self, tmp_path):
        (tmp_path / "a.txt").write_bytes(codecs.BOM_UTF16_LE + b"\x00\xd8" + "abc".encode("utf-16-le"))
        with pytest.raises(DataError, match=r"not valid UTF-16-LE: byte 2 "):
            load_text(tmp_path / "a.txt")

    @pytest.mark.parametrize(
        "content", [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"PK\x03\x04\x14\0\0\0", b"\x7fELF\2\1\1\0" * 9]
    )
    def test_a_binary_file_is_no_text(self, tmp_path, content):
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(DataError, match=r"a: not a text"):
            load_text(tmp_path / "a")
        assert load_text(tmp_path / "a", alphabet="bytes").documents[0].tobytes() == content

    @pytest.mark.parametrize(
        "text", ["one\r\ntwo\rthree\n", "a giant line " * 5000, "one stray \0 among many" * 1 + " " * 99]
    )
    def test_ends_of_lines_long_lines_and_a_stray_control_stay_as_they_are(self, tmp_path, text):
        (tmp_path / "a.txt").write_bytes(text.encode())
        assert text_of(load_text(tmp_path / "a.txt", alphabet="characters")) == [text]


class TestFolders:
    def test_all_files_that_are_no_texts_are_named_at_once_and_skipped_if_asked(self, tmp_path):
        (tmp_path / "a.txt").write_text("hello")
        (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
        (tmp_path / "c.txt").write_bytes(b"caf\xe9")
        with pytest.raises(DataError, match=r"2 of 3 documents cannot be read: .*b\.png: not .*c\.txt: not .*skip_unr"):
            load_text(tmp_path, alphabet="characters")
        with pytest.warns(TaumemWarning, match=r"1 documents read\. 2 skipped that cannot be read: .*b\.png"):
            assert text_of(load_text(tmp_path, alphabet="characters", skip_unreadable=True)) == ["hello"]

    def test_links_are_followed_once_and_pipes_and_broken_links_named(self, tmp_path):
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "b.txt").write_text("two")
        (tmp_path / "here").mkdir()
        (tmp_path / "here" / "a.txt").write_text("one")
        (tmp_path / "here" / "more").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "here")
        assert text_of(load_text(tmp_path / "here", alphabet="characters")) == ["one", "two"]
        os.mkfifo(tmp_path / "here" / "pipe")
        (tmp_path / "here" / "gone").symlink_to(tmp_path / "nowhere")
        with pytest.raises(DataError, match=r"2 of 4 .*gone: a link that leads nowhere; .*pipe: neither a file"):
            load_text(tmp_path / "here")

    def test_a_name_that_is_no_utf8_can_be_printed(self, tmp_path):
        folder = tmp_path / os.fsdecode(b"caf\xe9")
        folder.mkdir()
        (folder / os.fsdecode(b"\xff.txt")).write_text("hello hello")
        text = load_text(folder)
        assert text.name == r"caf\udce9"
        assert text.n_characters == 12


class TestLettersThatAreDropped:
    def test_a_text_that_text8_would_lose_is_refused_with_what_keeps_it(self):
        for text in (RUSSIAN * 50, RUSSIAN * 50 + ENGLISH * 20, "日本語" * 99, "०१२३" * 99):
            with pytest.raises(
                DataError, match=r"'text8' is a-z and space, and drops \d+% of the letters .*'characters'"
            ):
                Text.of("mixed", {"": text})
            Text.of("mixed", {"": text}, "characters")

    def test_the_share_is_said_where_it_is_more_than_a_percent(self):
        with pytest.warns(
            TaumemWarning, match=r"german: the alphabet 'text8' .* drops \d+% of the letters here \(most .* ä"
        ):
            text = Text.of(
                "german", {"": "zwölf große Bären aßen süße Äpfel ä ä und danach noch viele andere gute Dinge " * 9}
            )
        assert text.alphabet.vocabulary == 27

    def test_a_few_foreign_letters_are_no_matter(self):
        Text.of("english", {"": ENGLISH * 50 + "naïve café"})  # a note would be an error here

    def test_no_letters_at_all_are_not_letters_dropped(self):
        assert Text.of("signs", {"": "—…«»"}).n_characters == 0
