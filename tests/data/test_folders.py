"""Folders of pictures as people have them: links, leftovers of systems, damage, depth; nothing is lost in silence."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps, features

from taumem.data import load_folder, load_images, resize, to_grayscale
from taumem.data.pixels import bring_to_size, from_bytes
from taumem.data.readers import listing, picture
from taumem.errors import ConfigError, DataError, TaumemWarning

RNG = np.random.default_rng(0)


def shades(k: int) -> np.ndarray:
    return np.full((4, 4, 3), k, np.uint8)


def save(path: Path, pixels: np.ndarray | Image.Image, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(path, **options)
    return path


def read_shades(folder: Path, **options: object) -> list[int]:
    """The shade of each image, in the order in which they are read."""
    return ((load_folder(folder, **options)[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()


def png(width: int, height: int, bits: int = 8, colors: int = 2, rows: bytes = b"") -> bytes:
    """A PNG file with a header that claims what it likes."""
    chunks = {b"IHDR": struct.pack(">IIBBBBB", width, height, bits, colors, 0, 0, 0), b"IDAT": zlib.compress(rows)}
    parts = [
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in (chunks | {b"IEND": b""}).items()
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


class TestWhatIsFound:
    def test_a_link_to_a_folder_is_followed(self, tmp_path):
        save(tmp_path / "elsewhere" / "a.png", shades(1))
        save(tmp_path / "here" / "b.png", shades(2))
        (tmp_path / "here" / "a-link").symlink_to(tmp_path / "elsewhere")
        assert read_shades(tmp_path / "here") == [1, 2]

    def test_links_in_a_circle_end_and_a_folder_with_two_names_is_read_once_by_its_own(self, tmp_path):
        save(tmp_path / "b" / "1.png", shades(1))
        save(tmp_path / "0.png", shades(2))
        (tmp_path / "b" / "up").symlink_to(tmp_path)
        (tmp_path / "a-link").symlink_to(tmp_path / "b")
        assert read_shades(tmp_path) == [2, 1]

    def test_a_link_that_leads_nowhere_is_named_if_it_may_be_that_of_a_folder(self, tmp_path):
        save(tmp_path / "a.png", shades(1))
        (tmp_path / "notes.txt").symlink_to(tmp_path / "gone.txt")
        assert read_shades(tmp_path) == [1]
        (tmp_path / "more").symlink_to(tmp_path / "drive" / "more")
        with pytest.raises(DataError, match=r"1 of 2 images cannot be read: .*more: a link that leads nowhere"):
            load_folder(tmp_path)

    def test_a_link_that_leads_nowhere_is_named(self, tmp_path):
        save(tmp_path / "a.png", shades(1))
        (tmp_path / "b.png").symlink_to(tmp_path / "gone.png")
        (tmp_path / "notes.txt").symlink_to(tmp_path / "gone.txt")
        with pytest.raises(DataError, match=r"1 of 2 images cannot be read: .*b\.png: a link that leads nowhere"):
            load_folder(tmp_path)
        with pytest.warns(TaumemWarning, match=r"1 images read. 1 skipped"):
            assert read_shades(tmp_path, skip_unreadable=True) == [1]

    def test_a_pipe_and_a_device_with_a_pictures_name_are_named_and_not_waited_for(self, tmp_path):
        save(tmp_path / "a.png", shades(1))
        os.mkfifo(tmp_path / "pipe.png")
        (tmp_path / "zero.png").symlink_to("/dev/zero")
        with pytest.raises(DataError, match=r"2 of 3 .*pipe\.png: neither a file nor a folder; .*zero\.png: neither"):
            load_folder(tmp_path)

    def test_a_folder_with_a_pictures_name_is_a_folder(self, tmp_path):
        save(tmp_path / "x.png" / "a.PNG", shades(3))
        assert read_shades(tmp_path) == [3]

    def test_what_systems_leave_in_folders_does_not_count(self, tmp_path):
        save(tmp_path / "a.png", shades(1))
        for name in ("Thumbs.db", "._a.png", ".DS_Store", "__MACOSX/b.png", "desktop.ini", ".thumbnails/c.png"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(b"anything")
        assert read_shades(tmp_path) == [1]

    def test_endings_that_hold_no_picture_for_us_are_counted_and_do_not_stop_the_folder(self, tmp_path):
        save(tmp_path / "a.png", shades(1))
        for name in ("b.h5", "c.EPS", "d.mpg", "e.pdf", "f.wmf", "g.heic", "h.h5", "a.txt"):
            (tmp_path / name).write_bytes(b"%!PS-Adobe or anything")
        with pytest.warns(
            TaumemWarning, match=r"1 images read\. Files of other kinds are passed over: 2 \.h5, .* 2 others"
        ):
            assert read_shades(tmp_path) == [1]

    def test_captions_beside_the_images_are_passed_over(self, tmp_path):
        save(tmp_path / "a.png", shades(1))
        (tmp_path / "a.txt").write_text("a photo of sks dog")
        assert read_shades(tmp_path) == [1]  # a note would be an error here

    def test_a_program_in_another_language_is_never_run_whatever_the_file_is_called(self, tmp_path):
        (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
        with pytest.raises(DataError, match="its content is of no kind that is read here"):
            load_folder(tmp_path)

    def test_names_that_are_no_utf8_are_read_and_can_be_printed(self, tmp_path):
        save(tmp_path / os.fsdecode(b"a\xff.png"), shades(1))
        assert read_shades(tmp_path) == [1]
        (tmp_path / os.fsdecode(b"b\xfe.png")).write_bytes(b"no picture")
        with pytest.raises(DataError, match=r"b\\udcfe\.png: not a readable image") as refusal:
            load_folder(tmp_path)
        str(refusal.value).encode("utf-8")

    def test_a_folder_that_cannot_be_entered_is_named(self, tmp_path, monkeypatch):
        save(tmp_path / "a.png", shades(1))
        save(tmp_path / "locked" / "b.png", shades(2))

        def scandir(path):
            if Path(path).name == "locked":
                raise PermissionError(13, "Permission denied", str(path))
            return os.scandir(path)

        monkeypatch.setattr(listing, "os", type("os", (), {"scandir": staticmethod(scandir)}))
        with pytest.raises(DataError, match=r"locked: cannot be entered \(Permission denied\)"):
            load_folder(tmp_path)

    def test_a_pattern_in_quotes_gets_the_advice_to_name_the_folder(self, tmp_path):
        with pytest.raises(
            DataError, match=r"\*\.png: no such file or folder .*patterns are not expanded here, give the folder"
        ):
            load_images(tmp_path / "*.png")


class TestFilesThatCannotBeRead:
    @staticmethod
    def folder(path: Path) -> Path:
        for k in range(6):
            save(path / f"{k}.png", shades(k))
        whole = (path / "0.png").read_bytes()
        (path / "1.png").write_bytes(whole[:40])
        (path / "3.png").write_bytes(b"")
        (path / "4.jpg").write_bytes(b"<html>not found</html>")
        return path

    def test_all_are_counted_and_named_at_once(self, tmp_path):
        with pytest.raises(DataError) as refusal:
            load_images(self.folder(tmp_path))
        words = str(refusal.value)
        assert "3 of 7 images cannot be read" in words
        assert all(f"{name}: not a readable image" in words for name in ("1.png", "3.png", "4.jpg"))
        assert "the file is empty" in words
        assert "skip_unreadable (--skip-unreadable)" in words

    def test_of_many_the_first_are_named_and_the_others_counted(self, tmp_path):
        for k in range(30):
            (tmp_path / f"{k:02d}.png").write_bytes(b"no picture")
        with pytest.raises(DataError, match=r"30 of 30 .*04\.png: .*; and 25 more\. Replace them") as refusal:
            load_folder(tmp_path)
        assert "05.png" not in str(refusal.value)

    def test_they_are_skipped_if_asked_with_a_note(self, tmp_path):
        with pytest.warns(TaumemWarning, match=r"4 images read\. 3 skipped that cannot be read: .*1\.png"):
            assert read_shades(self.folder(tmp_path), skip_unreadable=True) == [0, 2, 4, 5]

    def test_if_nothing_is_left_that_is_an_error_all_the_same(self, tmp_path):
        (tmp_path / "a.png").write_bytes(b"no picture")
        with pytest.raises(DataError, match=r"1 of 1 images cannot be read.* Nothing is left"):
            load_folder(tmp_path, skip_unreadable=True)

    def test_a_file_without_permission_is_one_of_them(self, tmp_path, monkeypatch):
        save(tmp_path / "a.png", shades(1))

        def refuse(*_, **__):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(picture.Image, "open", refuse)
        with pytest.raises(DataError, match=r"a\.png: not a readable image \(Permission denied\)"):
            load_folder(tmp_path)

    def test_skipping_is_for_folders(self, tmp_path):
        np.save(tmp_path / "a.npy", np.zeros((2, 4, 4), np.uint8))
        with pytest.raises(ConfigError, match="skip_unreadable is for a folder"):
            load_images(tmp_path / "a.npy", skip_unreadable=True)


class TestDamagedExif:
    JUNK = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(range(200, 230))

    @pytest.mark.parametrize("name", ["a.png", "a.webp", "a.jpg"])
    @pytest.mark.filterwarnings("ignore::taumem.errors.TaumemWarning")
    def test_it_does_not_stop_the_load(self, tmp_path, name):
        save(tmp_path / name, Image.fromarray(shades(9)), exif=self.JUNK)
        assert read_shades(tmp_path) == [9]

    @pytest.mark.parametrize("junk", [b"Exif\0\0nonsense", b"Exif\0\0II*\0\xff\xff\xff\x7f", JUNK[:20]])
    @pytest.mark.parametrize("name", ["a.png", "a.webp"])
    def test_where_it_does_not_say_the_orientation_the_image_is_left_as_it_is_with_a_note(self, tmp_path, name, junk):
        save(tmp_path / name, Image.fromarray(shades(9)), exif=junk)
        with pytest.warns(TaumemWarning, match="1 have damaged EXIF data, and are not turned upright: a"):
            assert read_shades(tmp_path) == [9]

    def test_where_it_says_the_orientation_before_it_breaks_off_that_counts(self, tmp_path):
        exif = Image.Exif()
        exif[0x0112], exif[0x0131] = 6, "a program with a long name"
        pixels = RNG.integers(0, 256, (5, 7, 3), np.uint8)
        save(tmp_path / "a.png", pixels, exif=exif.tobytes()[:-4])
        assert load_folder(tmp_path).shape == (1, 3, 7, 5)

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
    def test_every_orientation_is_that_of_pillow(self, tmp_path, orientation, name):
        exif = Image.Exif()
        exif[0x0112] = orientation
        pixels = RNG.integers(0, 256, (5, 7, 3), np.uint8)
        save(tmp_path / name, pixels, exif=exif, **({"lossless": True} if name.endswith("webp") else {}))
        with Image.open(tmp_path / name) as image:
            upright = np.asarray(ImageOps.exif_transpose(image))
        assert torch.equal(load_folder(tmp_path), from_bytes(upright.transpose(2, 0, 1)[None]))


class TestDepth:
    """More than 8 bits a channel are refused whatever the format: pillow would drop the low ones without a word."""

    @pytest.mark.parametrize("colors", [0, 2, 4, 6], ids=["gray", "rgb", "gray and alpha", "rgba"])
    def test_16_bit_png(self, tmp_path, colors):
        n = {0: 1, 2: 3, 4: 2, 6: 4}[colors]
        (tmp_path / "a.png").write_bytes(png(2, 2, 16, colors, (b"\0" + bytes(range(2 * 2 * n))) * 2))
        with pytest.raises(DataError, match=r"a\.png: has more than 8 bits a channel \(16 bits\)"):
            load_folder(tmp_path)

    @pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
    def test_tiff_of_wide_numbers(self, tmp_path, kind):
        save(tmp_path / "a.tif", np.full((3, 3), 300, kind))
        with pytest.raises(DataError, match="has more than 8 bits a channel"):
            load_folder(tmp_path)

    def test_16_bit_color_tiff(self, tmp_path):
        tags = [(256, 4, 1, 2), (257, 4, 1, 1), (258, 3, 3, 122), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 128)]
        tags += [(277, 3, 1, 3), (278, 4, 1, 1), (279, 4, 1, 12)]
        head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
        content = (head + bytes(4)).ljust(122, b"\0") + struct.pack("<HHH", 16, 16, 16) + bytes(range(12))
        (tmp_path / "a.tif").write_bytes(content)
        with pytest.raises(DataError, match=r"more than 8 bits a channel \(16 bits\)"):
            load_folder(tmp_path)

    def test_16_bit_color_ppm(self, tmp_path):
        (tmp_path / "a.ppm").write_bytes(b"P6 1 1 65535\n" + bytes(6))
        with pytest.raises(DataError, match=r"more than 8 bits a channel \(16 bits\)"):
            load_folder(tmp_path)

    def test_the_depth_of_a_jpeg_2000_is_found_behind_long_descriptions(self, tmp_path):
        if not features.check("jpg_2000"):
            pytest.skip("pillow without JPEG 2000")
        file = io.BytesIO()
        Image.fromarray(shades(100)).save(file, "JPEG2000")
        content = file.getvalue()
        at = content.index(b"jp2c") - 4
        described = content[:at] + struct.pack(">I4s", 8 + 6000, b"uuid") + b"\x11" * 6000 + content[at:]
        (tmp_path / "a.jp2").write_bytes(described)
        assert read_shades(tmp_path) == [100]

    def test_12_bit_jpeg_2000(self, tmp_path):
        if not features.check("jpg_2000"):
            pytest.skip("pillow without JPEG 2000")
        file = io.BytesIO()
        Image.fromarray(shades(100)).save(file, "JPEG2000")
        content = bytearray(file.getvalue())
        (tmp_path / "a.jp2").write_bytes(content)
        assert load_folder(tmp_path).shape == (1, 3, 4, 4)
        at = content.find(b"\xff\x4f\xff\x51")
        content[at + 42] = 11  # of the first channel
        (tmp_path / "a.jp2").write_bytes(content)
        with pytest.raises(DataError, match=r"more than 8 bits a channel \(12 bits\)"):
            load_folder(tmp_path)

    def test_8_bit_pictures_of_every_mode_are_read(self, tmp_path):
        for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
            save(tmp_path / f"{mode}.png", Image.fromarray(shades(255)).convert(mode))
        save(tmp_path / "cmyk.tif", Image.fromarray(shades(255)).convert("CMYK"))
        save(tmp_path / "z.tga", shades(255))
        assert read_shades(tmp_path) == [255] * 8

    def test_a_palette_with_a_transparent_color_shows_black_there(self, tmp_path):
        image = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
        image.putpalette([255, 255, 255, 200, 200, 200])
        save(tmp_path / "a.png", image, transparency=0)
        assert ((load_folder(tmp_path)[0, 0, 0] + 1) * 127.5).tolist() == [0, 200]


class TestSize:
    def test_a_header_that_claims_much_is_refused_by_its_size(self, tmp_path):
        (tmp_path / "a.png").write_bytes(png(12_000, 12_000))
        (tmp_path / "b.png").write_bytes(png(20_000, 10_000))
        with pytest.raises(
            DataError, match=r"too large: 12000 x 12000 pixels; at most 50 megapixels are read, so make"
        ):
            load_folder(tmp_path, size=16)
        with pytest.raises(DataError, match=r"b\.png: too large: 20000 x 10000 pixels"):
            load_folder(tmp_path, size=16)

    def test_pillows_own_limit_stays_as_it_was(self, tmp_path):
        before = Image.MAX_IMAGE_PIXELS
        (tmp_path / "a.png").write_bytes(png(20_000, 10_000))
        with pytest.raises(DataError):
            load_folder(tmp_path)
        assert before == Image.MAX_IMAGE_PIXELS

    def test_more_images_than_memory_are_refused_before_it_is_filled(self, tmp_path, monkeypatch):
        save(tmp_path / "a.png", shades(1))
        save(tmp_path / "b.png", shades(1))
        monkeypatch.setattr("os.sysconf", lambda name: 10)
        with pytest.raises(DataError, match=r"needs .* GB of memory, this machine has .*Give a smaller size"):
            load_folder(tmp_path)

    def test_memory_that_is_not_there_is_said_in_words(self, tmp_path, monkeypatch):
        save(tmp_path / "a.png", shades(1))
        for error in (
            MemoryError(),
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you ..."),
        ):
            monkeypatch.setattr("taumem.data.readers.folder.bring_to_size", _raising(error))
            with pytest.raises(DataError, match="needs more memory than there is"):
                load_folder(tmp_path)
        monkeypatch.setattr("taumem.data.readers.folder.bring_to_size", _raising(RuntimeError("a bug")))
        with pytest.raises(RuntimeError, match="a bug"):
            load_folder(tmp_path)

    @pytest.mark.parametrize("shape", [(1, 3, 700, 40), (2, 3, 600, 300), (1, 3, 513, 17)])
    @pytest.mark.parametrize("size", [None, 4, (100, 10), (30, 17), (1, 1)])
    def test_strip_by_strip_gives_the_bits_of_the_whole(self, shape, size):
        pixels = RNG.integers(0, 256, shape, np.uint8)
        whole = to_grayscale(from_bytes(pixels))
        if size == 4:
            whole = resize(whole, size, pad_to=800)
        elif size is not None:
            whole = torch.cat([resize(image[None], size) for image in whole])
        options = {"size": size, "pad_to": 800 if size == 4 else None}
        assert torch.equal(bring_to_size(torch.from_numpy(pixels), grayscale=True, **options), whole)

    def test_the_strips_of_a_resize_do_not_show(self):
        images = from_bytes(RNG.integers(0, 256, (1, 3, 700, 90), np.uint8))
        options = {"mode": "bilinear", "align_corners": False, "antialias": True}
        expected = torch.nn.functional.interpolate(images.double(), (33, 16), **options).float()
        assert torch.equal(resize(images, (33, 16)), expected)
        boxes = torch.nn.functional.avg_pool2d(images.double(), (7, 9)).float()
        assert torch.equal(resize(images, (100, 10)), boxes)


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.tif", "a.webp"])
def test_of_several_frames_or_pages_the_first_is_taken_with_a_note(tmp_path, name):
    frames = [Image.fromarray(shades(k)) for k in (8, 200)]
    options = {"lossless": True} if name.endswith("webp") else {}
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
    with pytest.warns(TaumemWarning, match=r"1 have several frames or pages, of which the first is taken: a\."):
        assert read_shades(tmp_path) == [8]


def _raising(error: Exception):
    def raising(*_, **__):
        raise error

    return raising
