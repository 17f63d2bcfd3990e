"""Features from anywhere: each form gives the vectors it should, and what cannot be compared is refused in words."""

import base64
import hashlib
import random
import sys
import types

import numpy as np
import pytest
import torch
from torch import nn

from taumem.audit.features import PRESETS, Features
from taumem.data import load_fashion_mnist
from taumem.data.stored import Stored
from taumem.errors import ConfigError, DataError

IMAGES = torch.rand(10, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
ONNX = {
    # flattens color images of any size
    "any": (
        "CAgSADpMChwKAXgSAXkiB0ZsYXR0ZW4qCwoEYXhpcxgBoAECEgFnWh4KAXgSGQoXCAESEwoDEgFuCgIIAwoDEgFoCgMSAXdiCQoB"
        "eRIECgIIAUIECgAQDQ=="
    ),
    # flattens bytes, one image at a time, color last
    "bytes": (
        "CAgSADpLChwKAXgSAXkiB0ZsYXR0ZW4qCwoEYXhpcxgBoAECEgFnWh0KAXgSGAoWCAISEgoCCAEKAxIBaAoDEgF3CgIIA2IJCgF5"
        "EgQKAggCQgQKABAN"
    ),
    # flattens 4 x 4 pixels
    "fixed": (
        "CAgSADpKChwKAXgSAXkiB0ZsYXR0ZW4qCwoEYXhpcxgBoAECEgFnWhwKAXgSFwoVCAESEQoDEgFuCgIIAwoCCAQKAggEYgkKAXkS"
        "BAoCCAFCBAoAEA0="
    ),
    # adds its two inputs
    "two": (
        "CAgSADpKCg4KAXgKAXoSAXkiA0FkZBIBZ1oUCgF4Eg8KDQgBEgkKAxIBbgoCCANaFAoBehIPCg0IARIJCgMSAW4KAggDYgkKAXkS"
        "BAoCCAFCBAoAEA0="
    ),
}
CODE = """
import random, torch
from torch import nn

def means(x):
    return x.mean(dim=(2, 3))

def lengths(texts):
    return [[len(text), 1.0] for text in texts]

class Net:
    embed = staticmethod(lambda x: x.flatten(1).numpy().astype("float64"))

dropout = nn.Sequential(nn.Flatten(), nn.Dropout(0.5))
drawn = lambda x: torch.rand(len(x), 3)
of_the_batch = lambda x: (x - x.mean(dim=0)).flatten(1)
fails = lambda x: 1 / 0
not_finite = lambda x: x.flatten(1) / 0
four_axes = lambda x: x
one_for_all = lambda x: torch.ones(1, 3)
none = lambda x: torch.ones(len(x), 0)
words = lambda x: ["a"] * len(x)
grows = lambda x, n=[0]: torch.ones(len(x), 3 if float(x[0, 0, 0, 0]) == FIRST else 4)
number = 3
""".replace("FIRST", repr(float(IMAGES[0, 0, 0, 0])))


@pytest.fixture
def code(tmp_path):
    (tmp_path / "my code.py").write_text(CODE)
    return tmp_path / "my code.py"


def onnx_file(folder, name):
    (folder / f"{name}.onnx").write_bytes(base64.b64decode(ONNX[name]))
    return folder / f"{name}.onnx"


@pytest.fixture(params=["stand-in", "onnxruntime"])
def onnx(request, monkeypatch):
    """The package where it is installed, and always a stand-in that knows these files."""
    if request.param == "onnxruntime":
        return pytest.importorskip("onnxruntime")

    class Session:
        def __init__(self, path, providers):
            with open(path, "rb") as file:  # noqa: PTH123
                content = base64.b64encode(file.read()).decode()
            name = next((name for name, kept in ONNX.items() if kept == content), None)
            if name is None:
                raise ValueError("[ONNXRuntimeError] : 7 : INVALID_PROTOBUF\nmore")
            shapes = {"any": ["n", 3, "h", "w"], "bytes": [1, "h", "w", 3], "fixed": ["n", 3, 4, 4], "two": ["n", 3]}
            kind = "tensor(uint8)" if name == "bytes" else "tensor(float)"
            self.inputs = [
                types.SimpleNamespace(name=key, type=kind, shape=shapes[name])
                for key in ("x", "z")[: 2 if name == "two" else 1]
            ]

        def get_inputs(self):
            return self.inputs

        def run(self, names, given):
            x = given["x"]
            for wanted, axis in zip(self.inputs[0].shape, x.shape, strict=True):
                assert wanted == axis or isinstance(wanted, str)
            assert x.dtype == (np.uint8 if self.inputs[0].type == "tensor(uint8)" else np.float32)
            return [x.reshape(len(x), -1)]

    return monkeypatch.setitem(sys.modules, "onnxruntime", types.SimpleNamespace(InferenceSession=Session))


class TestFunctions:
    def test_a_function_of_a_file_of_a_module_and_itself(self, code):
        features = Features.of(f"{code}:means")
        assert torch.allclose(features(IMAGES), IMAGES.mean(dim=(2, 3)))
        assert features.digest == hashlib.sha256(code.read_bytes()).hexdigest()
        assert features.sentence == "the function means of my code.py"
        assert torch.equal(Features.of(f"{code}:Net.embed")(IMAGES), IMAGES.flatten(1))
        assert torch.equal(Features.of(lambda x: x.flatten(1))(IMAGES), IMAGES.flatten(1))
        assert torch.equal(
            Features.of("torch:norm_except_dim")(IMAGES[:, 0, 0]), torch.norm_except_dim(IMAGES[:, 0, 0])
        )

    def test_items_on_disk_and_texts_are_taken_in_batches(self, code):
        seen = []
        stored = Stored(IMAGES.numpy(), torch.from_numpy)
        found = Features.of(f"{code}:means")(stored, batch=4, progress=lambda *done: seen.append(done))
        assert torch.allclose(found, IMAGES.mean(dim=(2, 3)))
        assert seen == [(4, 10), (8, 10), (10, 10)]
        assert Features.of(f"{code}:lengths")(["a", "bcd"]).tolist() == [[1, 1], [3, 1]]

    def test_a_module_is_in_evaluation_mode_meanwhile_and_nothing_else_changes(self):
        module = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.BatchNorm1d(192))
        state = torch.get_rng_state(), random.getstate()
        before = {name: value.clone() for name, value in module.state_dict().items()}
        found = Features.of(module)(IMAGES)
        assert found.shape == (10, 192)
        assert not found.requires_grad
        assert module.training
        assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
        assert torch.equal(state[0], torch.get_rng_state())
        assert state[1] == random.getstate()

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("drawn", "other features when it is asked again; leave out whatever is drawn"),
            ("of_the_batch", "other features of an item alone than of the same one among others"),
            ("fails", r"fail on items of shape \(4, 3, 8, 8\): ZeroDivisionError: division by zero"),
            ("not_finite", r"samples: their features .* hold NaN or infinite values \(first those of number 0\)"),
            ("four_axes", r"got torch.float32 of shape \(4, 3, 8, 8\) for 4 items"),
            ("one_for_all", r"got torch.float32 of shape \(1, 3\) for 4 items"),
            ("none", r"of shape \(4, 0\)"),
            ("words", "fail on items of shape"),
            ("grows", "got 3 features of some items and 4 of others|other features of an item alone"),
            ("number", "number is int, which cannot be called"),
            ("gone", "cannot be imported .*has no attribute 'gone'"),
            ("lengths", None),
        ],
    )
    def test_what_gives_no_vectors_to_compare_is_refused(self, code, name, message):
        if message is None:
            assert Features.of(f"{code}:{name}")(["a"]).shape == (1, 2)
            return
        with pytest.raises((ConfigError, DataError), match=message):
            Features.of(f"{code}:{name}")(IMAGES, "samples", batch=4)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
