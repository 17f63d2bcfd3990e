"""A reader sees the old file or the new one."""

from pathlib import Path

import pytest

from taumem.record import write_atomically


def names_in(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


@pytest.mark.parametrize("content", ["é\n", b"\x00\xff", lambda path: path.write_bytes(b"drawn")])
def test_text_bytes_and_functions_are_written_and_leave_nothing_else(tmp_path, content):
    file = tmp_path / "new" / "folder" / "file.txt"
    write_atomically(file, content)
    expected = {str: "é\n".encode(), bytes: b"\x00\xff"}.get(type(content), b"drawn")
    assert file.read_bytes() == expected
    assert names_in(file.parent) == ["file.txt"]


def half_a_file(path):
    path.write_text("half")
    raise KeyboardInterrupt


def test_a_writer_that_fails_halfway_leaves_the_old_file_alone(tmp_path):
    file = tmp_path / "file.txt"
    write_atomically(file, "old")
    with pytest.raises(KeyboardInterrupt):
        write_atomically(file, half_a_file)
    assert file.read_text() == "old"
    assert names_in(tmp_path) == ["file.txt"]


def test_a_writer_that_fails_halfway_leaves_no_new_file(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "file.txt", half_a_file)
    assert names_in(tmp_path) == []


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path):
    file = tmp_path / "file.txt"
    write_atomically(file, "old")

    def looking(path):
        path.write_text("new")
        assert file.read_text() == "old"

    write_atomically(file, looking)
    assert file.read_text() == "new"
