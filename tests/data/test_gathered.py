"""What an audit starts from: items of any source, named, of one kind and shape, or a word on what stands in the way."""

import os
import re
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from taumem.data import gather, gather_all
from taumem.data.sources import arrays
from taumem.data.stored import Stored
from taumem.errors import ConfigError, DataError
from taumem.record.input_notes import ITSELF, OTHER_SCALE, SAME_PLACE, SIGNED_FLOATS

RNG = np.random.default_rng(0)


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **options)
    return path


def colors(*shape):
    return RNG.integers(0, 256, (*shape, 3), np.uint8)


def folder(path, n=3, channels=3, side=4):
    for k in range(n):
        pixels = RNG.integers(0, 256, (side, side, channels), np.uint8)
        save(path / f"{k}.png", pixels if channels == 3 else pixels[:, :, 0])
    return path


def saved(path, values):
    np.save(path, values)
    return path


class TestImages:
    def test_a_folder_gives_each_image_with_its_path_in_it(self, tmp_path):
        one, two = colors(4, 4), colors(4, 4)
        save(tmp_path / "b.png", two)
        save(tmp_path / "a" / "x.png", one)
        found = gather(tmp_path)
        assert found.names == ["a/x.png", "b.png"]
        assert found.paths == [f"{tmp_path.name}/a/x.png", f"{tmp_path.name}/b.png"]
        assert (found.kind, found.shape, len(found), found.source) == ("images", (3, 4, 4), 2, str(tmp_path))
        bytes_of = ((found.items + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
        assert np.array_equal(bytes_of, np.stack([one, two]))

    def test_modes_mix_and_what_is_all_gray_has_one_channel(self, tmp_path):
        gray = RNG.integers(0, 256, (4, 4), np.uint8)
        for mode in ("L", "LA", "RGB", "RGBA", "P"):
            save(tmp_path / f"{mode}.png", Image.fromarray(gray).convert(mode))
        found = gather(tmp_path)
        assert found.shape == (1, 4, 4)
        assert found.notes == ("All are gray, and have one channel.",)
        assert len(torch.unique(found.items, dim=0)) == 1
        save(tmp_path / "color.png", colors(4, 4))
        assert gather(tmp_path).shape == (3, 4, 4)

    def test_the_digest_is_of_the_images_and_not_of_the_form_they_are_kept_in(self, tmp_path):
        pixels = colors(5, 4, 4)
        for k, image in enumerate(pixels):
            save(tmp_path / "png" / f"{k}.png", image)
        digests = {
            gather(source).digest
            for source in (
                tmp_path / "png",
                saved(tmp_path / "a.npy", pixels),
                saved(tmp_path / "b.npy", pixels.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1),
                pixels,
                torch.from_numpy(pixels),
            )
        }
        assert len(digests) == 1
        assert gather(pixels[::-1]).digest not in digests

    def test_the_usual_files_of_many_images_are_read_and_numbered(self, tmp_path):
        cifar = b"".join(bytes([k]) + RNG.bytes(3072) for k in range(3))
        for name in ("data_batch_1.bin", "data_batch_2.bin"):
            (tmp_path / name).write_bytes(cifar)
        found = gather(tmp_path, limit=3)
        assert found.names == ["data_batch_1.bin[0]", "data_batch_1.bin[2]", "data_batch_2.bin[1]"]
        assert found.paths == found.names
        assert gather(tmp_path / "data_batch_1.bin").names[2] == "data_batch_1.bin[2]"

    def test_a_size_crops_and_resizes_pictures_and_arrays_alike(self, tmp_path):
        pixels = colors(3, 8, 12)
        for k, image in enumerate(pixels):
            save(tmp_path / "png" / f"{k}.png", image)
        found, also = gather(tmp_path / "png", size=4), gather(pixels, size=4)
        assert torch.equal(found.items, also.items)
        assert torch.allclose(found.items, gather(pixels[:, :, 2:10], size=4).items)
        assert found.notes == ("The largest central square of each is brought to 4x4 pixels.",)

    def test_pictures_of_several_sizes_are_refused_with_the_way_out(self, tmp_path):
        folder(tmp_path)
        save(tmp_path / "z.png", colors(5, 5))
        sizes = r"different sizes: 0\.png is 4x4, z\.png is 5x5 \(height x width\); give size .--size"
        with pytest.raises(DataError, match=sizes):
            gather(tmp_path)
        assert gather(tmp_path, size=4).shape == (3, 4, 4)

    def test_a_corrupt_picture_is_refused_or_skipped_and_counted(self, tmp_path):
        folder(tmp_path)
        (tmp_path / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n no")
        with pytest.raises(DataError, match=r"1 of 3 images cannot be read: .*1\.png: not a readable image"):
            gather(tmp_path)
        found = gather(tmp_path, skip_unreadable=True)
        assert found.names == ["0.png", "2.png"]
        assert re.match(r"1 skipped that cannot be read: .*1\.png", found.notes[0])

    @pytest.mark.parametrize(
        "name", ['it\'s "so" & <b>bold</b>.png', "two\nlines.png", os.fsdecode(b"caf\xe9.png"), "%s{0}.png"]
    )
    def test_odd_names_survive(self, tmp_path, name):
        save(tmp_path / name, colors(4, 4))
        assert gather(tmp_path).names == [name]
        assert (tmp_path / gather(tmp_path).names[0]).exists()

    def test_a_limit_takes_items_evenly_and_not_the_head(self, tmp_path):
        folder(tmp_path, 10)
        assert gather(tmp_path, limit=4).names == ["0.png", "2.png", "5.png", "7.png"]
        found = gather(np.arange(40.0).reshape(10, 4), limit=4)
        assert list(found.names) == ["items[0]", "items[2]", "items[5]", "items[7]"]
        assert found.items[:, 0].tolist() == [0, 8, 20, 28]

    def test_samples_that_overshoot_are_clipped_and_it_is_said(self):
        found = gather(np.array([[[-1.05, 0.0], [0.5, 1.02]]] * 2))
        assert found.items.min() == -1
        assert found.items.max() == 1
        assert found.notes == (
            SIGNED_FLOATS,
            "Values from -1.05 to 1.02 are clipped to the range of images.",
        )

    def test_floats_that_are_taken_as_signed_are_noted_and_a_range_that_was_given_is_not(self):
        signed = np.linspace(-1, 1, 32).reshape(2, 4, 4)
        assert gather(signed).notes == (SIGNED_FLOATS,)
        assert gather(signed, value_range=(-1, 1)).notes == ()
        assert gather((127.5 * (signed + 1)).astype(np.uint8)).notes == ()

    @pytest.mark.parametrize("value_range", [(0, 255), (-8, 8), (0, 20)])
    def test_data_that_use_less_than_a_tenth_of_their_range_are_refused(self, value_range):
        values = np.linspace(0, 1, 32).reshape(2, 4, 4)
        with pytest.raises(DataError, match=r"0 to 1 use less than a tenth of .* by value_range \(--value-range\)"):
            gather(values, value_range=value_range)
        assert gather(values, value_range=(0, 9)).items.max() < 0
        assert gather(0 * values, value_range=value_range).items.std() == 0  # all of one value: of any range

    @pytest.mark.parametrize("low", [0.0, -0.05])
    def test_floats_that_could_be_on_two_scales_need_to_be_told(self, low):
        values = np.linspace(low, 1, 32).reshape(2, 4, 4)
        with pytest.raises(DataError, match=r"several things; say .* value_range \(--value-range\), such as 0 1"):
            gather(values, "samples")
        assert gather(values, value_range=(0, 1)).items.max() == 1

    def test_values_that_are_not_finite_are_refused_by_their_number(self, tmp_path):
        values = RNG.uniform(-1, 1, (4, 5, 5)).astype(np.float32)
        values[2, 0, 0] = np.nan
        with pytest.raises(DataError, match=r"samples: 1 of 4 images hold NaN or infinite values .* image 2\)"):
            gather(values, "samples")
        with pytest.raises(DataError, match=r"a\.npy: 1 of 4 images hold NaN"):
            gather(saved(tmp_path / "a.npy", values))


class TestArrays:
    def test_two_axes_are_vectors_or_tokens_by_their_type(self, tmp_path):
        vectors = gather(saved(tmp_path / "v.npy", RNG.normal(size=(4, 3)).astype(np.float16)))
        tokens = gather(saved(tmp_path / "t.npy", np.arange(12, dtype=np.uint16).reshape(4, 3)))
        assert (vectors.kind, vectors.items.dtype, vectors.names[3]) == ("vectors", torch.float32, "v.npy[3]")
        assert (tokens.kind, tokens.items.dtype, tokens.shape) == ("tokens", torch.int64, (3,))

    def test_doubles_stay_doubles(self):
        assert gather(np.array([[1.0, 1 + 2**-50]])).items[0].tolist() == [1.0, 1 + 2**-50]

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            (np.zeros(5), r"got float64 of shape \(5,\)"),
            (np.zeros((2, 3, 4, 5, 6)), r"Bring anything else to vectors"),
            (np.zeros((3, 0)), r"got float64 of shape \(3, 0\)"),
            (np.zeros((0, 3)), r"holds no items"),
            (np.zeros((3, 3), np.bool_), r"got bool"),
            (np.zeros((3, 3), np.complex64), r"floats or integers"),
            (np.array([[1.0, np.inf]]), r"1 of 1 items hold NaN, infinite values or .* \(the first is item 0\)"),
            (np.array([[1.0], [-1e300]]), r"1 of 2 items hold NaN, .* or ones beyond 1e\+150 \(the first is item 1\)"),
            (
                np.array([[1], [-2]]),
                r"1 of 2 items hold negative integers, which are no tokens \(the first is item 1\)",
            ),
            ({"a": 1}, r"one tensor or array"),
            (7, r"one tensor or array"),
            (None, r"one tensor or array"),
            ([], r"holds no items"),
            ([[1], [1, 2]], r"no numbers in one array"),
            (np.array([object()]), r"no numbers in one array"),
            (torch.zeros(2, 4, 8, 8), r"expected images of shape .*got \(2, 4, 8, 8\)"),
        ],
    )
    def test_what_is_none_of_these_is_refused_in_words(self, values, message):
        with pytest.raises(DataError, match=message):
            gather(values, "samples")

    def test_a_list_of_tensors_and_half_precision_are_taken(self):
        found = gather([torch.ones(3, dtype=torch.bfloat16), torch.zeros(3, dtype=torch.bfloat16)])
        assert found.items.tolist() == [[1, 1, 1], [0, 0, 0]]

    @pytest.mark.parametrize("form", ["npy", "memmap", "array"])
    def test_what_is_large_stays_where_it_is_and_is_the_same(self, tmp_path, monkeypatch, form):
        pixels = colors(40, 8, 8)
        path = saved(tmp_path / "a.npy", pixels)
        source = {"npy": path, "memmap": np.load(path, mmap_mode="r"), "array": pixels}[form]
        small, small_and_gray = gather(source), gather(source, size=4)
        monkeypatch.setattr(arrays, "memory_of_machine", lambda: 4096)
        large, resized = gather(source), gather(source, size=4)
        assert isinstance(large.items, Stored)
        assert isinstance(large.items.values, np.memmap) == (form != "array")
        assert (large.digest, large.shape, len(large)) == (small.digest, small.shape, 40)
        assert resized.digest == small_and_gray.digest
        assert large.items[3:7].shape == (4, 3, 8, 8)
        assert torch.equal(large.items[torch.tensor([5, 1])], small.items[[5, 1]])
        assert torch.equal(large.items[-1], small.items[-1])
        assert torch.equal(large.items.read(), small.items)

    @given(n=st.integers(1, 9), start=st.integers(-12, 12), stop=st.integers(-12, 12), step=st.sampled_from([1, 2, -1]))
    def test_slices_of_what_is_stored_are_those_of_a_tensor(self, n, start, stop, step):
        values = np.arange(3 * n).reshape(n, 3)
        stored = Stored(values, lambda rows: torch.from_numpy(rows.copy()))
        assert stored[start:stop:step].tolist() == values[start:stop:step].tolist()


class TestTexts:
    def test_a_file_has_a_text_in_each_line_that_is_not_blank(self, tmp_path):
        (tmp_path / "a.txt").write_bytes("one\r\n\n  \ntwo\u2028too\n".encode())
        found = gather(tmp_path / "a.txt")
        assert found.items == ["one", "two\u2028too"]
        assert found.names == ["a.txt:1", "a.txt:4"]
        assert found.notes == ("2 blank texts left out.",)
        assert (found.kind, found.shape) == ("texts", ())

    def test_a_folder_has_a_text_in_each_file(self, tmp_path):
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "1.txt").write_text("one\ntwo\n")
        (tmp_path / "2.md").write_text("three")
        found = gather(tmp_path)
        assert dict(zip(found.names, found.items, strict=True)) == {"2.md": "three", "a/1.txt": "one\ntwo"}

    @given(text=st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=60), window=st.integers(1, 9))
    def test_windows_cover_a_text_without_overlap(self, tmp_path_factory, text, window):
        path = tmp_path_factory.mktemp("texts") / "a.txt"
        path.write_bytes(f"the beginning {text}".encode())
        found = gather(path, window=window, as_bytes=True)
        whole = f"the beginning {text}"
        assert "".join(found.items) == whole[: len(whole) // window * window]
        assert found.names[0] == f"a.txt[0:{window}]"

    def test_bytes_that_are_no_utf8_are_refused_or_carried(self, tmp_path):
        (tmp_path / "a.txt").write_bytes(b"caf\xe9\nbar\xff\n")
        with pytest.raises(DataError, match=r"not valid UTF-8: byte 3 .*take its bytes .* by as_bytes \(--bytes\)"):
            gather(tmp_path / "a.txt")
        found = gather(tmp_path / "a.txt", as_bytes=True)
        assert [text.encode("utf-8", "surrogateescape") for text in found.items] == [b"caf\xe9", b"bar\xff"]
        assert found.digest != gather(["cafe", "bar"]).digest

    def test_strings_in_memory_are_texts(self):
        for texts in (["a", "b"], ("a", "b"), np.array(["a", "b"]), np.array(["a", "b"], object), [b"a", b"b"]):
            assert gather(texts, "samples").items == ["a", "b"]
        assert gather(["a", "b"], "samples").names == ["samples[0]", "samples[1]"]

    def test_texts_that_differ_in_where_one_ends_have_other_digests(self):
        assert gather(["ab", "c"]).digest != gather(["a", "bc"]).digest

    def test_a_single_long_line_gets_the_advice_to_cut_it(self, tmp_path):
        (tmp_path / "a.txt").write_text("word " * 99)
        assert "window" in gather(tmp_path / "a.txt").notes[0]

    def test_no_text_at_all_is_refused(self, tmp_path):
        (tmp_path / "a.txt").write_text("\n \n")
        with pytest.raises(DataError, match="none are there"):
            gather(tmp_path / "a.txt")
        (tmp_path / "b.txt").write_text("too short")
        with pytest.raises(
            DataError, match=r"samples \(.*b\.txt\): none are there\. 9 symbols at ends are less than a window of 64"
        ):
            gather(tmp_path / "b.txt", "samples", window=64)


class TestPlaces:
    def test_an_empty_folder_and_what_nothing_reads_are_refused_in_words(self, tmp_path):
        (tmp_path / "empty").mkdir()
        (tmp_path / "arrays").mkdir()
        saved(tmp_path / "arrays" / "a.npy", np.zeros((2, 3)))
        (tmp_path / "phone").mkdir()
        (tmp_path / "phone" / "a.heic").write_bytes(b"x")
        save(tmp_path / "a.png", colors(4, 4))
        (tmp_path / "a.pt").write_bytes(b"PK\x03\x04\0\0\0\0" * 9)
        for name, message in {
            "empty": "this folder is empty; expected pictures or texts in it",
            "arrays": r"holds arrays, such as a\.npy; give one file with all items",
            "phone": r"no image files in this folder; it holds 1 other files, such as a\.heic",
            "a.png": "a single picture; name the folder that it is in",
            "a.pt": "not a text: it holds control characters as binary files do",
            "gone": "no such file or folder",
        }.items():
            with pytest.raises(DataError, match=message):
                gather(tmp_path / name)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"size": 4}, r"size \(--size\) is for images"),
            ({"key": "a"}, r"key \(--key\) is for .npz files"),
            ({"value_range": (0, 1)}, r"value_range \(--value-range\) is for arrays of images that are not bytes"),
            ({"size": 0}, r"size \(--size\) must be a whole number from 1; got 0"),
            ({"limit": -1}, r"limit \(--limit\) must be a whole number from 1"),
            ({"window": 2.5}, r"window \(--window\) must be a whole number"),
        ],
    )
    def test_an_option_that_says_nothing_about_what_is_given_is_refused(self, options, message):
        with pytest.raises(ConfigError, match=message):
            gather(["a", "b"], **options)
        with pytest.raises(ConfigError, match=r"window .--window. is for texts, and says nothing about items"):
            gather(np.zeros((2, 3)), window=4)


