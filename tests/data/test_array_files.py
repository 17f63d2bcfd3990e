"""Files of numpy, idx and CIFAR-10 that lie, are damaged or were rounded: refused in words, in bounded memory."""

import gzip
import io
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from taumem.data import load_array, load_cifar10, load_idx, load_images
from taumem.data.readers import opening
from taumem.errors import DataError

RNG = np.random.default_rng(0)


def npy(header: str, content: bytes = b"", version: int = 1) -> bytes:
    """A .npy file with a header that says what it likes."""
    text = header.encode("latin-1") + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text + content


def says(shape: object, dtype: str = "|u1", fortran: bool = False) -> str:
    return f"{{'descr': '{dtype}', 'fortran_order': {fortran}, 'shape': {shape}}}"


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


class TestHeadersThatLie:
    @pytest.mark.parametrize(
        "shape",
        ["(1000000, 1000, 1000)", "(5, 4, 4)", "(2**70, 4, 4)", "(0, 9223372036854775807, 99)", "(-1, 4, 4)", "(4.5,)"],
    )
    def test_more_than_the_file_has_is_refused_before_memory_is_taken(self, tmp_path, shape):
        shape = shape.replace("2**70", str(2**70))
        for version in (1, 2):
            path = write(tmp_path / "a.npy", npy(says(shape), bytes(64), version))
            with pytest.raises(DataError, match=r"a\.npy: (not a readable|holds no images|expected images)"):
                load_array(path)

    def test_what_the_header_says_and_what_follows_is_in_the_message(self, tmp_path):
        path = write(tmp_path / "a.npy", npy(says((9, 4, 4), "<f8"), bytes(100)))
        with pytest.raises(DataError, match=r"float64 of shape \(9, 4, 4\), 1152 bytes, and 100 follow"):
            load_array(path)

    @pytest.mark.parametrize(
        "header",
        [
            "{'descr': '|u1', 'shape': (((((",
            "(" * 5000,
            "'''",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (4L, 4L, 4L}",
            "\x00\xff",
            "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (4, 4, 4)}",
            "{'descr': 'no such type', 'fortran_order': False, 'shape': (4, 4, 4)}",
            says((4, 4, 4), "|O"),
            says((4, 4, 4), "<c8"),
            says((4, 4, 4), "<U3"),
            says((4, 4, 4), "<M8[s]"),
            says((4, 4, 4), "|V0"),
            " " * 20_000 + says((4, 4, 4)),
        ],
    )
    def test_headers_of_any_kind_are_refused_in_words(self, tmp_path, header):
        for version in (1, 2, 3):
            with pytest.raises(DataError, match="not a readable"):
                load_array(write(tmp_path / "a.npy", npy(header, bytes(64), version)))

    def test_python_objects_are_not_unpickled(self, tmp_path):
        class Trap:
            def __reduce__(self):
                return os._exit, (1,)

        np.save(tmp_path / "a.npy", np.array([Trap()], dtype=object), allow_pickle=True)
        with pytest.raises(DataError, match="Python objects, which may run code"):
            load_array(tmp_path / "a.npy")

    def test_fortran_order_and_big_endian_numbers_give_the_same_images(self, tmp_path):
        values = RNG.uniform(-1, 1, (3, 4, 5)).astype(np.float32)
        for k, written in enumerate((values, np.asfortranarray(values), values.astype(">f4"), values.astype(">f8"))):
            np.save(tmp_path / f"{k}.npy", written)
            np.savez_compressed(tmp_path / f"{k}.npz", written)
            for ending in ("npy", "npz"):
                assert np.array_equal(load_array(tmp_path / f"{k}.{ending}")[:, 0], values)

    def test_an_idx_header_of_any_axes_is_refused_in_words(self, tmp_path):
        for axes in ((2**32 - 1,) * 3, (1,) * 255, (0, 2**32 - 1, 2**32 - 1), ()):
            content = struct.pack(f">BBBB{len(axes)}I", 0, 0, 8, len(axes), *axes) + b"x"
            with pytest.raises(DataError, match=r"a\.idx: "):
                load_idx(write(tmp_path / "a.idx", content))


