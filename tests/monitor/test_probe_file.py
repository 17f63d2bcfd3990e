"""A user's slip in a probe file is one line: which function, which line, what was expected."""

import pytest
from scanned_runs import PROBE, SAMPLE, perturbed, probe_file

import taumem
from taumem.errors import ConfigError

GOOD = PROBE + SAMPLE


def beside(code):
    """A probe file with more code in it, before its functions."""
    return "\ndef load", f"\n{code}\n\n\ndef load"


def with_loss(line):
    return beside(f"def loss(model, items, generator):\n    {line}")


NET = r"checkpoint-10\.safetensors"
SLIPS = {  # what is replaced by what, and what is said
    "no load": (
        ("def load(", "def lode("),
        r"probe\.py: it has no load; did you mean 'lode'\? expected load\(path\) ->",
    ),
    "no loss": (("Net, loss", "Net"), r"it has no loss; expected loss\(model, items, generator\) -> one loss per item"),
    "no heldout": (("HELDOUT as heldout", "HELDOUT"), "it has no heldout; .*expected items of the same source"),
    "no train": (("TRAIN as train", "TRAIN"), "it has no train; .*expected the items that the model was trained on"),
    "train is a function": (beside("def train():\n    pass"), r"probe\.py: train is .* got function"),
    "train is a path": (beside("train = 'images/'"), r"train is .*got the path 'images/'"),
    "load takes two": (
        ("load(path)", "load(path, gpu)"),
        r"load is called as load\(path\); this one is load\(path, gpu",
    ),
    "sample takes two": (("(model, n, generator)", "(model, n)"), r"called as sample\(model, n, generator\); this one"),
    "loss is a number": (beside("loss = 3"), r"loss is int; expected a function, loss\(model, items, generator\)"),
    "batch_size is a word": (beside("batch_size = '64'"), "batch_size is a whole number of at least 1; got '64'"),
    "loss takes no t": (beside("times = (0.3, 0.5)"), r"loss is called as loss\(model, items, generator, t\); this"),
    "syntax": (("def load(path):", "def load(path)"), r"probe\.py raised SyntaxError: expected ':' .*, line \d+\)"),
    "raises": (beside("1 / 0"), r"probe\.py raised ZeroDivisionError: .* \(line \d+: 1 / 0\)"),
    "leaves": (beside("sys.exit(4)"), r"probe\.py raised SystemExit: 4 \(line \d+: sys\.exit\(4\)\)"),
    "import": (("import torch", "import torhc"), r"No module named 'torhc' \(line \d+: import torhc\)"),
    "load raises": (("Net()", "Net(3)"), rf"probe\.py: load\('{NET}'\) raised TypeError: .*\(line \d+: m"),
    "load gives nothing": (("return model\n", "model\n"), rf"load\('{NET}'\) gave None; it returns the model"),
    "load gives weights": (("return model\n", "return model[0].bias\n"), "gave Parameter; it returns the model"),
    "loss raises": (
        with_loss("return items.no"),
        r"probe\.py: loss\(\.\.\.\) raised AttributeError: .* \(line \d+: ret",
    ),
    "loss is a mean": (with_loss("return model(items).mean()"), r"loss.*one loss per item"),
    "loss has no noise": (with_loss("return model(items).mean(1)"), "other noise changes nothing"),
    "sample raises": (("randn(n, 64,", "randn(n, 63,"), r"sample\(\.\.\.\) raised RuntimeError: .*\(line \d+"),
    "samples are others": (("return model(torch.randn(n, 64", "return (torch.randn(n, 3"), "shape"),
}


@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_is_one_line_that_says_where(tmp_path, name):
    (old, new), words = SLIPS[name]
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


def test_the_line_is_told_where_the_path_is_relative(tmp_path, monkeypatch):
    probe_file(tmp_path, PROBE + "train.no\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"\(line \d+: train\.no\)"):
        taumem.probe_of("probe.py")
