"""Reading images: every format gives the pixels that were written, every broken file a clear error."""

import gzip
import io
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from taumem.data import (
    load_array,
    load_cifar10,
    load_folder,
    load_idx,
    load_images,
    resize,
    to_grayscale,
)
from taumem.errors import ConfigError, DataError

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (6, 5, 4), dtype=np.uint8)
COLOR = RNG.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)


def pixels_of(images: torch.Tensor) -> np.ndarray:
    assert images.dtype == torch.float32
    assert images.is_contiguous()
    assert images.min() >= -1
    assert images.max() <= 1
    return ((images + 1) * 127.5).round().numpy().astype(np.uint8)


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


class TestIdx:
    @pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-images.idx3-ubyte", "a.idx"])
    def test_a_plain_file_gives_its_pixels(self, tmp_path, name):
        images = load_images(write(tmp_path / name, idx_bytes(GRAY)))
        assert np.array_equal(pixels_of(images), GRAY[:, None])

    def test_a_gzipped_file_gives_its_pixels_whatever_it_is_called(self, tmp_path):
        content = gzip.compress(idx_bytes(GRAY))
        for name in ("train-images-idx3-ubyte.gz", "images.gz", "images-idx3-ubyte"):
            assert np.array_equal(pixels_of(load_images(write(tmp_path / name, content))), GRAY[:, None])

    def test_a_truncated_file_states_expected_and_actual_bytes(self, tmp_path):
        path = write(tmp_path / "a.idx", idx_bytes(GRAY)[:-7])
        with pytest.raises(DataError, match=r"a\.idx: truncated: .* need 136 bytes, the file has 129"):
            load_idx(path)

    def test_a_file_with_bytes_to_spare_is_refused(self, tmp_path):
        with pytest.raises(DataError, match=r"too long: .* need 136 bytes, the file has 137"):
            load_idx(write(tmp_path / "a.idx", idx_bytes(GRAY) + b"x"))

    def test_a_header_cut_short_is_refused(self, tmp_path):
        with pytest.raises(DataError, match="header should have 16 bytes, the file has 9"):
            load_idx(write(tmp_path / "a.idx", idx_bytes(GRAY)[:9]))

    @pytest.mark.parametrize("content", [b"", b"\x89PNG", b"\x00\x00\x0d\x03" + bytes(12)])
    def test_a_wrong_magic_number_is_named(self, tmp_path, content):
        with pytest.raises(DataError, match="should start with 00 00 08"):
            load_idx(write(tmp_path / "a.idx", content))

    def test_a_truncated_or_corrupt_gzip_file_is_refused(self, tmp_path):
        content = gzip.compress(idx_bytes(GRAY))
        spoiled = content[:20] + bytes([content[20] ^ 255]) + content[21:]
        for broken in (content[:-20], spoiled, content[:5]):
            with pytest.raises(DataError, match="gzip file is truncated or corrupt"):
                load_idx(write(tmp_path / "a.gz", broken))

    def test_the_labels_are_not_images(self, tmp_path):
        with pytest.raises(DataError, match="looks like the labels"):
            load_idx(write(tmp_path / "labels-idx1-ubyte", idx_bytes(np.arange(5, dtype=np.uint8))))

    def test_a_file_of_no_images_is_refused(self, tmp_path):
        with pytest.raises(DataError, match="holds no images"):
            load_idx(write(tmp_path / "a.idx", idx_bytes(GRAY[:0])))


