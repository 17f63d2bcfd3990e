"""Attacks on membership: against their formulas on models of one line, and against the two exactly known models."""

import math

import pytest
import torch
from markov_text import DIFFUSION as MASKED
from markov_text import MarkovDenoiser, texts
from reference_problem import DIFFUSION, EXACT, MIXTURE, by_name, items, memorized

from taumem.analysis.stopping.shares import ATTACKS as NAMED_BY_RULES
from taumem.data import GaussianMixture
from taumem.errors import ConfigError
from taumem.models import EmpiricalDenoiser, MixtureDenoiser
from taumem.probes import PIA, AveragedLoss, LossGap, MembershipAttacks, SecMI, TrueMembership, usual_attacks
from taumem.probes.true_membership import advantage
from taumem.record import QUANTITIES, family_of

P = 100
CHAIN = MarkovDenoiser()
TRAIN, HELDOUT = items(P, 1), items(300, 2)
ATTACKS = ["secmi", "pia", "averaged"]


@pytest.fixture(scope="module")
def probe():
    return MembershipAttacks(DIFFUSION, TRAIN, HELDOUT)


@pytest.fixture(scope="module")
def readings(probe):
    return by_name(probe.measure(memorized(TRAIN))), by_name(probe.measure(EXACT))


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_attack_flags_the_memorizer_and_clears_the_exact_denoiser(readings, attack):
    flagged, cleared = (each[f"membership_auc[{attack}]", None] for each in readings)
    # Total memorization pulls held-out items to a training item too, and SecMI then finds no error at some of them.
    assert flagged.value > (0.7 if attack == "secmi" else 0.95)
    assert flagged.value - 6 * flagged.se > 0.5
    assert abs(cleared.value - 0.5) < 3 * cleared.se < 0.15
    assert attack == "secmi" or readings[0][f"membership_tpr[{attack}]", None].low > 0.7
    assert readings[1][f"membership_tpr[{attack}]", None].low < 0.02


def test_what_is_kept_of_each_item_is_what_membership_was_told_from(readings):
    known, unknown = (readings[1][f"{name}_error[pia]", None].items for name in ("train", "heldout"))
    assert (len(known), len(unknown)) == (P, 300)
    pairs = torch.tensor(known)[:, None] < torch.tensor(unknown)
    assert readings[1]["membership_auc[pia]", None].value == pytest.approx(float(pairs.double().mean()), abs=1e-3)


def test_every_quantity_has_its_meaning(readings):
    assert {family_of(name) for name, _ in readings[0]} <= set(QUANTITIES)


# --- formulas ---------------------------------------------------------------------------------------------------------


def test_secmi_is_zero_where_the_predicted_noise_does_not_depend_on_the_place():
    # x0_hat = (xt - sigma_t c) / alpha_t for a constant noise c: each step retraces the one before.
    def constant_noise(xt, t):
        alpha_t, sigma_t = (scale[:, None] for scale in DIFFUSION.scales(t))
        return (xt - 0.3 * sigma_t) / alpha_t

    assert SecMI(DIFFUSION).errors(constant_noise, HELDOUT.double(), 256).max() < 1e-20


def test_secmi_of_a_standard_normal_is_that_of_its_closed_form():
    # Of N(0, I) the best x0_hat is alpha_t xt, so that a step from t to s multiplies by cos(angle_t - angle_s).
    normal = GaussianMixture(torch.ones(1), torch.zeros(1, 8), torch.ones(1))
    angle = [
        float(torch.atan2(*reversed([s.double() for s in DIFFUSION.scales(torch.tensor([k * 0.02]))])))
        for k in range(12)
    ]
    turned = [math.cos(angle[k + 1] - angle[k]) for k in range(11)]
    there = math.prod(turned[:10])
    expected = (HELDOUT * there * (1 - turned[10] ** 2)).square().mean(dim=1)
    found = SecMI(DIFFUSION).errors(MixtureDenoiser(DIFFUSION, normal), HELDOUT, 256)
    assert torch.allclose(found, expected, rtol=1e-2)


def test_pia_of_a_model_that_always_sees_the_same_noise_is_zero_and_of_two_noises_their_distance():
    def noise_of(t):
        return torch.where(t < 0.1, 0.5, 0.2)[:, None]

    def model(xt, t):
        alpha_t, sigma_t = (scale[:, None] for scale in DIFFUSION.scales(t))
        return (xt - noise_of(t) * sigma_t) / alpha_t

    assert PIA(DIFFUSION).errors(model, HELDOUT, 256) == pytest.approx(0.3, abs=1e-4)
    assert PIA(DIFFUSION, start=0.2).errors(model, HELDOUT, 256) == pytest.approx(0, abs=1e-4)


def test_the_averaged_loss_has_the_expectation_of_one_draw_and_less_of_its_luck():
    few, many = (AveragedLoss(DIFFUSION, n_draws=n).errors(EXACT, HELDOUT, 300) for n in (1, 16))
    gap = by_name(LossGap(DIFFUSION, {"train": TRAIN, "heldout": HELDOUT}).measure(EXACT))
    assert float(few.mean()) == pytest.approx(gap["heldout_loss", None].value, rel=0.15)
    assert float(few.mean()) == pytest.approx(float(many.mean()), rel=0.15)
    assert many.var() < few.var() * 0.75