class TestModels:
    @pytest.fixture
    def model(self, tmp_path):
        module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
        torch.jit.trace(module, IMAGES).save(tmp_path / "m.pt")
        return tmp_path / "m.pt", module

    def test_torchscript_gets_the_scale_and_the_size_that_it_is_asked_for(self, model):
        path, module = model
        means, deviations = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        scales = {
            "": IMAGES,
            ":signed": IMAGES,
            ":unit": (IMAGES + 1) / 2,
            ":bytes": ((IMAGES + 1) * 127.5).round(),
            ":imagenet": (((IMAGES + 1) / 2) - means[:, None, None]) / deviations[:, None, None],
        }
        for name, images in scales.items():
            assert torch.allclose(Features.of(f"{path}{name}")(IMAGES), module(images), rtol=1e-4, atol=1e-5)
        larger = nn.functional.interpolate(IMAGES, (16, 16), mode="bilinear", antialias=True)
        assert torch.allclose(Features.of(f"{path}:unit:16")(IMAGES), module((larger + 1) / 2), rtol=1e-4, atol=1e-5)

    def test_gray_images_become_color_for_a_model_of_color(self, model):
        path, module = model
        gray = IMAGES[:, :1]
        assert torch.allclose(Features.of(str(path))(gray), module(gray.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-5)

    def test_onnx_gets_its_own_layout_type_and_size(self, onnx, tmp_path):
        any_size = Features.of(str(onnx_file(tmp_path, "any")))
        assert torch.equal(any_size(IMAGES), IMAGES.flatten(1))
        assert any_size(IMAGES[:, :1]).shape == (10, 192)
        assert any_size.digest == hashlib.sha256(base64.b64decode(ONNX["any"])).hexdigest()
        as_bytes = ((IMAGES + 1) * 127.5).round()
        of_bytes = Features.of(str(onnx_file(tmp_path, "bytes")))(IMAGES)
        assert torch.equal(of_bytes, as_bytes.permute(0, 2, 3, 1).flatten(1))
        assert Features.of(f"{onnx_file(tmp_path, 'fixed')}:unit")(IMAGES).shape == (10, 48)
        assert Features.of(f"{tmp_path / 'any.onnx'}:unit:4")(IMAGES).min() >= 0

    def test_onnx_that_cannot_be_used_is_refused(self, onnx, tmp_path):
        with pytest.raises(ConfigError, match="a model with one input is wanted; this one has x, z"):
            Features.of(str(onnx_file(tmp_path, "two")))
        (tmp_path / "bad.onnx").write_bytes(b"no model")
        with pytest.raises(ConfigError, match=r"bad\.onnx: not a readable ONNX model"):
            Features.of(f"{tmp_path / 'bad.onnx'}")

    def test_what_is_not_installed_is_said(self, monkeypatch, tmp_path):
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        with pytest.raises(ConfigError, match=r"needs onnxruntime: pip install 'taumem\[onnx\]'"):
            Features.of(str(onnx_file(tmp_path, "any")))

    @pytest.mark.parametrize(
        ("asked", "message"),
        [
            ("pixel", "there are no features 'pixel'; did you mean 'pixels'"),
            ("my_code.py", "there are no features"),
            ("gone.onnx", "gone.onnx: no extractor of features can be read there"),
            ("gone.pt", "gone.pt: no extractor of features can be read there"),
            ("gone.py:f", "gone.py: no extractor of features can be read there"),
            ("gone.pt:imagnet", "no scale 'imagnet' of images; did you mean 'imagenet'"),
            ("gone.pt:unit:0", "a size of at least 1 pixel"),
            ("no.such.module:f", "No module named 'no'.*a file is named with its ending"),
        ],
    )
    def test_what_is_not_there_is_refused(self, asked, message):
        with pytest.raises(ConfigError, match=message):
            Features.of(asked)

    def test_weights_alone_are_no_model(self, tmp_path):
        torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "w.pt")
        (tmp_path / "x.pt").write_bytes(b"x")
        for name in ("w", "x"):
            with pytest.raises(ConfigError, match=rf"{name}\.pt: not a TorchScript file .*weights alone are no model"):
                Features.of(str(tmp_path / f"{name}.pt"))