class TestTogether:
    def test_samples_from_zero_to_one_against_signed_training_items_are_refused(self):
        signed = RNG.uniform(-1, 1, (20, 6, 6))
        for samples, train in ((signed / 2 + 0.5, signed), (signed, signed / 2 + 0.5)):
            with pytest.raises(DataError, match=r"samples .* training items .*: they seem to be on two scales"):
                gather_all(samples, train, value_range=(-1, 1))

    def test_bytes_that_are_all_bright_against_others_are_noted(self):
        dark = RNG.integers(0, 256, (20, 6, 6), np.uint8)
        assert gather_all(128 + dark // 2, dark).generated.notes == (OTHER_SCALE,)
        assert gather_all(dark[::-1].copy(), dark).generated.notes == ()

    def test_samples_from_the_place_of_the_training_items_are_noted(self, tmp_path):
        np.save(tmp_path / "a.npy", RNG.integers(0, 256, (9, 6, 6), np.uint8))
        (tmp_path / "b.npy").symlink_to(tmp_path / "a.npy")
        assert gather_all(tmp_path / "b.npy", tmp_path / "a.npy", limit=4).generated.notes == (SAME_PLACE,)
        assert gather_all(tmp_path / "b.npy", tmp_path / "a.npy").generated.notes == (ITSELF,)

    def test_gray_and_color_become_color_and_distances_stay(self, tmp_path):
        gray, color = folder(tmp_path / "gray", channels=1), folder(tmp_path / "color")
        both = gather_all(gray, gather(gray), color)
        assert both.generated.shape == both.train.shape == both.heldout.shape == (3, 4, 4)
        alone = gather_all(gray, folder(tmp_path / "more", channels=1))
        assert alone.generated.shape == alone.train.shape == (1, 4, 4)
        rms = [(x[0] - x[1]).square().mean().sqrt() for x in (both.generated.items, alone.generated.items)]
        assert torch.allclose(*rms)
        assert both.generated.digest == alone.generated.digest

    def test_what_is_stored_becomes_color_too(self, tmp_path, monkeypatch):
        gray = saved(tmp_path / "a.npy", RNG.integers(0, 256, (9, 4, 4), np.uint8))
        monkeypatch.setattr(arrays, "memory_of_machine", lambda: 1024)
        both = gather_all(folder(tmp_path / "color"), gray)
        assert isinstance(both.train.items, Stored)
        assert both.train.shape == (3, 4, 4)
        assert torch.equal(both.train.items[2:4,][:, 0], both.train.items[2:4][:, 2])

    @pytest.mark.parametrize(
        ("train", "message"),
        [
            (
                "small",
                r"different sizes: samples 4x4, training items 6x6 pixels; bring .* by size .--size",
            ),
            ("vectors", r"samples are images and training items vectors .*only items of one kind"),
            ("tokens", r"samples are images and training items tokens"),
            ("texts", r"samples are images and training items texts"),
        ],
    )
    def test_what_cannot_be_compared_is_refused_with_what_disagrees(self, tmp_path, train, message):
        others = {
            "small": folder(tmp_path / "b", side=6),
            "vectors": np.zeros((3, 4)),
            "tokens": np.zeros((3, 4), np.uint8),
            "texts": ["a", "b"],
        }
        with pytest.raises(DataError, match=message):
            gather_all(folder(tmp_path / "a"), others[train])

    def test_a_size_makes_them_agree(self, tmp_path):
        both = gather_all(folder(tmp_path / "a"), folder(tmp_path / "b", side=6), size=4)
        assert both.generated.shape == both.train.shape

    def test_vectors_of_other_lengths_and_scales_are_refused_and_types_joined(self):
        with pytest.raises(DataError, match="the vectors have different lengths: samples 4, training items 5"):
            gather_all(np.zeros((3, 4)), np.zeros((3, 5)))
        unit, signed = RNG.uniform(0, 1, (50, 64)), RNG.uniform(-1, 1, (50, 64))
        with pytest.raises(DataError, match=r"samples, compared with training items, lie in \[0, 1\]|one scale"):
            gather_all(unit, signed)
        both = gather_all(signed.astype(np.float32), RNG.uniform(-1, 1, (50, 64)))
        assert both.generated.items.dtype == both.train.items.dtype == torch.float64

    def test_an_option_must_say_something_about_one_of_them_only(self, tmp_path):
        pixels, floats = folder(tmp_path / "a"), RNG.uniform(0, 1, (4, 4, 4))
        both = gather_all(floats, pixels, value_range=(0, 1))
        assert both.generated.shape == (3, 4, 4)
        with pytest.raises(ConfigError, match=r"value_range .--value-range. is for .* about any of these items"):
            gather_all(pixels, folder(tmp_path / "b"), value_range=(0, 1))

    def test_a_limit_leaves_the_training_items_whole(self, tmp_path):
        both = gather_all(folder(tmp_path / "a", 8), folder(tmp_path / "b", 8), folder(tmp_path / "c", 8), limit=4)
        assert [len(part) for part in both] == [4, 8, 8]

    def test_the_same_set_twice_is_said_or_refused(self, tmp_path):
        one, other = folder(tmp_path / "a"), folder(tmp_path / "b")
        shutil.copytree(one, tmp_path / "copy")
        found = gather_all(tmp_path / "copy", one, other)
        assert "each is found to be a copy of itself" in found.generated.notes[-1]
        with pytest.raises(DataError, match=r"the held-out items \(.*copy\) are the training items"):
            gather_all(other, one, tmp_path / "copy")
        with pytest.raises(DataError, match=r"the held-out items \(.*copy\) are the samples"):
            gather_all(one, other, tmp_path / "copy")

    def test_one_training_item_is_an_item(self, tmp_path):
        assert len(gather_all(folder(tmp_path / "a"), folder(tmp_path / "b", 1)).train) == 1

    def test_only_the_held_out_items_may_be_missing(self):
        assert gather_all(["a"], ["b"]).heldout is None
        for sets in ((None, ["a"]), (["a"], None)):
            with pytest.raises(DataError, match=r"one tensor or array .* got NoneType"):
                gather_all(*sets)

    def test_what_was_gathered_is_taken_as_it_is(self):
        found = gather(["a", "b"])
        assert gather(found).names is found.names