class TestCifar10:
    @staticmethod
    def records(n: int, seed: int = 0) -> tuple[bytes, np.ndarray]:
        """n records in the official layout, and the images in them as [n, 3, 32, 32]."""
        rng = np.random.default_rng(seed)
        images = rng.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8)
        labels = rng.integers(0, 10, n, dtype=np.uint8)
        return b"".join(bytes([y]) + x.tobytes() for x, y in zip(images, labels, strict=True)), images

    def test_a_file_gives_its_pixels(self, tmp_path):
        content, images = self.records(4)
        loaded = load_images(write(tmp_path / "data_batch_1.bin", content))
        assert np.array_equal(pixels_of(loaded), images)

    def test_a_folder_gives_the_training_files_in_order_and_not_the_test_file(self, tmp_path):
        parts = []
        for k in (2, 1):
            content, images = self.records(3, seed=k)
            write(tmp_path / f"data_batch_{k}.bin", content)
            parts.insert(0, images)
        write(tmp_path / "test_batch.bin", self.records(2, seed=9)[0])
        write(tmp_path / "batches.meta.txt", b"airplane")
        assert np.array_equal(pixels_of(load_images(tmp_path)), np.concatenate(parts))
        assert len(load_images(tmp_path / "test_batch.bin")) == 2

    @pytest.mark.parametrize("n_bytes", [0, 3072, 2 * 3073 - 1])
    def test_a_truncated_file_states_expected_and_actual_bytes(self, tmp_path, n_bytes):
        path = write(tmp_path / "data_batch_1.bin", self.records(2)[0][:n_bytes])
        with pytest.raises(DataError, match=rf"data_batch_1\.bin: truncated.* multiple of 3073 .*got {n_bytes}"):
            load_cifar10(path)

    def test_a_label_above_9_betrays_another_format(self, tmp_path):
        with pytest.raises(DataError, match="label from 0 to 9, and here one is 200"):
            load_cifar10(write(tmp_path / "x.bin", bytes([200]) * 3073))

    def test_a_folder_without_training_files_is_refused(self, tmp_path):
        with pytest.raises(DataError, match="no training file of CIFAR-10"):
            load_cifar10(tmp_path)