class TestPresets:
    def test_pixels_are_the_numbers_themselves(self):
        assert torch.equal(Features.of("pixels")(IMAGES), IMAGES.flatten(1))

    @pytest.mark.parametrize("shape", [(3, 1, 28, 28), (3, 3, 5, 9), (2, 3, 1, 1), (2, 1, 2, 3)])
    def test_colors_and_edges_are_finite_and_of_one_length(self, shape):
        for images in (torch.rand(shape) * 2 - 1, torch.full(shape, -1.0), torch.ones(shape)):
            found = Features.of("colors-and-edges")(images)
            assert found.shape == (shape[0], 416)
            assert torch.isfinite(found).all()

    def test_colors_and_edges_are_the_same_mirrored_darkened_and_of_gray_in_color(self):
        ask = Features.of("colors-and-edges")
        found = ask(IMAGES)
        assert torch.allclose(ask(IMAGES.flip(3)), found, atol=1e-5)
        assert torch.allclose(ask((IMAGES + 1) * 0.6 - 1), found, atol=1e-5)
        assert torch.equal(ask(IMAGES[:, :1]), ask(IMAGES[:, :1].expand(-1, 3, -1, -1)))

    def test_colors_and_edges_find_the_source_of_what_pixels_miss(self):
        images = load_fashion_mnist()[:300]
        ask = Features.of("colors-and-edges")
        known, moved = ask(images), torch.roll(images[:50].flip(3), (1, 1), (2, 3))
        right = {
            name: (torch.cdist(queries, among).argmin(dim=1) == torch.arange(50)).float().mean()
            for name, queries, among in (
                ("features", ask(moved), known),
                ("pixels", moved.flatten(1), images.flatten(1)),
            )
        }
        assert right["features"] > 0.9
        assert right["pixels"] < 0.6

    def test_they_are_of_images_alone_and_say_so(self):
        for items in (torch.rand(3, 5), ["a", "b"], torch.rand(3, 2, 4, 4)):
            with pytest.raises(ConfigError, match="colors-and-edges are features of images"):
                Features.of("colors-and-edges")(items)
        with pytest.raises(ConfigError, match="texts have no numbers"):
            Features.of("pixels")(["a"])
        assert "weak" in PRESETS["colors-and-edges"]
