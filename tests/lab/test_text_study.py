"""A study of text: what is asked of it, what its records say, and what is refused."""

import math

import pytest
import torch

from taumem.analysis import find_onsets
from taumem.cli import main
from taumem.data import load_text
from taumem.diffusion import Polynomial
from taumem.errors import ConfigError, DataError
from taumem.lab import Experiment, load_experiment, make_study, plans_of
from taumem.record import RunRecord

TINY = {
    "name": "tiny-text",
    "n_train": [4, 8],
    "data": {"source": "text", "window": 16, "n_heldout": 16},
    "diffusion": {"kind": "masked", "t_min": 0.02},
    "model": {"kind": "transformer", "width": 8, "depth": 1, "heads": 2, "stem": 3},
    "training": {"batch_size": 4, "learning_rate": 1e-2, "min_steps": 24, "steps_per_example": 0},
    "monitor": {"n_items": 8, "n_heldout_items": 8, "first": 2, "per_doubling": 2, "n_samples": 8},
}


def tiny(**changes) -> Experiment:
    return Experiment.model_validate({**TINY, **changes})


@pytest.mark.slow
def test_a_text_is_asked_for_copies_infilling_bits_and_quality(tmp_path):
    a, *_ = records = make_study(tiny(), tmp_path, workers=1)
    asked = {"copy_fraction", "infill_copies", "heldout_bits", "heldout_bits_ngram", "heldout_entropy", "twin_loss"}
    assert asked | {"ngram_divergence[3]", "longest_match", "membership_auc"} <= set(a.quantities)
    assert a.header.data.alphabet == " abcdefghijklmnopqrstuvwxyz"
    assert a.header.data.item_shape == (16,)
    arrays = a.arrays(a.array_steps()[-1])
    assert arrays["samples"].dtype == "int32"
    clocks = {onset.clock for onset in find_onsets(records)}
    assert {"tau_gen", "tau_val", "tau_gap[0.2]", "tau_gap_sym[0.2]", "tau_copy[0.05]", "tau_infill[0.1]"} <= clocks


def test_under_uniform_noise_what_needs_a_mask_is_not_asked(tmp_path):
    study = tiny(n_train=[4], twins=False, diffusion={"kind": "uniform"})
    (record,) = make_study(study, tmp_path, workers=1)
    assert not {"infill_copies", "heldout_bits"} & set(record.quantities)
    assert {"copy_fraction", "heldout_entropy", "gap"} <= set(record.quantities)


@pytest.mark.slow
def test_from_left_to_right_all_is_asked_and_all_positions_are_trained_on(tmp_path):
    study = tiny(n_train=[4], diffusion={"kind": "autoregressive"})
    prepared = plans_of(study)[0].prepare()
    assert (prepared.diffusion.weighting, prepared.objective.weighting) == ("hidden", "all")
    a, b = make_study(study, tmp_path, workers=1)
    asked = {"copy_fraction", "infill_copies", "heldout_bits", "heldout_bits_ngram", "heldout_entropy", "twin_loss"}
    assert asked <= set(a.quantities)
    clocks = {onset.clock for onset in find_onsets([a, b])}
    assert {"tau_gen", "tau_val", "tau_gap[0.2]", "tau_gap_sym[0.2]", "tau_copy[0.05]", "tau_infill[0.1]"} <= clocks
    mlp = tiny(n_train=[4], diffusion={"kind": "autoregressive"}, model={"kind": "mlp"})
    with pytest.raises(ConfigError, match=r"only what stands before a position: model\.kind 'transformer'; got 'mlp'"):
        plans_of(mlp)[0].prepare().learner()


def test_schedule_and_sampler_are_a_matter_of_configuration(tmp_path):
    masked = {"kind": "masked", "schedule": "polynomial", "exponent": 2, "sampler": "cosine-grid"}
    study = tiny(n_train=[4], twins=False, diffusion=masked, monitor={**TINY["monitor"], "sampling_steps": 3})
    (plan,) = plans_of(study)
    prepared = plan.prepare()
    with RunRecord.open(tmp_path, prepared.header()) as record:
        _, entropy, *_ = prepared.monitor(record).probes
    assert entropy.times == pytest.approx([0.5**0.5])  # where half of the symbols are lost
    assert prepared.diffusion.schedule == Polynomial(2)
    asked = []

    def denoiser(xt, t):
        asked.append(float(t[0]))
        return torch.full((*xt.shape, 27), 1 / 27).log()

    prepared.sampler(5)(denoiser, torch.Generator().manual_seed(0))
    assert asked == pytest.approx([1, math.cos(math.pi / 6) ** 0.5, 0.5**0.5])
    with pytest.raises(ConfigError, match=r"exponent.*at most 4"):
        load_experiment("text", ["diffusion.schedule=polynomial", "diffusion.exponent=12"])
    with pytest.raises(ConfigError, match=r"exponent 2.* is for schedule 'polynomial'; got schedule 'cosine'"):
        load_experiment("text", ["diffusion.schedule=cosine", "diffusion.exponent=2"])