class TestFolder:
    @staticmethod
    def save(path: Path, pixels: np.ndarray, **options: object) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, **options)
        return path

    def test_lossless_formats_give_their_pixels_sorted_by_path_from_nested_folders(self, tmp_path):
        names = ["a/2.png", "a/1.bmp", "b/c/0.webp", "B.TIFF", "a-b/3.gif", "z.ppm"]
        for name, pixels in zip(names, COLOR, strict=True):
            if name.endswith("gif"):
                pixels = np.repeat(pixels[:, :, :1], 3, axis=2)
            options = {"lossless": True} if name.endswith("webp") else {}
            self.save(tmp_path / name, pixels, **options)
        gif = np.repeat(COLOR[4][:, :, :1], 3, axis=2)
        expected = np.stack([COLOR[3], COLOR[1], COLOR[0], gif, COLOR[2], COLOR[5]]).transpose(0, 3, 1, 2)
        assert np.array_equal(pixels_of(load_images(tmp_path)), expected)

    def test_jpeg_gives_what_pillow_decodes(self, tmp_path):
        path = self.save(tmp_path / "photo.JPG", COLOR[0])
        with Image.open(path) as opened:
            decoded = np.asarray(opened)
        assert np.array_equal(pixels_of(load_folder(tmp_path))[0].transpose(1, 2, 0), decoded)

    def test_gray_files_give_three_equal_channels_or_one_when_asked(self, tmp_path):
        self.save(tmp_path / "a.png", GRAY[0])
        assert np.array_equal(pixels_of(load_folder(tmp_path))[0], np.stack([GRAY[0]] * 3))
        gray = load_folder(tmp_path, grayscale=True)
        assert gray.shape == (1, 1, 5, 4)
        assert np.array_equal(pixels_of(gray)[0, 0], GRAY[0])

    def test_color_and_gray_files_side_by_side_agree_in_their_channels(self, tmp_path):
        self.save(tmp_path / "a.png", COLOR[0])
        self.save(tmp_path / "b.png", COLOR[0, :, :, 0])
        assert load_folder(tmp_path).shape == (2, 3, 8, 8)
        assert load_folder(tmp_path, grayscale=True).shape == (2, 1, 8, 8)

    def test_transparent_parts_become_black(self, tmp_path):
        rgba = np.full((2, 2, 4), 255, dtype=np.uint8)
        rgba[0, :, 3] = 0
        self.save(tmp_path / "a.png", rgba)
        assert pixels_of(load_folder(tmp_path))[0, 0].tolist() == [[0, 0], [255, 255]]

    def test_photographs_are_turned_upright(self, tmp_path):
        exif = Image.Exif()
        exif[0x0112] = 6  # the camera was held sideways
        self.save(tmp_path / "a.png", GRAY[0], exif=exif)
        turned = pixels_of(load_folder(tmp_path, grayscale=True))[0, 0]
        assert np.array_equal(turned, np.rot90(GRAY[0], -1))

    def test_hidden_and_other_files_are_passed_over(self, tmp_path):
        self.save(tmp_path / "a.png", GRAY[0])
        write(tmp_path / "labels.csv", b"a,1")
        write(tmp_path / "__MACOSX" / "._a.png", b"resource fork")
        write(tmp_path / ".cache" / "b.png", b"not an image")
        assert len(load_folder(tmp_path)) == 1

    def test_different_sizes_without_a_size_are_refused_with_both_named(self, tmp_path):
        self.save(tmp_path / "a.png", GRAY[0])
        self.save(tmp_path / "b.png", GRAY[0].T)
        with pytest.raises(DataError, match=r"a\.png is 5x4, b\.png is 4x5 \(height x width\); give size .--size"):
            load_folder(tmp_path)

    def test_different_sizes_are_cropped_and_resized_to_one(self, tmp_path):
        tall = RNG.integers(0, 256, (12, 8), dtype=np.uint8)
        self.save(tmp_path / "a.png", tall)
        self.save(tmp_path / "b.png", COLOR[0])
        images = load_folder(tmp_path, grayscale=True, crop=True, size=4)
        assert images.shape == (2, 1, 4, 4)
        boxes = tall[2:10].reshape(4, 2, 4, 2).mean(axis=(1, 3))
        np.testing.assert_allclose((images[0, 0] + 1) * 127.5, boxes, atol=1e-4)

    def test_an_image_that_a_size_would_distort_is_named(self, tmp_path):
        self.save(tmp_path / "tall.png", GRAY[0])
        with pytest.raises(DataError, match=r"tall\.png: .*5x4 pixels would be distorted"):
            load_folder(tmp_path, size=4)

    @pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.bmp", "a.tif", "a.gif"])
    @pytest.mark.parametrize("keep", [0.0, 0.1, 0.6])
    def test_a_corrupt_image_is_named(self, tmp_path, name, keep):
        self.save(tmp_path / "0.png", COLOR[0])
        file = io.BytesIO()
        big = Image.fromarray(RNG.integers(0, 256, (40, 40), dtype=np.uint8))
        big.save(file, Image.registered_extensions()[Path(name).suffix])
        content = file.getvalue()
        write(tmp_path / name, content[: int(keep * len(content))])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # pillow's own, about TIFF metadata
            with pytest.raises(DataError, match=rf"{name}: not a readable image"):
                load_folder(tmp_path, size=8)

    def test_sixteen_bit_images_are_refused_rather_than_clipped(self, tmp_path):
        self.save(tmp_path / "a.png", np.full((3, 3), 40_000, dtype=np.uint16))
        with pytest.raises(DataError, match=r"a\.png: has more than 8 bits a channel"):
            load_folder(tmp_path)

    def test_an_empty_folder_and_one_without_images_are_refused(self, tmp_path):
        with pytest.raises(DataError, match="no image files in this folder, it is empty"):
            load_images(tmp_path)
        write(tmp_path / "data.pkl", b"pickled")
        with pytest.raises(DataError, match=r"it holds 1 other files, such as data\.pkl"):
            load_images(tmp_path)

    def test_a_limit_spreads_over_the_sorted_files(self, tmp_path):
        for k in range(10):
            self.save(tmp_path / f"{k}.png", np.full((2, 2), k, dtype=np.uint8))
        assert pixels_of(load_folder(tmp_path, limit=5))[:, 0, 0, 0].tolist() == [0, 2, 4, 6, 8]
        assert pixels_of(load_folder(tmp_path, limit=3))[:, 0, 0, 0].tolist() == [0, 3, 6]
        assert len(load_folder(tmp_path, limit=99)) == 10
        with pytest.raises(ConfigError, match="limit must be at least 1"):
            load_folder(tmp_path, limit=0)


