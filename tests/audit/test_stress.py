"""Samples after a stress test stand beside the others: by the same rule, against the same items."""

import numpy as np
import pytest
import torch
from pictures import fresh

from taumem.audit import audit, verify
from taumem.audit.gates import judge, parse_gates
from taumem.audit.measures import measured
from taumem.data import GaussianMixture
from taumem.diffusion import GaussianDiffusion, denoise, sample
from taumem.errors import DataError
from taumem.models import EmpiricalDenoiser, MixtureDenoiser
from taumem.probes import cycle
from taumem.record.audit import AuditRecord

TRAIN, HELDOUT, SHOWN = (fresh(n, seed, side=8) for n, seed in ((40, 1), (120, 2), (40, 3)))
STRESSED = torch.cat([TRAIN[:12], fresh(28, 4, side=8)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("stress")
    for name, pictures in {"train": TRAIN, "heldout": HELDOUT, "shown": SHOWN, "stressed": STRESSED}.items():
        np.save(place / f"{name}.npy", ((pictures + 1) * 127.5).round().byte().numpy()[:, 0])
    shown, train, heldout, stressed = (place / f"{name}.npy" for name in ("shown", "train", "heldout", "stressed"))
    audit(shown, train, heldout, stress=stressed, orbit="none", parts=False, output=place / "audit")
    return place


def test_it_is_the_audit_of_the_stressed_samples_and_the_verdict_stays_that_of_the_others(folder):
    record = AuditRecord.read(folder / "audit")
    alone = audit(STRESSED, TRAIN, HELDOUT, orbit="none", parts=False)
    assert (record.copies.count, record.stress.copies) == (0, alone.copies)
    assert record.stress.verdict == alone.verdict
    assert record.verdict.state == "none_found"
    assert record.inputs["stress"].digest == alone.inputs["generated"].digest
    assert record.stress.sentence.startswith(
        "0 of 40 samples look like copies in one shot, 12 of 40 after the stress test, 0 of 60 by chance (30 %"
    )
    assert record.stress.sentence.endswith("the model holds copies that its samples do not show.")
    assert AuditRecord.read(folder / "audit" / "stress").copies == record.stress.copies


@pytest.mark.slow
def test_it_is_verified_with_the_rest(folder):
    assert verify(folder / "audit").agrees
    np.save(folder / "others.npy", np.load(folder / "stressed.npy")[::-1][:30])
    found = verify(folder / "audit", stress=folder / "others.npy")
    assert found.other_inputs == ("stressed samples",)
    assert any(line.startswith("stress.copies.n") for line in found.differences)


def test_gates_ask_for_it_by_its_name(folder):
    record = AuditRecord.read(folder / "audit")
    assert [j.outcome for j in judge(record, parse_gates("stress>0.01, stress.count>12, stress.p<0.05"))] == [
        "failed",
        "passed",
        "failed",
    ]
    without = record.model_copy(update={"stress": None})
    assert judge(without, parse_gates("stress>0.01"))[0].outcome == "undecidable"
    withheld = record.stress.verdict.model_copy(update={"state": "withheld", "withheld": ("too few",)})
    silent = record.model_copy(update={"stress": record.stress.model_copy(update={"verdict": withheld})})
    assert "no verdict can be given: too few" in measured(silent, "stress")


def test_a_test_that_brings_out_nothing_says_so():
    record = audit(SHOWN, TRAIN, HELDOUT, stress=fresh(40, 5, side=8), orbit="none", parts=False)
    assert record.stress.verdict.state == "none_found"
    assert record.stress.sentence.endswith("the test brings out none above chance.")


@pytest.mark.slow
def test_cycling_brings_out_the_memorizer_and_clears_the_exact_denoiser():
    diffusion, mixture = GaussianDiffusion(), GaussianMixture.two_modes(8)
    train, heldout = (mixture.sample(n, torch.Generator().manual_seed(n)) for n in (60, 200))
    generator = torch.Generator().manual_seed(0)
    exact = MixtureDenoiser(diffusion, mixture)
    shown = sample(diffusion, exact, 60, (8,), generator, steps=20)

    def stressed(denoiser):
        def corrupt(x0, t):
            return diffusion.corrupt(x0, torch.full((len(x0),), t), diffusion.noise(x0, generator))

        return cycle(
            shown, corrupt, lambda xt, t: denoise(diffusion, denoiser, xt, t, generator, steps=5), t=0.4, cycles=4
        )

    flagged, cleared = (
        audit(shown, train, heldout, stress=stressed(denoiser)).stress
        for denoiser in (EmpiricalDenoiser(diffusion, train), exact)
    )
    assert flagged.verdict.state == "copies"
    assert flagged.copies.fraction > 0.9
    assert cleared.verdict.state != "copies"


def refused_stress(place):
    (place / "empty").mkdir()
    return {
        "nowhere": (place / "nowhere.npy", r"nowhere\.npy: "),
        "empty": (place / "empty", "empty"),
        "tokens": (np.zeros((9, 16), dtype=np.int64), "stressed samples are tokens .* and training items images"),
        "size": (
            fresh(9, 6, side=16),
            "different sizes: stressed samples 16x16, training items 8x8, held-out items 8x8",
        ),
        "heldout": (HELDOUT, r"the held-out items \(.*\) are the stressed samples"),
    }


@pytest.mark.parametrize("kind", ["nowhere", "empty", "tokens", "size", "heldout"])
def test_stressed_samples_that_cannot_be_used_are_refused_before_anything_is_compared(tmp_path, kind):
    stress, said = refused_stress(tmp_path)[kind]
    begun = []
    with pytest.raises(DataError, match=said):
        audit(SHOWN, TRAIN, HELDOUT, stress=stress, output=tmp_path / "audit", progress=lambda *at: begun.append(at))
    assert not begun
    assert not (tmp_path / "audit").exists()


def test_what_an_option_says_of_the_samples_it_need_not_say_of_those_after_the_stress_test(tmp_path):
    np.savez(tmp_path / "shown.npz", mine=SHOWN.numpy())
    sets = {"heldout": HELDOUT, "stress": STRESSED, "orbit": "none", "parts": False}
    assert audit(tmp_path / "shown.npz", TRAIN, **sets, key="mine").stress.copies.count == 12
