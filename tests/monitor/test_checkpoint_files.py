"""Checkpoints on disk: broken ones are found out without loading them, and weights are read without running code."""

import builtins
import json
import os
import pickle
import zipfile

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save, save_file
from torch import nn

import taumem
from taumem.errors import DataError, TaumemError
from taumem.monitor.checkpoint_files import digest_of, problem_of

WEIGHTS = {"layer.weight": torch.randn(40, 30), "layer.bias": torch.randn(40)}
WHOLE = save(WEIGHTS)


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@given(st.integers(0, len(WHOLE) - 1))
def test_a_safetensors_file_that_ends_early_is_found_out_wherever_it_ends(tmp_path_factory, size):
    file = tmp_path_factory.mktemp("cut") / "a.safetensors"
    file.write_bytes(WHOLE[:size])
    assert problem_of(file)
    file.write_bytes(WHOLE)
    assert not problem_of(file)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_file_of_torch_that_ends_early_is_found_out(tmp_path, share):
    file = tmp_path / "a.pt"
    torch.save(WEIGHTS, file)
    assert not problem_of(file)
    os.truncate(file, int(share * file.stat().st_size) + (2 if share else 0))
    assert problem_of(file)


@given(st.binary(max_size=200))
def test_any_bytes_are_told_to_be_no_weights_in_words(tmp_path_factory, content):
    for suffix in (".safetensors", ".pt"):
        file = tmp_path_factory.mktemp("any") / f"a{suffix}"
        file.write_bytes(content)
        with pytest.raises(TaumemError):
            taumem.load_weights(file)


def test_of_a_folder_the_file_that_is_broken_is_named(tmp_path):
    assert problem_of(tmp_path) == "no file in it holds weights"
    (tmp_path / "unet").mkdir()
    save_file(WEIGHTS, tmp_path / "unet" / "model.safetensors")
    (tmp_path / "optimizer.bin").write_bytes(b"")
    assert problem_of(tmp_path) == "optimizer.bin: it is empty"
    torch.save({}, tmp_path / "optimizer.bin")
    assert problem_of(tmp_path) == ""


def test_weights_are_read_from_a_file_and_from_a_folder_of_any_layout(tmp_path):
    save_file(WEIGHTS, tmp_path / "a.safetensors")
    torch.save(WEIGHTS, tmp_path / "a.pt")
    for file in ("a.safetensors", "a.pt"):
        assert same(taumem.load_weights(tmp_path / file), WEIGHTS)
    folder = tmp_path / "checkpoint-5"
    (folder / "unet").mkdir(parents=True)
    save_file(WEIGHTS, folder / "unet" / "diffusion_pytorch_model.safetensors")
    torch.save({"state": {}}, folder / "optimizer.bin")
    with (folder / "random_states_0.pkl").open("wb") as stream:
        pickle.dump({}, stream)
    assert same(taumem.load_weights(folder), WEIGHTS)
    (folder / "unet_ema").mkdir()
    save_file(WEIGHTS, folder / "unet_ema" / "diffusion_pytorch_model.safetensors")
    with pytest.raises(
        DataError, match=r"several models \(unet, unet_ema\); name one, as in load_weights\(path / 'unet'"
    ):
        taumem.load_weights(folder)
    assert same(taumem.load_weights(folder / "unet_ema"), WEIGHTS)


def test_weights_in_several_files_are_put_together_by_their_index(tmp_path):
    parts = {"a.safetensors": "layer.weight", "b.safetensors": "layer.bias"}
    for file, name in parts.items():
        save_file({name: WEIGHTS[name]}, tmp_path / file)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {v: k for k, v in parts.items()}}))
    assert same(taumem.load_weights(tmp_path), WEIGHTS)
    (tmp_path / "b.safetensors").unlink()
    assert problem_of(tmp_path) == "model.safetensors.index.json: b.safetensors, which belongs to it, is missing"


def test_safetensors_win_over_a_pickle_beside_them(tmp_path):
    save_file(WEIGHTS, tmp_path / "model.safetensors")
    torch.save({"other": torch.zeros(1)}, tmp_path / "pytorch_model.bin")
    assert same(taumem.load_weights(tmp_path), WEIGHTS)


class Telltale:
    def __reduce__(self):
        return (exec, ("import builtins; builtins.it_ran = True",))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("how", [torch.save, lambda content, file: file.write_bytes(pickle.dumps(content))])
@pytest.mark.parametrize("content", [{"ema": Telltale()}, {"ema": nn.Linear(2, 2)}])
def test_a_pickle_that_runs_code_is_refused_and_runs_none(tmp_path, how, content):
    file = tmp_path / "network-snapshot-000100.pkl"
    how(content, file)
    with pytest.raises(DataError, match=r"runs code when it is opened.*If you trust it, open it in load\(path\)"):
        taumem.load_weights(file)
    assert not hasattr(builtins, "it_ran")


def test_what_is_no_mapping_of_weights_is_refused(tmp_path):
    torch.save(torch.zeros(3), tmp_path / "a.pt")
    with pytest.raises(DataError, match="holds Tensor; expected weights by name"):
        taumem.load_weights(tmp_path / "a.pt")
    with pytest.raises(DataError, match="no such file"):
        taumem.load_weights(tmp_path / "b.pt")


@given(st.integers(0, 3), st.floats(-2, 2, allow_nan=False))
def test_other_weights_have_another_digest_and_the_same_ones_the_same(tmp_path_factory, place, by):
    folder = tmp_path_factory.mktemp("digest")
    weights = {f"{k}": torch.full((5000,), float(k)) for k in range(4)}
    save_file(weights, folder / "a.safetensors")
    changed = {**weights, f"{place}": weights[f"{place}"] + by}
    save_file(changed, folder / "b.safetensors")
    is_same = torch.equal(changed[f"{place}"], weights[f"{place}"])
    assert (digest_of(folder / "a.safetensors") == digest_of(folder / "b.safetensors")) == is_same


def test_a_zip_that_is_no_checkpoint_is_told_in_words(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as file:
        file.writestr("hello", "world")
    with pytest.raises(DataError, match="cannot be read as weights"):
        taumem.load_weights(tmp_path / "a.pt")
