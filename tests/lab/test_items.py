"""Items of recorded runs: made again from the record, and asked about."""

import json

import numpy as np
import pytest
import torch

from taumem.analysis import find_item_onsets, order_of_items
from taumem.cli import main
from taumem.errors import RecordError
from taumem.lab import load_experiment, make_study
from taumem.lab.items import isolation_of, training_items
from taumem.lab.plan import plans_of
from taumem.record import RunRecord, read_runs

CHANGES = (
    "n_train=[24]",
    "training.min_steps=600",
    "training.steps_per_example=0",
    "monitor.n_samples=0",
    "monitor.n_heldout_items=64",
    "data.n_items=512",
    "data.n_heldout=128",
    "model.width=64",
)


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """The same two runs, without and with the isolation of items in their records."""
    folder = tmp_path_factory.mktemp("items")
    for name, more in (("without", ()), ("with", ("monitor.items=true",))):
        torch.manual_seed(0)
        make_study(load_experiment("mixture", (*CHANGES, *more)), folder / name, workers=1)
    return folder


@pytest.mark.slow
def test_training_items_are_made_again_from_the_record_alone(studies):
    run = read_runs(studies / "without")[0]
    (plan, *_) = plans_of(load_experiment("mixture", CHANGES))
    assert training_items(run).equal(plan.prepare().split.train)
    other = run.header.model_copy(update={"data": run.header.data.model_copy(update={"fingerprint": "0"})})
    with pytest.raises(RecordError, match="other data"):
        training_items(RunRecord.of(other, run.measurements))
    with pytest.raises(RecordError, match="no run of the laboratory"):
        training_items(RunRecord.of(run.header.model_copy(update={"experiment": {}}), run.measurements))


@pytest.mark.slow
def test_isolation_that_a_record_lacks_is_that_which_it_would_have_kept(studies):
    for lacking, kept in zip(read_runs(studies / "without"), read_runs(studies / "with"), strict=True):
        assert np.allclose(isolation_of(lacking).curve("isolation").items[-1], kept.curve("isolation").items[-1])
        assert isolation_of(kept) is kept


@pytest.mark.slow
def test_total_memorization_flags_every_item_and_the_exact_denoiser_none(studies):
    """The losses of the optimum on the training set, and on the distribution, in the place of the networks'."""
    from taumem.data import GaussianMixture
    from taumem.diffusion import GaussianDiffusion
    from taumem.models import EmpiricalDenoiser, MixtureDenoiser
    from taumem.monitor import LogCadence, Monitor
    from taumem.probes import LossGap

    diffusion, runs = GaussianDiffusion(), read_runs(studies / "without")
    sets = [training_items(run) for run in runs]
    heldout = GaussianMixture.two_modes(8).sample(64, torch.Generator().manual_seed(5))
    exact = MixtureDenoiser(diffusion, GaussianMixture.two_modes(8))
    for name, expected in (("empirical", 24), ("exact", 0)):
        records = []
        for run, (own, other) in zip(runs, (sets, sets[::-1]), strict=True):
            record = RunRecord.open(studies / f"{name}-{run.header.half}", run.header)
            probe = LossGap(diffusion, {"train": own, "heldout": heldout, "twin": other}, times=(0.15,))
            monitor = Monitor(record, [probe], cadence=LogCadence(1, 1))
            for step in 2 ** np.arange(10):
                # As if it had memorized from the fifth look on.
                model = EmpiricalDenoiser(diffusion, own) if name == "empirical" and step > 16 else exact
                monitor.look(model, int(step), int(step) * 16)
            record.close()
            records.append(RunRecord.read(record.path))
        assert [found.n_located for found in find_item_onsets(records)] == [expected] * 2


@pytest.mark.slow
def test_the_verb_lists_the_items_that_go_first_and_says_what_they_have_in_common(studies, capsys, tmp_path):
    with pytest.raises(SystemExit) as left:
        main(["items", str(studies / "without"), "--json", "-o", str(tmp_path / "items.json")])
    assert not left.value.code
    said = json.loads(capsys.readouterr().out)
    assert len(said["runs"]) == 2
    assert {"item", "step", "low", "high", "censored", "unseen", "isolation"} == set(said["runs"][0]["items"][0])
    assert set(said["orders"]["P = 24"]["correlations"]) == {"isolation", "unseen"}
    assert json.loads((tmp_path / "items.json").read_text()) == said
    found = find_item_onsets([isolation_of(run) for run in read_runs(studies / "without")])
    assert order_of_items(found).to_json() == said["orders"]["P = 24"]
    with pytest.raises(SystemExit):
        main(["items", str(studies / "without"), "--first", "3"])
    out = capsys.readouterr().out
    assert "rank correlation of the onset" in out
    assert "which nobody trained on, it should hold 0" in out


@pytest.mark.slow
def test_the_verb_says_what_its_columns_are_and_has_none_that_is_empty(studies, capsys):
    both, alone = (studies / "without", studies / "without" / "P000024-seed0-a")
    for place, has_twin in ((both, True), (alone, False)):
        with pytest.raises(SystemExit):
            main(["items", str(place)])
        out = capsys.readouterr().out
        for said in (
            "Memorized: items whose",
            "Half: on which",
            "Isolation: an item's distance",
            "False onsets: held-out",
        ):
            assert said in out
        for said in ("Unseen: an item's loss under", "unseen, held-out items", "Unseen, held-out items: of those"):
            assert (said in out) == has_twin


@pytest.mark.slow
def test_the_verb_names_the_reason_why_runs_have_no_onsets_of_items(studies, tmp_path, capsys):
    run = RunRecord.read(studies / "without" / "P000024-seed0-a")
    short = RunRecord.open(tmp_path / "short", run.header.model_copy(update={"half": None}))
    short.append(m for m in run.measurements if m.step <= run.steps[8])
    short.close()
    with pytest.raises(SystemExit) as left:
        main(["items", str(tmp_path / "short")])
    assert left.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "short: " in said
    assert "looks from the middle of the first learning on" in said
    with pytest.raises(SystemExit) as left:
        main(["items", str(tmp_path / "short"), str(studies / "without")])
    assert not left.value.code
    captured = capsys.readouterr()
    assert "note: some runs have no onsets of single items: " in captured.err
    assert "Half:" in captured.out


@pytest.mark.slow
def test_a_page_shows_them_with_the_pictures_of_items_that_samples_came_near(studies):
    from taumem import Study
    from taumem.report.sections import items as shown

    (section,) = shown.section(Study.of(read_runs(studies / "with")))
    assert [panel.key for panel in section.panels] == ["items-isolation", "items-unseen"]
    assert section.shown["firsts"][0].items.count("(") == 12
