"""What a reader must know before believing a study, and what is missing: said once, in words, everywhere alike."""

import numpy as np
import pytest
from planted import STEPS, curve, header, heldout, items_of, share_curve, written

from taumem.analysis import ClockLaw, Forecast, Interval, Onset, Study, fit_law, usual_prior
from taumem.analysis.cautions import few_heldout, full_batches, of_a_forecast
from taumem.analysis.missing import without_law
from taumem.analysis.shares import FEWEST_HELDOUT
from taumem.errors import ConfigError
from taumem.record import Curve, RunHeader, RunKey

T = STEPS.astype(float)


def onset(n_train: int, step: float, censored: str = "no", clock: str = "tau_val") -> Onset:
    low, high = {"right": (step, np.inf), "left": (0.0, step)}.get(censored, (step / 1.1, step * 1.1))
    return Onset(step, low, high, censored, clock, RunKey(n_train, 16, seed=0))


def run(folder, n_train: int, *, tau: float = 8.0, **more):
    loss = items_of(heldout(T, tau * n_train), 48, np.random.default_rng(n_train), noise=0.02)
    return written(folder, header(n_train, **more), [curve("heldout_loss", T, loss)])


# --- pilots no larger than the batch ----------------------------------------------------------------------------------


def test_pilots_no_larger_than_the_batch_forecast_nothing_larger():
    said = full_batches((4, 8, 16), 16)
    assert said.startswith("P = 4, 8, 16 are no larger than the batch size (16)")
    assert "forecast no larger one (none is larger)" in said
    assert "(only P = 32 is larger)" in full_batches((8, 16, 32), 16)


def test_of_mixed_sizes_those_above_the_batch_are_named_for_the_law():
    said = full_batches((16, 32, 64), 16)
    assert said.startswith("P = 16 is no larger")
    assert "may use P = 32, 64 only" in said
    assert "--exclude 16)" in said
    assert "--exclude" not in full_batches((16, 32, 64), 16, exclude="")


def test_sizes_above_the_batch_need_no_word():
    assert full_batches((17, 32), 16) == ""


def test_a_study_says_it_unless_those_sizes_are_excluded_or_full_batches_are_the_purpose(tmp_path):
    records = [run(tmp_path, n_train) for n_train in (16, 32, 64)]
    (said,) = Study.of(records).cautions
    assert said == full_batches((16, 32, 64), 16)
    assert Study.of(records, excluded={16}).cautions == ()
    on_purpose = []
    for n_train in (16, 32):
        facts = header(n_train).model_copy(update={"batch_size": n_train})
        loss = items_of(heldout(T, 8.0 * n_train), 48, np.random.default_rng(0), noise=0.02)
        on_purpose.append(written(tmp_path, facts, [curve("heldout_loss", T, loss)]))
    assert Study.of(on_purpose).cautions == ()


def test_a_forecast_from_full_batches_or_as_wide_as_a_guess_says_so():
    def said(onsets, n_train=128):
        law = fit_law(onsets, prior=usual_prior())
        return " ".join(of_a_forecast(Forecast("tau_val", n_train, law.predict(n_train), law=law)))

    assert "no larger than the batch size" in said([onset(8, 60), onset(16, 130)], 64)
    assert said([onset(32, 250), onset(32, 262), onset(64, 500), onset(64, 510)]) == ""
    for within in (8, 32, 64):
        told = said([onset(32, 250), onset(32, 262), onset(64, 500), onset(64, 510)], within)
        assert told.startswith(f"P = {within} is no larger than the largest pilot (P = 64): nothing is extrapolated")
    (wide,) = of_a_forecast(Forecast("tau_val", 128, Interval(500.0, 10.0, 4500.0, 0.9)))
    assert "spans a factor of 450, which says next to nothing" in wide


# --- chance from few held-out items -----------------------------------------------------------------------------------


def test_eight_heldout_items_leave_chance_between_0_and_37_percent():
    assert "0 % [0 %, 37 %]" in few_heldout(8)
    assert few_heldout(FEWEST_HELDOUT) == ""
    assert few_heldout(FEWEST_HELDOUT - 1) != ""


def test_a_study_that_counted_copies_against_few_heldout_items_says_so(tmp_path):
    def counted(n_heldout: int) -> RunHeader:
        facts = header(64)
        return facts.model_copy(update={"data": facts.data.model_copy(update={"n_heldout": n_heldout})})

    none = share_curve("copy_fraction_chance", T, [0] * len(T), 8)
    assert few_heldout(8) in Study.of([written(tmp_path, counted(8), [none])]).cautions
    assert not Study.of([written(tmp_path, counted(8), [])]).cautions  # no copies were counted
    assert not Study.of([written(tmp_path, counted(512), [none])]).cautions
    assert "data.n_heldout" not in few_heldout(8)  # a scan knows no keys of experiments
    of_lab = counted(8).model_copy(update={"experiment": {"twins": False}})
    assert few_heldout(8, "data.n_heldout") in Study.of([written(tmp_path, of_lab, [none])]).cautions


# --- runs that do not belong together ---------------------------------------------------------------------------------