class TestArrays:
    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            (GRAY, GRAY[:, None]),
            (GRAY[..., None], GRAY[:, None]),
            (GRAY[:, None], GRAY[:, None]),
            (COLOR, COLOR.transpose(0, 3, 1, 2)),
            (COLOR.transpose(0, 3, 1, 2), COLOR.transpose(0, 3, 1, 2)),
        ],
        ids=["nhw", "nhw1", "n1hw", "nhwc", "nchw"],
    )
    def test_every_layout_of_bytes_gives_its_pixels(self, tmp_path, values, expected):
        np.save(tmp_path / "a.npy", values)
        np.savez_compressed(tmp_path / "a.npz", images=values)
        for name in ("a.npy", "a.npz"):
            assert np.array_equal(pixels_of(load_images(tmp_path / name)), expected)

    def test_floats_from_minus_one_to_one_stay_as_they_are(self, tmp_path):
        values = RNG.uniform(-1, 1, (3, 4, 4)).astype(np.float32)
        np.save(tmp_path / "a.npy", values)
        assert np.array_equal(load_array(tmp_path / "a.npy")[:, 0], values)
        assert np.array_equal(load_array(tmp_path / "a.npy", value_range=(-1, 1))[:, 0], values)

    def test_floats_from_zero_to_one_need_a_stated_range(self, tmp_path):
        values = RNG.uniform(0, 1, (3, 4, 4))
        np.save(tmp_path / "a.npy", values)
        with pytest.raises(DataError, match=r"several things; say .* value_range \(--value-range\), such as 0 1"):
            load_array(tmp_path / "a.npy")
        np.testing.assert_allclose(load_array(tmp_path / "a.npy", value_range=(0, 1))[:, 0], 2 * values - 1, atol=1e-6)
        np.testing.assert_allclose(load_array(tmp_path / "a.npy", value_range=(-1, 1))[:, 0], values, atol=1e-6)

    @pytest.mark.parametrize(
        "values",
        [GRAY.astype(np.float64), GRAY.astype(np.int64), GRAY.astype(np.float32) - 100],
        ids=["float 0..255", "int64", "float -100..155"],
    )
    def test_other_values_need_a_stated_range(self, tmp_path, values):
        np.save(tmp_path / "a.npy", values)
        with pytest.raises(DataError, match="could mean several things"):
            load_array(tmp_path / "a.npy")

    def test_the_same_pixels_give_the_same_bits_from_bytes_and_from_floats(self, tmp_path):
        np.save(tmp_path / "bytes.npy", GRAY)
        np.save(tmp_path / "floats.npy", GRAY.astype(np.float64))
        assert torch.equal(
            load_array(tmp_path / "bytes.npy"), load_array(tmp_path / "floats.npy", value_range=(0, 255))
        )

    def test_booleans_are_black_and_white(self, tmp_path):
        np.save(tmp_path / "a.npy", GRAY > 127)
        assert np.array_equal(load_array(tmp_path / "a.npy")[:, 0] > 0, GRAY > 127)

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_values_that_are_not_finite_are_refused_with_their_place(self, tmp_path, bad):
        values = RNG.uniform(-1, 1, (5, 4, 4))
        values[3, 1, 1] = bad
        np.save(tmp_path / "a.npy", values)
        with pytest.raises(DataError, match=r"1 of 5 images hold NaN or infinite values .the first is image 3"):
            load_images(tmp_path / "a.npy")

    def test_values_outside_the_stated_range_are_refused(self, tmp_path):
        np.save(tmp_path / "a.npy", GRAY.astype(np.float64))
        with pytest.raises(DataError, match=r"should lie in \[0, 1\], they go from"):
            load_array(tmp_path / "a.npy", value_range=(0, 1))
        with pytest.raises(ConfigError, match="must ascend"):
            load_array(tmp_path / "a.npy", value_range=(1, 0))

    @pytest.mark.parametrize(
        ("shape", "message"),
        [
            ((6, 16), "expected images of shape"),
            ((5, 6, 3), "expected images of shape"),
            ((5, 2, 6, 2), "expected images of shape"),
            ((5, 3, 6, 3), "could be"),
            ((2, 2, 2, 2, 3), "expected images of shape"),
            ((0, 4, 4), "holds no images"),
        ],
    )
    def test_shapes_that_cannot_be_placed_are_refused(self, tmp_path, shape, message):
        np.save(tmp_path / "a.npy", np.zeros(shape, dtype=np.uint8))
        with pytest.raises(DataError, match=message):
            load_array(tmp_path / "a.npy")

    def test_one_of_several_arrays_is_chosen_by_its_key(self, tmp_path):
        path = tmp_path / "a.npz"
        np.savez(path, train_images=GRAY, labels=np.arange(6))
        assert np.array_equal(pixels_of(load_images(path, key="train_images")), GRAY[:, None])
        with pytest.raises(DataError, match=r"2 arrays; say which one by key \(--key\). Known: train_images, labels"):
            load_images(path)
        with pytest.raises(DataError, match="no array 'train_image'; did you mean 'train_images'"):
            load_images(path, key="train_image")

    def test_files_that_are_broken_or_hold_no_numbers_are_refused(self, tmp_path):
        np.save(tmp_path / "good.npy", GRAY)
        np.savez_compressed(tmp_path / "good.npz", GRAY)
        good, good_npz = (tmp_path / "good.npy").read_bytes(), (tmp_path / "good.npz").read_bytes()
        for content in (b"", b"nonsense", good[:-9], good[:20], good_npz[:60], good_npz[:-30]):
            with pytest.raises(DataError, match=r"bad\.npy: not a readable"):
                load_images(write(tmp_path / "bad.npy", content))
        np.save(tmp_path / "objects.npy", np.array([{}, {}]), allow_pickle=True)
        with pytest.raises(DataError, match="not a readable"):
            load_images(tmp_path / "objects.npy")
        np.save(tmp_path / "complex.npy", np.zeros((2, 2, 2), dtype=complex))
        with pytest.raises(DataError, match="expected real numbers"):
            load_images(tmp_path / "complex.npy")


