"""A user's slip in a probe file is one line: which function, which line, what was expected."""

import pytest
from scanned_runs import PROBE, SAMPLE, perturbed, probe_file

import taumem
from taumem.errors import ConfigError

GOOD = PROBE + SAMPLE
SLIPS = {  # what is replaced by what, and what is said
    "no load": ("def load(", "def lode(", r"probe\.py: it has no load; did you mean 'lode'\? expected load\(path\) ->"),
    "no loss": ("Net, loss", "Net", r"it has no loss; expected loss\(model, items, generator\) -> one loss per item"),
    "no heldout": ("HELDOUT as heldout", "HELDOUT", "it has no heldout; .*expected items of the same source"),
    "no train": ("TRAIN as train", "TRAIN", "it has no train; .*expected the items that the model was trained on"),
    "train is a function": ("\ndef load", "\ndef train():\n    pass\n\n\ndef load", r"probe\.py: train is .* got function"),
    "train is a path": ("\ndef load", "\ntrain = 'images/'\n\n\ndef load", r"train is .*got the path 'images/'"),
    "load takes two": ("load(path)", "load(path, device)", r"load is called as load\(path\); this one is load\(path, dev"),
    "sample takes two": ("sample(model, n, generator)", "sample(model, n)", r"called as sample\(model, n, generator\)"),
    "loss is a number": ("\ndef load", "\nloss = 3\n\n\ndef load", r"loss is int; expected a function, loss\(model, it"),
    "loss takes t": (
        "\ndef load", "\ntimes = (0.3, 0.5)\n\n\ndef load", r"loss is called as loss\(model, items, generator, t\)",
    ),
    "syntax": ("def load(path):", "def load(path)", r"probe\.py raised SyntaxError: expected ':' \(probe\.py, line \d+\)"),
    "raises": ("\ndef load", "\n1 / 0\n\n\ndef load", r"probe\.py raised ZeroDivisionError: .* \(line \d+: 1 / 0\)"),
    "leaves": ("\ndef load", "\nsys.exit(4)\n\n\ndef load", r"probe\.py raised SystemExit: 4 \(line \d+: sys\.exit\(4\)\)"),
    "import": ("import torch", "import torhc", r"ModuleNotFoundError: No module named 'torhc' \(line \d+: import torhc\)"),
    "load raises": ("Net()", "Net(3)", r"probe\.py: load\('checkpoint-10\.safetensors'\) raised TypeError: .*\(line \d+: m"),
    "load gives nothing": ("return model\n", "model\n", r"load\('checkpoint-10\.safetensors'\) gave None; it returns the model"),
    "load gives weights": ("return model\n", "return taumem.load_weights(path)['0.bias']\n", "gave Tensor; it returns the model: a torch"),
    "loss raises": (
        "\ndef load", "\ndef loss(model, items, generator):\n    return items.nope\n\n\ndef load",
        r"probe\.py: loss\(\.\.\.\) raised AttributeError: .* \(line \d+: return items\.nope\)",
    ),
    "loss is a mean": (
        "\ndef load", "\ndef loss(model, items, generator):\n    return model(items).mean()\n\n\ndef load",
        r"loss.*one loss per item",
    ),
    "loss is seeded": (
        "\ndef load", "\ndef loss(model, items, generator):\n    return model(items).mean(1)\n\n\ndef load",
        "other noise changes nothing",
    ),
    "sample raises": ("model(torch.randn(n, 64", "model(torch.randn(n, 63", r"sample\(\.\.\.\) raised RuntimeError: .*line"),
    "sample of another shape": ("return model(torch", "return 3 + 0 * torch", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_is_one_line_that_says_where(tmp_path, name):
    if name == "sample of another shape":
        old, new, words = "return model(torch.randn(n, 64, generator=generator))", "return torch.randn(n, 3)", r"shape"
    else:
        old, new, words = SLIPS[name]
    assert old in GOOD
    perturbed(tmp_path / "net", 1)
    file = probe_file(tmp_path, GOOD.replace(old, new))
    with pytest.raises(taumem.TaumemError, match=words) as caught:
        taumem.scan(tmp_path / "net", file, folder=tmp_path / "scan")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no probe file can be read there"):
        taumem.probe_of(tmp_path / "nowhere.py")
    (tmp_path / "probe.txt").write_text(PROBE)
    with pytest.raises(ConfigError, match=r"expected one that ends with \.py"):
        taumem.probe_of(tmp_path / "probe.txt")


def test_samples_need_a_function_that_draws_them(tmp_path):
    with pytest.raises(ConfigError, match=r"it has no sample\(model, n, generator\)"):
        taumem.probe_of(probe_file(tmp_path), n_samples=4)


def test_it_may_import_what_lies_beside_it(tmp_path):
    (tmp_path / "beside_the_probe.py").write_text("batch_size = 4\n")
    assert taumem.probe_of(probe_file(tmp_path, PROBE + "from beside_the_probe import batch_size\n"))["batch_size"] == 4