def test_several_experiments_in_one_study_are_named(tmp_path):
    other = run(tmp_path, 32).header.model_copy(update={"name": "another"})
    records = [run(tmp_path, 64), written(tmp_path, other, [])]
    assert any("Several experiments in one (another, study)" in said for said in Study.of(records).cautions)


def test_runs_of_one_name_and_two_recipes_are_told_apart_but_not_by_how_long_they_took(tmp_path):
    def made(n_train: int, **training):
        return written(tmp_path, header(n_train, experiment={"training": {"learning_rate": 1e-3, **training}}), [])

    (said,) = Study.of([made(32), made(64, learning_rate=3e-3)]).cautions
    assert "training.learning_rate is 0.001, in another run it is 0.003" in said
    assert Study.of([made(32), made(64, min_steps=9)]).cautions == ()


def test_a_run_that_is_there_twice_is_named(tmp_path):
    records = [run(tmp_path, 64), run(tmp_path, 64, tau=9.0), run(tmp_path, 128)]
    assert any(said.startswith("Counted more than once: study P=64 seed=0.") for said in Study.of(records).cautions)


def test_a_copy_of_a_run_is_no_more_evidence(tmp_path):
    records = [run(tmp_path, 64), run(tmp_path, 128)]
    copies = [run(tmp_path, 64), run(tmp_path, 128)]
    assert Study.of([*records, *copies]).to_json() == Study.of(records).to_json()


def test_sizes_that_no_run_has_cannot_be_kept_out(tmp_path):
    (said,) = Study.of([run(tmp_path, 64), run(tmp_path, 128)], excluded={7}).cautions
    assert said == "No run has P = 7, which was to be kept out of the fits."


# --- what may be claimed, and what is missing -------------------------------------------------------------------------


def test_two_onsets_at_one_size_carry_no_law_with_a_fixed_exponent_either():
    onsets = [onset(16, 780), onset(16, 800), *(onset(n, 900, "right") for n in (32, 64))]
    (clock,) = ClockLaw.of_each(onsets, floor=False, confidence=0.9)
    assert (clock.free, clock.linear, clock.drawn) == (None, None, None)
    assert "located at one size only (P = 16)" in clock.why_not(1.0)
    assert fit_law(onsets).sizes == (16, 32, 64)  # who asks for it by itself has it


def test_clocks_that_lack_the_same_are_named_in_one_sentence():
    onsets = [onset(p, 100, "right", clock) for clock in ("tau_copy[0.05]", "tau_copy[0.1]") for p in (32, 64)]
    onsets += [onset(32, 200, clock="tau_val"), onset(64, 400, "right", "tau_val")]
    clocks = ClockLaw.of_each(onsets, floor=False, confidence=0.9)
    (said,) = without_law(clocks, None)
    assert said == (
        "No law for tau_copy[0.05], tau_copy[0.1] (each 0 of 2 located); tau_val (1 of 2 located, at P = 32): a law "
        "needs located onsets at 2 or more sizes. Train longer, or at more sizes."
    )


def test_what_is_to_be_done_depends_on_where_the_onsets_lie():
    def said(censored):
        return next(without_law(ClockLaw.of_each([onset(32, 9, censored)], floor=False, confidence=0.9), None))

    assert "Train longer" in said("right")
    assert "Look earlier" in said("left")
    assert "Make runs at more sizes" in said("no")


def test_losses_that_are_means_alone_are_told_what_they_lack_rather_than_to_train_longer(tmp_path):
    whole = curve("heldout_loss", T, items_of(heldout(T, 500.0), 8, np.random.default_rng(0)))
    scalar = Curve(**{**whole.__dict__, "items": None})
    record = written(tmp_path, header(), [scalar])
    (said,) = Study.of([record]).unread(("tau_gen", "tau_val"))
    assert said.startswith("tau_gen, tau_val could not be read: they need a held-out loss with the loss of each item")
    assert "means alone" in said
    assert "Estimate(..., items=[...])" in said
    assert "rain longer" not in said


def test_too_few_looks_are_counted(tmp_path):
    whole = curve("heldout_loss", T[:3], items_of(heldout(T[:3], 500.0), 8, np.random.default_rng(0)))
    (said,) = Study.of([written(tmp_path, header(), [whole])]).unread(("tau_val",))
    assert "the runs here have 3 looks. Train longer, or look more often" in said


def test_runs_and_pairs_are_listed_by_size_whatever_their_experiment(tmp_path):
    names = {64: "a", 32: "b", 16: "a"}
    records = []
    for n_train, name in names.items():
        for half in "ba":
            records.append(written(tmp_path, header(n_train, half=half).model_copy(update={"name": name}), []))
    study = Study.of(records)
    assert [r.header.data.n_train for r in study.records] == [16, 16, 32, 32, 64, 64]
    assert [a.header.data.n_train for a, _ in study.twins] == [16, 32, 64]


@pytest.mark.parametrize("wrong", ["folder", 3, None, ["folder"]])
def test_what_is_no_run_is_refused_in_words(wrong):
    from taumem.analysis import find_onsets, find_twins

    for take in (find_onsets, find_twins, Study.of):
        with pytest.raises(ConfigError, match=r"runs are wanted, such as read_runs\(FOLDER\) gives"):
            take(wrong)
