"""How the prior of forecasts was learned: against the package's own fit, on planted populations, and what ships."""

import csv
import json
import math
import sys
from importlib import import_module
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import qmc

from taumem.analysis import Onset, Prior, fit_law, usual_prior
from taumem.analysis.evidence import error_of
from taumem.record import RunKey

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
if not (EXPERIMENTS / "prior").is_dir():
    pytest.skip("the studies are not part of the package", allow_module_level=True)
sys.path.insert(0, str(EXPERIMENTS / "prior"))
learn = import_module("learn")
PRIOR = Prior(exponent=(1.3, 0.25), floor=(1.8, 1.4), scatter=(-0.1, 0.8))
POPULATION = np.array([1.3, math.log(0.25), 1.8 / 3.2, math.log(3.2), -0.1, math.log(0.8)])


def window(steps, n_train, *, error=0.1, located=(), beyond=(), domain="images", study="a"):
    """Of pilots by size, a list for each."""
    sizes = [math.log(p) for p, own in steps.items() for _ in own]
    logs = [math.log(step) for own in steps.values() for step in own]
    there = (np.log(np.array(located, dtype=float)), np.log(np.array(beyond, dtype=float)))
    reach = n_train / max(steps)
    return learn.Window(domain, (study, "tau_val"), n_train, reach, np.array(sizes), np.array(logs), error, *there)


def drawn_finely(monkeypatch, log_draws):
    """The mixtures of forecasts from more draws than learning takes."""
    draws = qmc.Sobol(4, scramble=True, seed=1).random_base2(log_draws)
    monkeypatch.setattr(learn, "UNIFORM", np.clip(draws, 1e-6, 1 - 1e-6))


def onsets(steps, error=0.1):
    within = math.exp(learn.Z95 * error)
    return [
        Onset(s, s / within, s * within, "no", "tau_val", RunKey(p, 16, seed=0, half="ab"[k] if len(own) > 1 else None))
        for p, own in steps.items()
        for k, s in enumerate(own)
    ]


@pytest.mark.filterwarnings("ignore:.*located at one size only:taumem.errors.TaumemWarning")
@pytest.mark.parametrize(
    "steps",
    [
        {32: [230.0], 64: [380.0], 128: [900.0]},
        {32: [230.0], 64: [560.0]},
        {32: [230.0, 260.0], 64: [380.0, 410.0], 128: [900.0, 800.0]},
        {32: [230.0, 300.0], 64: [560.0, 480.0]},
        {32: [230.0, 260.0]},
    ],
    ids=["three sizes", "two sizes", "three pairs", "two pairs", "one pair"],
)
def test_forecasts_under_a_prior_are_those_of_the_program_that_learned_it(steps, monkeypatch):
    drawn_finely(monkeypatch, 15)
    law = fit_law(onsets(steps), prior=PRIOR)
    for reach in (2, 4):
        n_train = reach * max(steps)
        mixture = learn.predicted(window(steps, n_train), POPULATION)
        low, median, high = (learn._quantile(*mixture, at) for at in (0.05, 0.5, 0.95))
        found = law.predict(n_train)
        mine = [math.log(step) for step in (found.low, found.value, found.high)]
        assert mine == pytest.approx([low, median, high], abs=0.025 * (high - low))


def test_the_error_of_pilots_is_read_off_their_intervals_as_forecasts_do():
    rows = list(csv.DictReader((EXPERIMENTS / "images/fashion.onsets.tsv").open(), delimiter="\t"))
    found = list(learn.windows("images", "images/fashion", ["tau_val", "tau_copy[0.05]"]))
    assert {each.reach for each in found} == {2, 4}
    assert {len(np.unique(each.sizes)) for each in found} == {3}
    for each in found:
        of_clock = [row for row in rows if row["clock"] == each.group[1] and row["censored"] in ("no", "interval")]
        pilots = [
            Onset(*(float(row[end]) for end in ("step", "low", "high")), row["censored"], each.group[1], RunKey(1, 1))
            for row in of_clock
            if any(np.isclose(math.log(float(row["step"])), each.steps, atol=1e-12))
        ]
        assert len(pilots) == len(each.steps)
        assert each.error == pytest.approx(error_of(pilots))


def test_what_came_next_counts_by_its_density_and_a_bound_by_what_lies_beyond_it(monkeypatch):
    drawn_finely(monkeypatch, 14)
    steps = {32: [230.0], 64: [380.0], 128: [900.0]}
    law = fit_law(onsets(steps), prior=PRIOR)
    found = law.predict(256)
    at = {name: getattr(found, name) for name in ("low", "value", "high")}
    beyond = [learn.log_density(window(steps, 256, beyond=[step]), POPULATION) for step in at.values()]
    assert np.exp(beyond) == pytest.approx([0.95, 0.5, 0.05], abs=0.02)
    located = {name: learn.log_density(window(steps, 256, located=[step]), POPULATION) for name, step in at.items()}
    assert located["value"] > max(located["low"], located["high"])
    both = learn.log_density(window(steps, 256, located=[at["low"], at["value"]]), POPULATION)
    assert both == pytest.approx((located["low"] + located["value"]) / 2)


