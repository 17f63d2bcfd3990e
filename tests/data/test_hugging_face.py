"""Columns of Hugging Face datasets: of a stand-in always, of the package itself where it is installed."""

import io
import sys
import types

import numpy as np
import pytest
import torch
from PIL import Image

from taumem.data import Split, gather, load_images
from taumem.errors import ConfigError, DataError
from taumem.lab.domains.images import ImagesConfig


def png(shade, bits=8):
    file = io.BytesIO()
    pixels = np.full((4, 4), shade, np.uint8 if bits == 8 else np.uint16)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


class Value:
    def __init__(self, dtype):
        self.dtype = dtype


class Feature:
    def __init__(self, decode=True):
        self.decode = decode


Feature.__name__ = "Image"


class Dataset:
    """As much of a dataset as is asked for."""

    def __init__(self, columns, features):
        self.columns, self.features = columns, features

    def __len__(self):
        return len(next(iter(self.columns.values())))

    def __getitem__(self, k):
        return self.columns[k] if isinstance(k, str) else {name: column[k] for name, column in self.columns.items()}

    def select(self, places):
        return Dataset({name: [column[k] for k in places] for name, column in self.columns.items()}, self.features)

    def select_columns(self, names):
        return Dataset({name: self.columns[name] for name in names}, {name: self.features[name] for name in names})

    def cast_column(self, name, feature):
        assert not feature.decode
        return Dataset(self.columns, self.features | {name: feature})


class DatasetDict(dict):
    pass


Dataset.__module__ = DatasetDict.__module__ = "datasets.stand_in"


@pytest.fixture
def datasets(monkeypatch, tmp_path):
    """A stand-in for the package, with one dataset on the hub and one in a folder."""
    (tmp_path / "a.png").write_bytes(png(7))
    pictures = [{"bytes": png(k), "path": None} for k in range(3)] + [{"bytes": None, "path": str(tmp_path / "a.png")}]
    features = {"picture": Feature(), "caption": Value("string"), "label": Value("int64")}
    columns = {"picture": pictures, "caption": ["a", "b", None, "d"], "label": [1, 2, 3, 4]}
    data = Dataset(columns, features)

    def load_dataset(name, split=None):
        if name != "org/shades":
            raise ConnectionError(f"no {name} on the hub\nbut many lines")
        return data if split else DatasetDict(train=data, test=data)

    stand_in = types.SimpleNamespace(Image=Feature, load_dataset=load_dataset, load_from_disk=lambda path: data)
    monkeypatch.setitem(sys.modules, "datasets", stand_in)
    return data


def shades(found):
    return ((found.items[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()


def test_the_one_column_of_images_is_taken(datasets):
    found = gather("hf:org/shades:test")
    assert shades(found) == [0, 1, 2, 7]
    assert found.names[3] == "hf:org/shades:test:picture[3]"
    assert (found.kind, found.shape, found.source) == ("images", (1, 4, 4), "hf:org/shades:test:picture")
    assert gather("hf:org/shades:test", limit=2, size=2).shape == (1, 2, 2)
    assert gather(datasets).digest == found.digest


def test_a_column_of_texts_is_taken_by_its_name(datasets):
    found = gather("hf:org/shades:train:caption")
    assert found.items == ["a", "b", "d"]
    assert found.names == [f"hf:org/shades:train:caption[{k}]" for k in (0, 1, 3)]
    assert found.notes == ("1 blank text left out.",)


def test_a_folder_of_save_to_disk_is_known_by_what_is_in_it(datasets, tmp_path):
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "state.json").write_text("{}")
    assert shades(gather(tmp_path / "saved")) == shades(gather(f"hf:{tmp_path / 'saved'}")) == [0, 1, 2, 7]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hf:org/shades", "has several splits: train, test. Say which one by hf:NAME, hf:NAME:SPLIT or"),
        ("hf:org/other", r"hf:org/other: cannot be opened \(no org/other on the hub\)"),
        ("hf:org/shades:train:label", r"no column 'label' .*Known: picture \(images\), caption \(texts\)"),
        ("hf:", "no name of a dataset"),
        ("hf:a:b:c:d", "no name of a dataset"),
    ],
)
def test_what_leaves_a_choice_or_is_not_there_is_refused_in_words(datasets, name, message):
    with pytest.raises(DataError, match=message):
        gather(name)


def test_pictures_that_are_missing_damaged_or_deep_are_counted(datasets):
    datasets.columns["picture"][1:] = [
        None,
        {"bytes": b"no picture", "path": None},
        {"bytes": png(9, 16), "path": None},
    ]
    with pytest.raises(
        DataError,
        match=r"3 of 4 images cannot be read: .*\[1\]: no picture in this row; .*\[2\]: not a .*\[3\]: has more",
    ):
        gather("hf:org/shades:train")
    found = gather("hf:org/shades:train", skip_unreadable=True)
    assert list(found.names) == ["hf:org/shades:train:picture[0]"]


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ConfigError, match=r"needs the package datasets: pip install 'taumem\[hf\]'"):
        gather("hf:org/shades")


def test_the_package_itself(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    images = [Image.fromarray(np.full((4, 4), k, np.uint8)) for k in range(3)]
    features = datasets.Features({"image": datasets.Image(), "caption": datasets.Value("string")})
    data = datasets.Dataset.from_dict({"image": images, "caption": ["a", "b", None]}, features=features)
    data.save_to_disk(tmp_path / "one")
    datasets.DatasetDict(train=data, test=data).save_to_disk(tmp_path / "two")
    assert (
        shades(gather(data))
        == shades(gather(tmp_path / "one"))
        == shades(gather(f"hf:{tmp_path}/two:test"))
        == [0, 1, 2]
    )
    assert gather(f"hf:{tmp_path}/two:train:caption").items == ["a", "b"]
    with pytest.raises(DataError, match="has several splits: train, test"):
        gather(tmp_path / "two")


def test_images_of_a_dataset_are_read_as_those_of_a_folder_are(datasets, tmp_path):
    images = load_images("hf:org/shades:test:picture", size=2, grayscale=True)
    assert ((images[:, 0, 0, 0] + 1) * 127.5).round().int().tolist() == [0, 1, 2, 7]
    assert images.shape == (4, 1, 2, 2)
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "state.json").write_text("{}")
    assert torch.equal(load_images(tmp_path / "saved", limit=2), load_images("hf:org/shades:test", limit=2))
    with pytest.raises(DataError, match="holds texts; name a column of images"):
        load_images("hf:org/shades:test:caption")


def test_an_experiment_trains_on_a_dataset_as_its_split_of_bytes(datasets):
    domain = ImagesConfig(source="images", path="hf:org/shades:test", n_heldout=1).open()
    assert domain.images.values.dtype == np.uint8
    split = domain.split(2, 0)
    assert (len(split), split.n_more, split.item_shape) == (2, 1, (3, 4, 4))
    assert split.fingerprint == Split.make("", load_images("hf:org/shades:test"), 1).first(2).fingerprint
