"""Data of every kind, and damaged in every way: what is told of them."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import taumem
from taumem.doctor.items import look_at
from taumem.doctor.labels import suggested_groups
from taumem.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    shades = ((taumem.load_fashion_mnist()[:48, 0] + 1) * 127.5).round().numpy().astype(np.uint8)
    return [Image.fromarray(each) for each in shades]


@pytest.fixture
def folder(pictures, tmp_path) -> Path:
    place = tmp_path / "forty"
    place.mkdir()
    for k, picture in enumerate(pictures[:40]):
        picture.save(place / f"{k:02d}.png")
    return place


def test_a_folder_of_different_pictures_is_so_many_items(folder):
    seen = look_at(folder)
    assert (seen.n_there, seen.n_looked_at, seen.n_read, seen.n_units) == (40, 40, 40, 40)
    assert seen.forms == "40 28x28 (height x width); 40 gray"
    assert seen.formats == "40 .png"
    assert seen.unreadable == seen.cautions == ()
    assert seen.near.example is None


@pytest.mark.slow
def test_all_that_cannot_be_read_is_named_with_its_reason(folder):
    (folder / "zero.png").write_bytes(b"")
    (folder / "half.png").write_bytes((folder / "00.png").read_bytes()[:150])
    (folder / "words.jpg").write_text("no picture")
    Image.new("RGB", (8000, 8000)).save(folder / "huge.png")
    Image.new("I;16", (8, 8)).save(folder / "deep.png")
    (folder / "dead.png").symlink_to("nowhere.png")
    (folder / "circle").symlink_to(".")
    os.mkfifo(folder / "pipe.png")
    (folder / "caption.txt").write_text("a shirt")
    (folder / "raw.heic").write_bytes(b"?")
    seen = look_at(folder)
    assert seen.n_read == seen.n_units == 40
    reasons = {Path(told.split(": ")[0]).name: told.split(": ", 1)[1] for told in seen.unreadable}
    assert set(reasons) == {"zero.png", "half.png", "words.jpg", "huge.png", "deep.png", "dead.png", "pipe.png"}
    assert "empty" in reasons["zero.png"]
    assert "truncated" in reasons["half.png"]
    assert "too large" in reasons["huge.png"]
    assert "more than 8 bits" in reasons["deep.png"]
    assert "Files of other kinds are passed over: 1 .txt, 1 .heic." in seen.cautions


def test_a_picture_without_permission_is_one_of_them(folder, monkeypatch):
    usual = Path.open

    def refuse(self, *options, **more):
        if self.name == "07.png":
            raise PermissionError(13, "Permission denied", str(self))
        return usual(self, *options, **more)

    monkeypatch.setattr(Path, "open", refuse)
    assert [told.rpartition("(")[2] for told in look_at(folder).unreadable] == ["Permission denied)"]


def test_equal_pictures_and_near_duplicates_count_once(folder, pictures):
    shutil.copy(folder / "00.png", folder / "again.png")
    pictures[1].save(folder / "saved-again.jpg", quality=95)
    seen = look_at(folder)
    assert seen.identical == 1 + 0  # what was compressed again is near, and not equal
    assert seen.near.count == seen.n_units == 40
    assert seen.near.largest == 2
    assert set(seen.near.example) in ({"00.png", "again.png"}, {"01.png", "saved-again.jpg"})


def test_names_that_are_no_utf8_are_read_and_can_be_printed(folder):
    shutil.copy(folder / "00.png", os.fsencode(folder) + b"/0\xff.png")
    seen = look_at(folder)
    assert seen.n_read == 41
    assert "0\\udcff.png" in seen.near.example
    for name in seen.near.example:
        name.encode()


def test_groups_of_a_table_are_what_is_counted(folder, tmp_path):
    (tmp_path / "groups.csv").write_text("".join(f"{k:02d}.png,patient {k // 4}\n" for k in range(40)))
    seen = look_at(folder, groups=tmp_path / "groups.csv")
    assert seen.n_units == seen.named.count == 10
    assert seen.named.largest == 4


def test_groups_that_names_suggest_are_told_and_not_counted(pictures, tmp_path):
    for k, picture in enumerate(pictures[:12]):
        picture.save(tmp_path / f"patient{k // 4}_slice{k % 4:02d}.png")
    seen = look_at(tmp_path)
    assert seen.n_units == 12
    assert "Names suggest 3 groups" in seen.cautions[0]


@pytest.mark.parametrize(
    ("names", "suggests"),
    [
        ([f"img_{k:03d}.png" for k in range(20)], None),
        ([f"{k}.png" for k in range(20)], None),
        ([f"scene{k // 5}/frame{k}.png" for k in range(20)], "4 groups"),
        ([f"all/{k}.png" for k in range(20)], None),
        ([f"p{k}/only.png" for k in range(20)], None),
        ([f"s{k // 5}-{k:04d}.jpg" for k in range(20)], "4 groups"),
        ([], None),
    ],
)
def test_what_names_suggest(names, suggests):
    told = suggested_groups(names)
    assert told is None if suggests is None else suggests in told


def test_pictures_of_several_sizes_are_compared_all_the_same(folder):
    Image.new("RGB", (60, 40), "red").save(folder / "red.png")
    seen = look_at(folder)
    assert seen.n_units == 41
    assert "40 28x28, 1 40x60" in seen.forms
    assert "1 in color" in seen.forms
    assert "2 sizes" in seen.cautions[0]
    assert not any("sizes" in caution for caution in look_at(folder, size=16).cautions)


def test_of_a_large_folder_a_part_is_looked_at_evenly_spread(folder, monkeypatch):
    seen = look_at(folder, limit=10)
    assert (seen.n_there, seen.n_looked_at, seen.n_read) == (40, 10, 10)
    assert seen.n_most == 40  # if nothing that was not looked at is there twice
    shutil.copy(folder / "00.png", folder / "00a.png")
    monkeypatch.setattr("taumem.doctor.items.MOST_BYTES", 1)
    monkeypatch.setattr("taumem.doctor.items.FEWEST_FILES", 3)
    assert look_at(folder).n_looked_at == 3


def test_progress_is_told(folder):
    told = []
    look_at(folder, progress=lambda *at: told.append(at))
    assert told[0] == ("reading", 0, 40)
    assert ("comparing", 1, 1) in told


@pytest.mark.parametrize("name", ["nothing-readable", "empty", "one"])
def test_a_folder_with_hardly_anything_in_it(name, tmp_path, pictures):
    place = tmp_path / name
    place.mkdir()
    if name == "empty":
        with pytest.raises(DataError, match="this folder is empty"):
            look_at(place)
    elif name == "one":
        pictures[0].save(place / "a.png")
        assert (look_at(place).n_read, look_at(place).n_units) == (1, 1)
    else:
        (place / "a.png").write_bytes(b"")
        assert (look_at(place).n_read, len(look_at(place).unreadable)) == (0, 1)


def test_a_folder_of_texts_names_those_that_are_none(tmp_path):
    for k in range(20):
        (tmp_path / f"{k}.txt").write_text(f"The quick brown fox number {k * 7919} jumps over {k}.")
    (tmp_path / "binary.txt").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "latin.txt").write_bytes("Größe".encode("latin-1"))
    seen = look_at(tmp_path)
    assert (seen.kind, seen.n_read, len(seen.unreadable)) == ("texts", 20, 2)
    assert "symbols" in seen.forms
    assert look_at(tmp_path, window=8).n_read > 20
    assert look_at(tmp_path, as_bytes=True).n_read == 22


def test_lines_arrays_vectors_and_tokens(tmp_path):
    draw = np.random.default_rng(0)
    (tmp_path / "lines.txt").write_text("\n".join(["a line of its own"] * 3 + [f"{k}" * 9 for k in range(30, 50)]))
    lines = look_at(tmp_path / "lines.txt")
    assert (lines.kind, lines.n_there, lines.identical) == ("texts", 23, 2)
    np.save(tmp_path / "bytes.npy", draw.integers(0, 255, (5000, 8, 8), dtype=np.uint8))
    images = look_at(tmp_path / "bytes.npy", limit=100)
    assert (images.kind, images.n_there, images.n_read, images.n_most) == ("images", 5000, 100, 5000)
    np.save(tmp_path / "vectors.npy", draw.normal(size=(30, 4)))
    assert look_at(tmp_path / "vectors.npy").kind == "vectors"
    np.save(tmp_path / "tokens.npy", draw.integers(0, 9, (30, 4)))
    tokens = look_at(tmp_path / "tokens.npy")
    assert tokens.near is None
    assert "tokens" in tokens.cautions[0]


def test_an_option_that_says_nothing_about_these_data_is_refused(folder, tmp_path):
    with pytest.raises(ConfigError, match="window"):
        look_at(folder, window=3)
    (tmp_path / "lines.txt").write_text("a\nb\n")
    with pytest.raises(ConfigError, match="size"):
        look_at(tmp_path / "lines.txt", size=8)