def test_unless_said_a_fifth_of_a_small_text_is_held_out(tmp_path):
    file = tmp_path / "own.txt"
    file.write_text("".join(f"line {k} says {k * k * 7919 % 1000003} and {k * 104729 % 999983}\n" for k in range(60)))
    study = tiny(n_train=[4], data={"source": "text", "window": 16, "path": str(file)})
    n_windows = load_text(file).n_windows(16)
    assert all(len(plan.prepare().split.heldout) == n_windows // 5 < 512 for plan in plans_of(study))


def test_twins_are_blamed_only_where_one_set_alone_would_do(tmp_path):
    file = tmp_path / "own.txt"
    file.write_bytes(b"caf\xe9 " * 500)
    with pytest.raises(DataError, match=r"^(?!two disjoint).*not valid UTF-8"):
        plans_of(tiny(data={**TINY["data"], "path": str(file)}))[0].prepare()
    with pytest.raises(DataError, match=r"^(?!two disjoint).*P = 9999 windows"):
        plans_of(tiny(n_train=[9999]))[0].prepare()


def test_sizes_are_nested_and_twins_share_no_window():
    plans = {(plan.n_train, plan.half): plan.prepare().split for plan in plans_of(tiny())}
    assert torch.equal(plans[8, "a"].train[:4], plans[4, "a"].train)
    assert torch.equal(plans[8, "a"].heldout, plans[4, "b"].heldout)
    assert not set(map(tuple, plans[8, "a"].train.tolist())) & set(map(tuple, plans[8, "b"].train.tolist()))


@pytest.mark.slow
@pytest.mark.parametrize("alphabet", ["characters", "bytes"])
def test_a_file_of_ones_own_has_the_alphabet_that_is_asked_for(tmp_path, alphabet):
    file = tmp_path / "own.txt"
    file.write_text("".join(f"line {k}: naïve résumé number {k * k}\n" for k in range(400)), encoding="utf-8")
    study = tiny(n_train=[4], twins=False, data={**TINY["data"], "path": str(file), "alphabet": alphabet})
    (record,) = make_study(study, tmp_path / "out", workers=1)
    assert record.header.data.name == "own.txt"
    assert ("ï" in record.header.data.alphabet) == (alphabet == "characters")
    assert (len(record.header.data.alphabet) == 256) == (alphabet == "bytes")


@pytest.mark.parametrize(
    ("content", "changes", "words"),
    [
        (b"too short a text for windows " * 4, {}, r"P = 8 windows of 16 characters \+ 16 held out are needed"),
        (b"caf\xe9 " * 500, {}, r"not valid UTF-8: byte 3 \(0xe9\)"),
        (b"abcdefgh " * 500, {"alphabet": "characters", "vocabulary": 4}, r"9 .*symbols|symbols.* 9"),
    ],
)
def test_a_text_that_will_not_do_is_refused_before_a_folder_is_made(tmp_path, content, changes, words):
    file = tmp_path / "own.txt"
    file.write_bytes(content)
    with pytest.raises(DataError, match=words):
        make_study(
            tiny(n_train=[8], twins=False, data={**TINY["data"], "path": str(file), **changes}), tmp_path / "out"
        )
    assert not (tmp_path / "out").exists()


def test_a_network_that_cannot_be_is_refused_before_a_folder_is_made(tmp_path):
    with pytest.raises(ConfigError, match="stem"):
        make_study(tiny(model={**TINY["model"], "stem": 4}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_report_of_a_text_study_shows_texts(tmp_path, capsys):
    make_study(tiny(), tmp_path / "out", workers=1)
    with pytest.raises(SystemExit) as stop:
        main(["report", str(tmp_path / "out"), "-o", str(tmp_path / "page.html")])
    assert not stop.value.code
    page = (tmp_path / "page.html").read_text()
    assert "bits" in page
    assert "n-gram" in page