class TestTheOneDoor:
    @pytest.mark.parametrize("load", [load_images, load_idx, load_cifar10, load_folder, load_array])
    def test_a_missing_path_is_named(self, tmp_path, load):
        with pytest.raises(DataError, match=r"nowhere: no such file or folder"):
            load(tmp_path / "nowhere")

    def test_a_file_of_no_known_kind_lists_the_known_ones(self, tmp_path):
        with pytest.raises(DataError, match=r"no reader for this kind of file. Known: a folder of images"):
            load_images(write(tmp_path / "a.parquet", b"PAR1"))

    def test_a_file_given_as_a_folder_is_refused(self, tmp_path):
        with pytest.raises(DataError, match="expected a folder of images, this is a file"):
            load_folder(write(tmp_path / "a.png", b""))

    def test_gray_crop_size_and_limit_apply_to_every_format_alike(self, tmp_path):
        wide = RNG.integers(0, 256, (6, 8, 12, 3), dtype=np.uint8)
        np.save(tmp_path / "a.npy", wide)
        folder = tmp_path / "folder"
        folder.mkdir()
        for k, pixels in enumerate(wide):
            Image.fromarray(pixels).save(folder / f"{k}.png")
        options = {"grayscale": True, "crop": True, "size": 4, "limit": 3}
        from_file, from_folder = load_images(tmp_path / "a.npy", **options), load_images(folder, **options)
        assert torch.equal(from_file, from_folder)
        whole = to_grayscale(load_images(tmp_path / "a.npy"))[[0, 2, 4], :, :, 2:10]
        assert torch.equal(from_file, resize(whole, 4))

    def test_padding_passes_through(self, tmp_path):
        path = write(tmp_path / "a.idx", idx_bytes(RNG.integers(0, 256, (2, 28, 28), dtype=np.uint8)))
        assert torch.equal(load_images(path, size=16, pad_to=32), resize(load_idx(path), 16, pad_to=32))
        with pytest.raises(ConfigError, match="pad_to needs a size"):
            load_images(path, pad_to=32)
        with pytest.raises(ConfigError, match="pad_to needs a size"):
            load_images(tmp_path, pad_to=32)

    def test_options_of_arrays_are_refused_for_other_formats(self, tmp_path):
        with pytest.raises(ConfigError, match=r"for .npy and .npz files only"):
            load_images(write(tmp_path / "a.idx", idx_bytes(GRAY)), value_range=(0, 1))

    def test_the_home_folder_is_understood(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        write(tmp_path / "a.idx", idx_bytes(GRAY))
        assert len(load_images("~/a.idx")) == len(GRAY)