def planted(n, exponent, scatter, rng):
    """Windows of studies whose exponents and scatters are drawn about these."""
    for k in range(n):
        a, share = exponent + 0.1 * rng.standard_normal(), rng.beta(1.8, 1.4)
        sigma = 0.1 * math.exp(scatter + 0.3 * rng.standard_normal())
        onset = {
            p: 200 * (share + (1 - share) * (p / 32) ** a) * math.exp(sigma * rng.standard_normal())
            for p in (32, 64, 128, 512)
        }
        last = onset.pop(512)
        yield window({p: [step] for p, step in onset.items()}, 512, located=[last], study=f"{k}")


def test_the_means_of_a_planted_population_are_found(monkeypatch):
    monkeypatch.setattr(learn, "UNIFORM", learn.UNIFORM[:128])
    own = list(planted(40, 1.0, -0.5, np.random.default_rng(3)))
    start = np.array([1.4, math.log(0.2), 1.8 / 3.2, math.log(3.2), 0.2, math.log(0.4)])
    found = learn.learned(own, start, free=(0, 4))
    assert found[0] == pytest.approx(1.0, abs=0.1)
    assert found[4] == pytest.approx(-0.5, abs=0.25)
    assert (found[[1, 2, 3, 5]] == start[[1, 2, 3, 5]]).all()


@pytest.mark.long
def test_a_planted_population_is_found():
    own = list(planted(200, 1.0, -0.5, np.random.default_rng(4)))
    found = learn.learned(own, learn.START["fixed"])
    assert found[0] == pytest.approx(1.0, abs=0.1)
    assert 0.03 < math.exp(found[1]) < 0.2
    assert found[2] == pytest.approx(1.8 / 3.2, abs=0.12)
    assert found[4] == pytest.approx(-0.5, abs=0.25)


def test_a_kind_is_drawn_to_all_kinds_as_far_as_its_studies_leave_it_open():
    own, of_studies = POPULATION + np.array([0.4, 0, 0.1, 0, -0.6, 0]), np.zeros(6)

    def mean(apart, n):
        return learn.of_a_kind(POPULATION, own, np.full(6, apart), of_studies, n)

    assert mean(1e-4, 5)[[0, 4]] == pytest.approx(POPULATION[[0, 4]], abs=1e-3)
    assert mean(100.0, 5)[[0, 4]] == pytest.approx(own[[0, 4]], abs=1e-3)
    # Normal by normal: of one study that is as far open as kinds are apart, half of each.
    assert mean(0.25, 1)[0] == pytest.approx((own[0] + POPULATION[0]) / 2)
    assert math.exp(mean(0.25, 1)[1]) == pytest.approx(0.25 * math.sqrt(1.5))
    assert mean(0.25, 9)[1] < mean(0.25, 1)[1]


def test_of_an_unknown_kind_more_is_left_open():
    wider = learn.of_an_unknown_kind(POPULATION, np.full(6, 0.3), 3)
    assert math.exp(wider[1]) == pytest.approx(math.sqrt(0.25**2 + 0.3**2 * 4 / 3))
    assert math.exp(wider[5]) == pytest.approx(math.sqrt(0.8**2 + 0.3**2 * 4 / 3))
    assert (wider[[0, 2, 3, 4]] == POPULATION[[0, 2, 3, 4]]).all()


def test_what_ships_is_a_table_as_it_is_learned():
    table = json.loads(files("taumem.analysis").joinpath("priors.json").read_text(encoding="utf-8"))
    of_batches = table.pop("batch")
    assert set(table) == set(learn.STUDIES)
    for batches, clocks in table.items():
        assert set(clocks) == set(learn.CLOCKS)
        for clock, kinds in clocks.items():
            assert set(kinds) in ({"unknown"}, {"unknown", *learn.KINDS.values()})
            for kind, row in kinds.items():
                assert set(row) == set(learn.as_table(POPULATION))
                row["batch"] = of_batches[clock]
                prior = Prior(**{name: tuple(pair) for name, pair in row.items()})  # which refuses what is no prior
                assert prior.scatter is not None
                full = batches == "full"
                assert usual_prior(learn.CLOCKS[clock][0], kind=kind, full_batches=full) == prior
    left_out = json.loads(learn.WITHOUT.read_text(encoding="utf-8"))
    assert {b: {c: set(rows) for c, rows in clocks.items()} for b, clocks in left_out.items()} == {
        batches: {clock: set(learn.STUDIES[batches]) for clock in learn.CLOCKS} for batches in learn.STUDIES
    }


@pytest.mark.slow
@pytest.mark.parametrize("clocks", learn.CLOCKS)
def test_k_is_a_mean_over_domains_and_as_wide_as_domains_and_rates_are_apart(clocks):
    laws = learn.batch_exponents(learn.CLOCKS[clocks])
    mean, sd = learn.of_batches(laws)
    assert usual_prior(learn.CLOCKS[clocks][0]).batch == (mean, sd)
    of_domains = [np.mean([law.batch_exponent.value for law in of.values()]) for of in laws.values()]
    assert len(of_domains) == 3
    assert mean == pytest.approx(np.mean(of_domains), abs=0.006)
    assert all(abs(k - mean) < 2 * sd for k in (*of_domains, *learn.K_BY_RATE[0]))
    assert sd > max(np.std(of_domains), np.std(learn.K_BY_RATE[0]) / 2)
