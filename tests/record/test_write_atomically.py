"""A reader sees the old file or the new one; nothing but a file is replaced; a disk that refuses is quoted in words."""

import errno
import os
import socket
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from taumem.errors import RecordError
from taumem.record import write_atomically
from taumem.record.files import temporary_neighbor, why_no_file_name


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


# --- what stands at the path --------------------------------------------------------------------------------------


def test_through_a_link_its_target_is_written_and_the_link_stays(tmp_path):
    target, link = tmp_path / "elsewhere" / "file.txt", tmp_path / "link.txt"
    target.parent.mkdir()
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    write_atomically(link, "new")
    assert link.readlink() == target
    assert (target.read_text(), target.stat().st_mode & 0o777) == ("new", 0o640)
    target.unlink()
    write_atomically(link, "again")  # one that led nowhere
    assert (link.is_symlink(), target.read_text()) == (True, "again")
    assert sorted(names_in(tmp_path)) == ["elsewhere", "link.txt"]


def test_a_device_is_written_into_and_stays_one(tmp_path):
    device = tmp_path / "null"
    device.symlink_to("/dev/null")
    for path in (device, Path("/dev/null")):
        write_atomically(path, "gone")
        assert stat.S_ISCHR(path.stat().st_mode)


def test_a_pipe_is_written_into_and_stays_one(tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_atomically(pipe, "through")
    reader.join(10)
    assert (read, stat.S_ISFIFO(pipe.stat().st_mode)) == (["through"], True)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


@pytest.mark.parametrize(
    ("put", "words"),
    [
        (Path.mkdir, "file is a folder; expected the name of a file to write"),
        (a_socket, "file is a socket; expected"),
        (lambda path: path.symlink_to(path.name), "file: is a link that leads to itself"),
    ],
)
def test_what_cannot_be_written_is_refused_in_words_and_stays(tmp_path, monkeypatch, put, words):
    monkeypatch.chdir(tmp_path)  # the names of sockets are short
    folder = tmp_path / "folder"
    folder.mkdir()
    put(Path("folder/file"))
    with pytest.raises(RecordError, match=words):
        write_atomically(Path("folder/file"), "new")
    assert names_in(folder) == ["file"]


def test_a_file_where_a_folder_is_expected_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match=r"file: is a file; expected a folder"):
        write_atomically(tmp_path / "file" / "new.txt", "")
    with pytest.raises(RecordError, match=r"a part of its path is a file; expected folders"):
        write_atomically(tmp_path / "file" / "folder" / "new.txt", "")


# --- a disk that refuses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full. What was written before is kept; make room, and the same command goes on"),
        (errno.EDQUOT, "quota"),
        (errno.EFBIG, "ulimit -f"),
        (errno.EIO, "the disk failed"),
        (errno.EROFS, "may only be read"),
        (errno.EACCES, "permission denied"),
        (errno.ENXIO, "No such device or address"),
    ],
)
def test_a_disk_that_refuses_is_quoted_in_words_with_the_name_of_the_file(tmp_path, number, words):
    def refuse(path):
        path.write_text("half")
        raise OSError(number, os.strerror(number), str(path))

    file = tmp_path / "file.txt"
    write_atomically(file, "old")
    with pytest.raises(RecordError) as refused:
        write_atomically(file, refuse)
    assert str(refused.value).startswith(f"{file}: cannot be written: ")
    assert words in str(refused.value)
    assert ".tmp" not in str(refused.value)
    assert (file.read_text(), names_in(tmp_path)) == ("old", ["file.txt"])


def test_the_folder_reaches_the_disk_after_the_rename(tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr(os, "fsync", lambda fd: order.append(Path(f"/proc/self/fd/{fd}").readlink().name))
    write_atomically(tmp_path / "file.txt", "new")
    assert len(order) == 2
    assert order[1] == tmp_path.name


# --- what killed writers leave ------------------------------------------------------------------------------------


def test_what_a_killed_writer_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path):
    file = tmp_path / "file.txt"
    ended = subprocess.Popen(["true"])
    ended.wait()
    stale, living = (temporary_neighbor(file, pid) for pid in (ended.pid, os.getppid()))
    foreign = [tmp_path / f".file.txt.{name}.tmp" for name in (f"elsewhere.{ended.pid}", "notes")]
    for path in (stale, living, *foreign):
        path.write_text("half")
    write_atomically(file, "new")
    assert sorted(tmp_path.iterdir()) == sorted([file, living, *foreign])


# --- names --------------------------------------------------------------------------------------------------------


def test_text_that_holds_a_name_that_is_not_utf8_is_written(tmp_path):
    file = tmp_path / os.fsdecode(b"\xff.txt")
    write_atomically(file, f"{file.name}\n")
    assert file.read_text() == "\\udcff.txt\n"


DEVICES, LEADING_OUT = ["CON", "nul.txt"], ["../../x", "/tmp/x", "a/b", "a\\b", ".", ".."]
NOT_PRINTED = ["a\nb", "a\0b", "\x1b[31m", "a\u202eb", os.fsdecode(b"\xff")]


@pytest.mark.parametrize(
    "name", [*LEADING_OUT, *DEVICES, *NOT_PRINTED, ".hidden", "-o", "~", "x.", "", " ", "x ", 101 * "x"], ids=ascii
)
def test_what_is_no_plain_name_of_a_file_is_told(name):
    assert why_no_file_name(name)


@pytest.mark.parametrize("name", ["study", "Große Studie, P = 16", "m4-masked_2.1", "控制", "a:b"])
def test_plain_names_are_plain(name):
    assert not why_no_file_name(name)


@pytest.mark.skipif(os.name == "nt", reason="its files have no such modes")
def test_others_may_read_what_the_umask_lets_them_whatever_a_writer_makes_of_it(tmp_path):
    def secretive(path: Path) -> None:  # as safetensors 0.8 is
        path.unlink(missing_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))

    before = os.umask(0o022)
    try:
        write_atomically(tmp_path / "weights", secretive)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "weights").stat().st_mode) == 0o644