class TestWhatUnfolds:
    """A small compressed file may claim any size; read is only what is in proportion."""

    def test_a_gzip_file_that_unfolds_a_thousandfold_is_refused(self, tmp_path):
        head = struct.pack(">BBBB3I", 0, 0, 8, 3, 10**5, 28, 28)
        file = io.BytesIO()
        with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1) as stream:
            stream.write(head)
            for _ in range(100):
                stream.write(bytes(28 * 28 * 1000))
        with pytest.raises(DataError, match=r"unfolds from \d+ bytes to more than \d+, over 50 times"):
            load_idx(write(tmp_path / "a.gz", file.getvalue()))

    def test_a_npz_that_unfolds_a_thousandfold_is_refused_by_what_it_claims(self, tmp_path):
        np.savez_compressed(tmp_path / "a.npz", np.zeros((400, 256, 256), np.uint8))
        with pytest.raises(DataError, match=r"arr_0\.npy unfolds from \d+ bytes to 26214\d+, over 50 times.*as \.npy"):
            load_array(tmp_path / "a.npz")

    def test_small_ones_may_unfold_as_they_like(self, tmp_path):
        np.savez_compressed(tmp_path / "a.npz", np.zeros((50, 256, 256), np.uint8))
        assert (load_array(tmp_path / "a.npz") == -1).all()
        head = struct.pack(">BBBB3I", 0, 0, 8, 3, 1000, 28, 28)
        assert len(load_idx(write(tmp_path / "a.gz", gzip.compress(head + bytes(28 * 28 * 1000))))) == 1000

    @pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
    def test_damage_in_a_compressed_archive_is_refused_in_words(self, tmp_path, method):
        array = io.BytesIO()
        np.save(array, RNG.integers(0, 256, (8, 8, 8), np.uint8))
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            archive.writestr("a.npy", array.getvalue())
        whole = file.getvalue()
        load_array(write(tmp_path / "a.npz", whole))
        for at in range(30, len(whole), 7):
            spoiled = whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :]
            try:
                load_array(write(tmp_path / "a.npz", spoiled))
            except DataError as error:
                assert "a.npz" in str(error)  # noqa: PT017 (some bytes do not matter)

    def test_an_encrypted_archive_is_refused_in_words(self, tmp_path):
        np.savez(tmp_path / "a.npz", np.zeros((2, 4, 4), np.uint8))
        content = bytearray((tmp_path / "a.npz").read_bytes())
        content[6] |= 1
        content[content.rindex(b"PK\x01\x02") + 8] |= 1
        with pytest.raises(DataError, match=r"not a readable .*encrypted"):
            load_array(write(tmp_path / "a.npz", bytes(content)))

    def test_more_than_this_machines_memory_is_refused_before_it_is_filled(self, tmp_path, monkeypatch):
        np.save(tmp_path / "a.npy", np.zeros((4, 9, 9), np.uint8))
        monkeypatch.setattr(opening.os, "sysconf", lambda name: 10)
        with pytest.raises(DataError, match="GB of memory, this machine has"):
            load_array(tmp_path / "a.npy")

    def test_a_pipe_among_the_files_of_cifar_is_not_waited_for(self, tmp_path):
        os.mkfifo(tmp_path / "data_batch_1.bin")
        with pytest.raises(DataError, match="neither a file nor a folder"):
            load_cifar10(tmp_path)


class TestRoundings:
    """Floats that left their range by a rounding are clipped; what is further out is refused with all digits."""

    @pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
    @pytest.mark.parametrize("ends", [(-1, 1), (0, 1), (0, 255)])
    def test_one_rounding_beyond_the_range_is_clipped(self, tmp_path, kind, ends):
        values = RNG.uniform(*ends, (3, 4, 4)).astype(kind)
        values[0, 0, :2] = np.nextafter(np.array(ends, kind), np.array([-np.inf, np.inf], kind))
        np.save(tmp_path / "a.npy", values)
        images = load_array(tmp_path / "a.npy", value_range=ends)
        assert (images.min(), images.max()) == (-1, 1)

    def test_without_a_stated_range_too(self, tmp_path):
        values = RNG.uniform(-1, 1, (3, 4, 4)).astype(np.float32)
        values[0, 0, :2] = [-1.0000001, 1.0000001]
        np.save(tmp_path / "a.npy", values)
        assert load_images(tmp_path / "a.npy").min() == -1

    def test_floats_that_were_bfloat16_may_be_beyond_by_a_rounding_of_that(self, tmp_path):
        values = torch.from_numpy(RNG.uniform(-1, 1, (3, 4, 4)).astype(np.float32)).bfloat16().float().numpy()
        values[0, 0, 0] = 1 + 2**-7
        np.save(tmp_path / "a.npy", values)
        assert load_array(tmp_path / "a.npy").max() == 1
        values[0, 0, 1] = 0.1234567  # no bfloat16
        np.save(tmp_path / "a.npy", values)
        with pytest.raises(DataError, match=r"to 1\.0078125 could mean"):
            load_array(tmp_path / "a.npy")

    def test_a_whole_number_beyond_the_range_is_no_rounding(self, tmp_path):
        np.save(tmp_path / "a.npy", np.arange(256.0).reshape(4, 8, 8))
        with pytest.raises(DataError, match=r"should lie in \[0, 254\], they go from 0 to 255"):
            load_array(tmp_path / "a.npy", value_range=(0, 254))

    def test_what_is_further_out_is_refused_with_enough_digits_to_see_it(self, tmp_path):
        values = RNG.uniform(-1, 1, (3, 4, 4)).astype(np.float32)
        values[0, 0, 0] = 1.000001
        np.save(tmp_path / "a.npy", values)
        with pytest.raises(DataError, match=r"lie in \[-1, 1\], they go from -0\.\d+ to 1\.00000095"):
            load_array(tmp_path / "a.npy", value_range=(-1, 1))

    def test_a_negative_rounding_of_zero_does_not_make_it_a_range_from_minus_one(self, tmp_path):
        values = RNG.uniform(0, 1, (3, 4, 4)).astype(np.float32)
        values[0, 0, 0] = -1e-8
        np.save(tmp_path / "a.npy", values)
        with pytest.raises(DataError, match="could mean several things"):
            load_array(tmp_path / "a.npy")
        assert load_array(tmp_path / "a.npy", value_range=(0, 1)).min() == -1

    @pytest.mark.parametrize("ends", [(0, float("inf")), (float("nan"), 1)])
    def test_a_range_that_is_not_finite_is_refused(self, tmp_path, ends):
        np.save(tmp_path / "a.npy", np.zeros((3, 4, 4), np.float32))
        with pytest.raises(ValueError, match=r"value_range .* must ascend"):
            load_array(tmp_path / "a.npy", value_range=ends)
