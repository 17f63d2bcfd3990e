"""CIFAR-10's version for Python: pickles, which are read without being run."""

import os
import pickle
import struct

import numpy as np
import pytest

from taumem.data import load_cifar10, load_images
from taumem.data.readers import pickled
from taumem.data.readers.pickled import read_pickled_arrays
from taumem.errors import DataError

ROWS = np.random.default_rng(0).integers(0, 256, (6, 3072)).astype(np.uint8)
# As Python 2 wrote the official files: text for bytes, numpy's names of that time.
OF_PYTHON_2 = (
    b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x15training batch 1 of 5q\x03U\x06labelsq\x04]q\x05(K\x06K\x09K\x09eU\x04"
    b"dataq\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\x09(K\x01K\x02M\x00"
    b"\x0c\x86cnumpy\ndtype\nq\x0aU\x02u1K\x00K\x01\x87Rq\x0b(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
    + struct.pack("<I", 2 * 3072)
    + ROWS[:2].tobytes()
    + b"tbu."
)


def write(path, content):
    path.write_bytes(content)
    return path


def as_pixels(images):
    return ((images.numpy() + 1) * 127.5).round().astype(np.uint8).reshape(len(images), -1)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_batch_of_any_protocol_gives_the_pixels_that_went_in(tmp_path, protocol):
    batch = {b"data": ROWS, b"labels": [1] * 6, b"batch_label": b"training batch 1 of 5", b"filenames": [b"a.png"] * 6}
    path = write(tmp_path / "data_batch_1", pickle.dumps(batch, protocol=protocol))
    assert np.array_equal(as_pixels(load_cifar10(path)), ROWS)


def test_a_batch_as_python_2_wrote_it_is_read(tmp_path):
    assert np.array_equal(as_pixels(load_images(write(tmp_path / "test_batch", OF_PYTHON_2))), ROWS[:2])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["u1", "<i8", ">f4", "?"])
def test_arrays_of_any_real_numbers_are_what_python_reads(tmp_path, kind, order):
    values = np.asarray(np.arange(12).reshape(3, 4) % 3, dtype=np.dtype(kind), order=order)
    for protocol in (2, 4, 5):
        path = write(tmp_path / "a.pkl", pickle.dumps({"a": values, "words": "no array"}, protocol=protocol))
        read = read_pickled_arrays(path)
        assert list(read) == ["a"]
        np.testing.assert_array_equal(read["a"], pickle.loads(path.read_bytes())["a"])


def test_a_folder_of_pickled_batches_is_read_as_the_binary_one_is(tmp_path):
    binary, py = tmp_path / "cifar-10-batches-bin", tmp_path / "cifar-10-batches-py"
    for folder in (binary, py):
        folder.mkdir()
    for k, rows in ((2, ROWS[3:]), (1, ROWS[:3])):
        write(py / f"data_batch_{k}", pickle.dumps({"data": rows, "labels": [0] * 3}, protocol=2))
        write(binary / f"data_batch_{k}.bin", b"".join(b"\0" + row.tobytes() for row in rows))
    write(py / "test_batch", pickle.dumps({"data": ROWS[:1]}))
    write(py / "batches.meta", b"no image")
    assert np.array_equal(load_images(py), load_images(binary))
    assert np.array_equal(as_pixels(load_images(py)), ROWS)


class Runs:
    """What an attacker pickles: a call of any function."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_that_would_run_code_is_refused_and_runs_none(tmp_path, protocol):
    there = tmp_path / "it ran"
    for evil in (Runs(os.mkdir, str(there)), Runs(eval, f"__import__('os').mkdir({str(there)!r})")):
        for content in (evil, {"data": evil}, {"data": ROWS, "labels": [evil]}, {evil: ROWS}):
            path = write(tmp_path / "data_batch_1", pickle.dumps(content, protocol=protocol))
            with pytest.raises(DataError, match=r"data_batch_1: not read as a pickle: it wants .*, which may run code"):
                load_images(path)
    assert not there.exists()
    pickle.loads(path.read_bytes())
    assert there.exists()  # it was a real one


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02U\x01a\x82\x01.",  # a name by its number
        b"\x80\x02cnumpy\nload\nU\x01a\x85R.",
        b"\x80\x02cnumpy\nndarray\nK\x01\x85R.",  # not to be called
        b"\x80\x02c_codecs\nencode\n}U\x07__new__K\x01s\x86b.",  # the stand-in itself is not to be changed
        b"\x80\x02cnumpy\ndtype\nN}U\x04codeK\x01s\x86b.",
        b"\x80\x02]r\xff\xff\xff\xff.",  # a list, at place 4,294,967,295 of a memory
        b"\x80\x05\x96" + struct.pack("<Q", 2**46) + b".",  # 70 TB of bytes
        b"\x80\x02X\xff\xff\xff\x7f.",
        b"\x80\x02Pid\n.",
        b"\x80\x02(((.",
        b"",
        b"not a pickle",
        OF_PYTHON_2[:-100],
    ],
)
def test_what_is_no_pickle_of_arrays_is_refused_in_one_line(tmp_path, content):
    with pytest.raises(DataError, match=r"data_batch_1: ") as refused:
        load_cifar10(write(tmp_path / "data_batch_1", content))
    assert "\n" not in str(refused.value)
    assert pickled._Encoded("é", "latin1") == b"\xe9"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([[1, "a"]], dtype=object), "an array without numbers"),
        (np.array(["a"]), "expected arrays of real numbers, got type 'U1'"),
        (np.zeros(2, "M8[s]"), "expected arrays of real numbers, got type 'M8'"),
        (ROWS[:, :100], r"expected 'data', bytes of shape \(n, 3072\); got data of uint8 \(6, 100\)"),
        (ROWS.astype(float), "got data of float64"),
        ("words", "got arrays none"),
    ],
)
def test_arrays_of_anything_but_images_are_refused(tmp_path, values, message):
    with pytest.raises(DataError, match=message):
        load_cifar10(write(tmp_path / "data_batch_1", pickle.dumps({"data": values}, protocol=2)))


def test_an_array_whose_shape_is_not_its_bytes_is_refused(tmp_path):
    content = pickle.dumps({"data": ROWS}, protocol=2)
    with pytest.raises(DataError, match=r"an array of shape \(7, 3072\) of uint8, which 18432 bytes are not"):
        load_cifar10(write(tmp_path / "data_batch_1", content.replace(b"K\x06M\x00\x0c", b"K\x07M\x00\x0c")))
    with pytest.raises(DataError, match="expected a pickled dict of arrays, got list"):
        load_cifar10(write(tmp_path / "data_batch_1", pickle.dumps([ROWS])))