# --- tokens -----------------------------------------------------------------------------------------------------------


def test_of_tokens_the_averaged_loss_flags_the_memorizer_and_clears_the_exact_denoiser():
    train, heldout = texts(60, 1), texts(120, 2)
    probe = MembershipAttacks(MASKED, train, heldout)
    assert [attack.name for attack in probe.attacks] == ["averaged"]

    def nearly_memorized(xt, t):  # which itself gives other symbols no probability at all
        return torch.logaddexp(EmpiricalDenoiser(MASKED, train)(xt, t), CHAIN(xt, t) - 5).log_softmax(-1)

    flagged, cleared = (
        by_name(probe.measure(model))["membership_auc[averaged]", None] for model in (nearly_memorized, CHAIN)
    )
    assert flagged.value > 0.95
    assert abs(cleared.value - 0.5) < 3 * cleared.se


@pytest.mark.parametrize("attack", [SecMI, PIA])
def test_what_needs_gaussian_noise_says_so_of_tokens(attack):
    with pytest.raises(ConfigError, match=r"Gaussian diffusion alone can do; got MaskedDiffusion. Of tokens, ask"):
        attack(MASKED)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: SecMI(DIFFUSION, t=0.95), "between 0 and 1"),
        (lambda: SecMI(DIFFUSION, n_steps=0), "at least 1 step; got n_steps = 0"),
        (lambda: PIA(DIFFUSION, power=0.5), "powers of at least 1; got power = 0.5"),
        (lambda: AveragedLoss(DIFFUSION, n_draws=0), "at least 1 draw"),
        (lambda: MembershipAttacks(DIFFUSION, TRAIN, HELDOUT, attacks=[]), "at least one; got"),
        (lambda: MembershipAttacks(DIFFUSION, TRAIN, HELDOUT[:0]), "got 100 and 0 of them"),
        (lambda: TrueMembership(DIFFUSION, TRAIN[:3], HELDOUT, EXACT), "4 or more training and fresh items; got 3"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_line(make, why):
    with pytest.raises(ConfigError, match=why):
        make()


def test_the_rule_to_stop_by_knows_the_attacks_that_are_made():
    assert [attack.name for attack in usual_attacks(DIFFUSION)] == ATTACKS
    assert [*ATTACKS, "exact"] == list(NAMED_BY_RULES)


# --- where the distribution is known ----------------------------------------------------------------------------------


def true(model, train=TRAIN, n_fresh=2000):
    return by_name(TrueMembership(DIFFUSION, train, items(n_fresh, 3), EXACT).measure(model))


def test_true_membership_is_nothing_for_the_exact_denoiser_and_all_for_the_memorizer():
    cleared, flagged = true(EXACT), true(memorized(TRAIN))
    assert cleared["membership_auc[exact]", None].value == 0.5
    assert cleared["membership_advantage[exact]", None].value == 0
    assert flagged["membership_auc[exact]", None].value > 0.99
    assert flagged["membership_advantage[exact]", None].value > 0.95


def test_true_membership_clears_a_model_that_is_wrong_but_knows_no_item():
    off = MixtureDenoiser(DIFFUSION, GaussianMixture(MIXTURE.weights, 0.8 * MIXTURE.means, MIXTURE.variances * 1.3))
    auc, gained = (true(off)[f"membership_{what}[exact]", None] for what in ("auc", "advantage"))
    assert abs(auc.value - 0.5) < 3 * auc.se < 0.15
    assert abs(gained.value) < 3 * gained.se


def test_knowing_how_hard_an_item_is_tells_more_than_the_loss_alone():
    def slightly(xt, t):  # what a model is that has begun to memorize
        return 0.97 * EXACT(xt, t) + 0.03 * memorized(TRAIN)(xt, t)

    attack = MembershipAttacks(DIFFUSION, TRAIN, HELDOUT, attacks=[AveragedLoss(DIFFUSION)])
    alone = by_name(attack.measure(slightly))["membership_auc[averaged]", None]
    assert true(slightly)["membership_auc[exact]", None].value > alone.value + 0.2


def test_the_advantage_is_that_of_the_best_threshold_for_two_normals_and_zero_by_chance():
    generator = torch.Generator().manual_seed(0)
    other = torch.randn(20_000, generator=generator)
    known = torch.randn(20_000, generator=generator) - 1
    found = advantage(known, other)
    best = math.erf(0.5 / math.sqrt(2))  # 2 Phi(1/2) - 1, at the threshold halfway between them
    assert abs(found.value - best) < 3 * found.se + 0.005
    chance = [
        advantage(torch.randn(40, generator=generator), torch.randn(200, generator=generator)) for _ in range(200)
    ]
    mean = sum(each.value for each in chance) / 200
    assert abs(mean) < 3 * sum(each.se for each in chance) / 200 / math.sqrt(200)
