"""Audits of planted truth: what is there is found, what is not is not, and the record says how it knows."""

import base64
import csv
import io
import json
import re

import numpy as np
import pyarrow.parquet
import pytest
import torch
from pictures import fresh, noisy
from PIL import Image

from taumem.audit import audit, kept
from taumem.audit.repeats import with_kin
from taumem.cli.audit_tables import show_audit
from taumem.errors import ConfigError, DataError
from taumem.record.audit import AuditRecord
from taumem.report.audit_page import write_audit_page

TRAIN, HELDOUT, NOVEL = fresh(80, 1), fresh(120, 2), fresh(60, 3)
COPIES = torch.cat([TRAIN[:10], noisy(TRAIN[10:20], 8), TRAIN[20:30].flip(3)])


@pytest.fixture(scope="module")
def of_copies():
    return audit(torch.cat([NOVEL, COPIES]), TRAIN, HELDOUT, orbit="light")


@pytest.fixture(scope="module")
def of_novel():
    return audit(NOVEL, TRAIN, HELDOUT, orbit="light")


def test_planted_copies_are_found_flagged_and_named(of_copies):
    record = of_copies
    assert record.verdict.state == "copies"
    assert record.copies.count == 30
    assert record.copies.chance.count == 0
    assert record.copies.p < 1e-6
    assert record.flagged.count >= 30
    assert {pair.row for pair in record.pairs[:30]} == set(range(60, 90))
    assert all(pair.nearest == pair.row - 60 for pair in record.pairs[:30])
    assert {pair.way for pair in record.pairs if pair.row >= 80} <= {"mirrored", "mirrored, relit"}


def test_samples_that_copy_nothing_come_out_clean(of_novel):
    assert of_novel.verdict.state == "none_found"
    assert of_novel.copies.count == 0
    assert of_novel.flagged.count == 0
    assert "excluded at 95 %" in of_novel.verdict.sentence


def test_matches_lie_on_the_training_side_alone(of_copies):
    phantoms = of_copies.phantoms
    assert (phantoms.matched_train, phantoms.matched_heldout) == (30, 0)
    assert phantoms.expected_heldout == pytest.approx(30 * 120 / 200)
    assert phantoms.p < 1e-6


def test_the_bound_holds_for_the_truth_at_every_threshold(of_copies):
    bounds = of_copies.bounds
    score = {pair.row: pair.score for pair in of_copies.pairs}
    for threshold, found, false in zip(bounds.thresholds, bounds.found, bounds.false, strict=True):
        if threshold <= max(score.values()):
            truly_false = sum(1 for row, value in score.items() if value <= threshold and row < 60)
            assert truly_false <= false <= found


def test_controls_are_part_of_every_audit(of_copies, of_novel):
    for record in (of_copies, of_novel):
        found = {control.name: control for control in record.controls}
        assert found["negative"].passed
        assert found["alike"].passed
        for name in ("positive", "positive, mirrored", "positive, darkened by 30 %"):
            assert found[name].count == found[name].n
        assert found["positive, upside down"].count == 0  # no view has it


@pytest.mark.slow
def test_without_heldout_items_training_items_stand_in_and_what_needs_them_is_not_run():
    record = audit(torch.cat([NOVEL, COPIES]), TRAIN, orbit="light")
    assert record.verdict.state == "copies"
    assert record.copies.chance.source == "left_out"
    assert record.phantoms is None
    assert {reason.what for reason in record.not_run} >= {"phantom matches", "c_t, closer_to_train, nn_divergence"}


@pytest.mark.slow
def test_a_near_duplicate_in_the_training_set_hides_no_copy():
    train = torch.cat([TRAIN, noisy(TRAIN[:20], 3)])
    record = audit(torch.cat([NOVEL, TRAIN[:20]]), train, HELDOUT, orbit="none")
    assert record.duplicates.n_groups == len(TRAIN)
    assert record.copies.count == 20


@pytest.mark.slow
def test_duplicates_are_counted_and_heldout_ones_left_out():
    record = audit(torch.cat([NOVEL, NOVEL[:5]]), TRAIN, torch.cat([HELDOUT, TRAIN[:7]]), orbit="none")
    found = record.duplicates
    assert (found.heldout_identical, found.generated_identical, found.generated_distinct) == (7, 5, len(NOVEL))
    assert record.n_heldout == len(HELDOUT)
    assert record.controls[0].passed


@pytest.mark.slow
def test_heldout_items_that_repeat_as_training_items_do_stay_since_new_items_would():
    record = audit(NOVEL, torch.cat([TRAIN, TRAIN[:20]]), torch.cat([HELDOUT, TRAIN[:7]]), orbit="none")
    assert (record.duplicates.train_identical, record.duplicates.heldout_identical) == (20, 7)
    assert record.n_heldout == len(HELDOUT) + 7


@pytest.mark.slow
def test_near_duplicates_on_both_sides_are_counted_and_no_phantoms():
    heldout = torch.cat([HELDOUT, noisy(TRAIN[:30], 2)])
    record = audit(torch.cat([NOVEL, noisy(TRAIN[:30], 2, 7)]), TRAIN, heldout, orbit="none")
    assert record.duplicates.heldout_near == 30
    assert record.phantoms.n_train == len(TRAIN) - 30
    assert (record.phantoms.matched_train, record.phantoms.matched_heldout) == (0, 0)
    assert record.verdict.state == "withheld"


@pytest.mark.slow
def test_a_model_that_repeats_one_accident_is_not_said_to_copy():
    accident = next(item for item in NOVEL)  # any sample will do: its gap is made small by hand
    train = torch.cat([TRAIN, noisy(accident[None], 25)])
    record = audit(torch.cat([NOVEL[1:], noisy(accident.repeat(40, 1, 1, 1), 1)]), train, HELDOUT, orbit="none")
    assert record.duplicates.generated_distinct == len(NOVEL)
    assert record.copies.p > 0.05


@pytest.mark.slow
def test_flat_pictures_of_any_brightness_are_no_copies_of_each_other():
    flat = torch.linspace(-0.9, 0.9, 30)[:, None, None, None].expand(30, 1, 16, 16)
    train = torch.cat([TRAIN, flat[:15] + 0.004])
    record = audit(torch.cat([NOVEL, flat[15:]]), train, HELDOUT, orbit="light")
    assert record.copies.count == 0


def test_texts_that_tie_on_both_sides_match_neither():
    generator = torch.Generator().manual_seed(0)

    def lines(n):
        return [f"the reading of sensor {k:03d} was taken" for k in torch.randint(1000, (n,), generator=generator)]

    record = audit(lines(200), lines(300), lines(300))
    assert record.phantoms.p > 0.01
    assert record.verdict.state != "copies"


def test_lines_that_repeat_by_nature_are_no_copies():
    generator = torch.Generator().manual_seed(0)
    weights = 1 / torch.arange(1, 400, dtype=torch.float64)

    def lines(n):
        return [f"line {k} of a log" * 2 for k in torch.multinomial(weights, n, True, generator=generator).tolist()]

    for heldout in (lines(300), None):
        assert audit(lines(300), lines(400), heldout).verdict.state != "copies"


@pytest.mark.slow
def test_items_of_one_group_count_as_one_and_shared_groups_are_not_held_out():
    train = torch.cat([TRAIN, noisy(TRAIN[:10], 30)])  # two pictures of one patient, too far apart to be told
    groups = ([f"p{k}" for k in range(80)] + [f"p{k}" for k in range(10)], [f"h{k // 2}" for k in range(120)])
    groups[1][:4] = ["p1", "p1", "p2", "p2"]
    record = audit(torch.cat([NOVEL, TRAIN[:10]]), train, HELDOUT, groups=groups, orbit="none")
    assert record.duplicates.n_groups == 80
    assert record.duplicates.heldout_grouped == 4
    assert record.phantoms.n_heldout == 58
    assert record.copies.count == 10


@pytest.mark.slow
def test_the_same_settings_give_the_same_record_and_the_random_states_stay(of_novel):
    again = audit(NOVEL, TRAIN, HELDOUT, orbit="light")
    assert again.model_dump(exclude={"made"}) == of_novel.model_dump(exclude={"made"})


@pytest.mark.slow
def test_a_verdict_is_withheld_where_the_heldout_items_are_not_fresh():
    poisoned = torch.cat([HELDOUT[:60], noisy(TRAIN[:60], 1)])
    few = audit(NOVEL[:10], TRAIN, HELDOUT, orbit="none")
    assert few.verdict.state == "withheld"
    assert "samples would do" in few.verdict.sentence
    record = audit(torch.cat([NOVEL, COPIES]), TRAIN, poisoned, orbit="none")
    assert record.verdict.state != "none_found"
    assert record.copies.chance.fraction > 0.3


@pytest.mark.slow
def test_files_hold_one_row_for_each_sample_and_the_record_reads_back(tmp_path):
    record = audit(torch.cat([NOVEL, COPIES]), TRAIN, HELDOUT, orbit="none", output=tmp_path)
    with (tmp_path / "findings.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    table = pyarrow.parquet.read_table(tmp_path / "findings.parquet").to_pydict()
    assert len(rows) == record.n_generated == len(table["score"])
    assert [float(row["score"]) for row in rows] == table["score"] == sorted(table["score"])
    assert sum(table["flagged"]) == record.flagged.count
    assert sum(table["copied"]) == record.copies.count
    assert AuditRecord.read(tmp_path) == record
    assert "data:image" not in (tmp_path / "audit.json").read_text()
    content = json.loads((tmp_path / "audit.json").read_text())
    assert {"n_train", "n_generated", "n_heldout", "copies", "flagged", "scores", "power", "not_run"} <= set(content)
    assert {"count", "fraction", "low", "high", "chance", "rule"} <= set(content["copies"])
    assert {"c_t", "authpct", "closer_to_train"} <= set(content["scores"])


@pytest.mark.slow
def test_what_is_redacted_shows_neither_names_nor_contents(tmp_path):
    folder = tmp_path / "secret"
    folder.mkdir()
    np.save(folder / "private.npy", ((torch.cat([NOVEL, COPIES]) + 1) * 127.5).round().byte().numpy()[:, 0])
    record = audit(folder / "private.npy", TRAIN, HELDOUT, orbit="none", output=tmp_path / "out", redact=True)
    assert all(pair.sample_image is None for pair in record.pairs)
    for name in ("findings.csv", "gallery.json"):
        assert "private" not in (tmp_path / "out" / name).read_text()


def test_texts_are_audited_by_edit_distance():
    words = ["alpha", "beta", "gamma", "delta", "omega", "sigma", "kappa", "theta", "zeta", "iota", "rho", "tau"]
    generator = torch.Generator().manual_seed(0)
    lines = [" ".join(words[k] for k in torch.randint(12, (9,), generator=generator).tolist()) for _ in range(240)]
    train, heldout, novel = lines[:80], lines[80:200], lines[200:]
    record = audit([*novel, *train[:12], *(line.replace("a", "e", 1) for line in train[12:20])], train, heldout)
    assert record.verdict.state == "copies"
    assert record.copies.count == 20
    assert record.pairs[0].sample_text == record.pairs[0].train_text


def test_vectors_and_tokens_are_audited_too():
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(300, 20, generator=generator)
    record = audit(torch.cat([vectors[:40], vectors[100:140]]), vectors[:100], vectors[140:])
    assert record.copies.count == 40
    tokens = torch.randint(8, (300, 24), generator=generator)
    record = audit(torch.cat([tokens[:40], tokens[100:140]]), tokens[:100], tokens[140:])
    assert record.copies.count == 40


@pytest.mark.parametrize(
    ("rule", "said"),
    [(None, "at most 5 % .* of 24, 1"), ("distance<0.04", "less than 4 % .* of 24, none")],
)
def test_how_many_symbols_of_a_string_may_differ_is_said_wherever_an_audit_is_shown(rule, said, tmp_path, capsys):
    tokens = torch.randint(8, (60, 24), generator=torch.Generator().manual_seed(0))
    record = audit(torch.cat([tokens[:9], tokens[20:29]]), tokens[:20], tokens[29:], rule=rule, parts=False)
    name = rule or "distance<=0.05"
    sentence = f"By {re.escape(name)} a sample is a copy if {said}"
    write_audit_page(tmp_path / "report.html", record)
    assert re.search(sentence.replace("<", "&lt;"), (tmp_path / "report.html").read_text())
    show_audit(record)
    printed = capsys.readouterr().out
    assert re.search(sentence, printed)
    assert f"copies ({rule or 'identical'})" in printed


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"orbit": "ful"}, ConfigError, "did you mean 'full'"),
        ({"rule": "gap<3"}, ConfigError, "such as gap<1/3"),
        ({"q": 0}, ConfigError, "between 0 and 1"),
        ({"sizes": 3}, ConfigError, "did you mean 'size'"),
        ({"most_null": 1}, ConfigError, "at least 4"),
        ({"train": TRAIN[:1]}, ConfigError, "at least 2"),
        ({"train": TRAIN[:3], "heldout": None}, DataError, "Give held-out items"),
        ({"heldout": HELDOUT[:3]}, DataError, "at least 4"),
        ({"heldout": TRAIN}, DataError, "held-out"),
        ({"generated": torch.full_like(NOVEL, torch.nan)}, DataError, "NaN"),
        ({"generated": NOVEL[:, :, :8]}, DataError, "size"),
        ({"groups": (["a"], ["b"])}, DataError, "80 training items"),
    ],
)
def test_bad_input_is_told_in_a_sentence(change, error, words):
    given = {"generated": NOVEL, "train": TRAIN, "heldout": HELDOUT, "orbit": "none"} | change
    with pytest.raises(error, match=words):
        audit(given.pop("generated"), given.pop("train"), given.pop("heldout"), **given)


def test_samples_that_are_the_training_items_are_all_copies():
    record = audit(TRAIN, TRAIN, HELDOUT, orbit="none")
    assert record.copies.fraction == 1
    assert any("training items" in note for note in record.inputs["generated"].notes)


@pytest.mark.slow
def test_an_interrupted_audit_goes_on_and_comes_out_the_same(tmp_path, monkeypatch):
    generated, options = torch.cat([NOVEL, COPIES]), {"orbit": "light", "output": tmp_path}
    monkeypatch.setattr(kept, "PAIRS_AT_ONCE", 1)  # results are written after every 64 queries
    begun: list[str] = []

    def interrupt(stage: str, done: int, total: int) -> None:
        begun.append(stage)
        if stage == "null" and done > 800:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        audit(generated, TRAIN, HELDOUT, progress=interrupt, **options)
    assert len(list(tmp_path.glob("*.unfinished.npz"))) == 2
    stages: list[tuple[str, int]] = []
    record = audit(
        generated, TRAIN, HELDOUT, progress=lambda stage, done, total: stages.append((stage, done)), **options
    )
    assert [done for stage, done in stages if stage == "samples"] == [1000]  # all were there
    assert min(done for stage, done in stages if stage == "null") > 500  # the first 64 of 120 were there
    assert not list(tmp_path.glob("*.unfinished.npz"))
    unbroken = audit(generated, TRAIN, HELDOUT, orbit="light")
    assert record.model_dump(exclude={"made", "findings"}) == unbroken.model_dump(exclude={"made", "findings"})


@pytest.mark.slow
def test_what_another_audit_had_begun_is_not_taken_up(tmp_path):
    audit(NOVEL, TRAIN, HELDOUT, orbit="none", output=tmp_path)
    (tmp_path / "samples.unfinished.npz").write_bytes(b"no such file")
    record = audit(NOVEL[:40], TRAIN, HELDOUT, orbit="none", output=tmp_path)
    assert record.n_generated == 40


def test_a_file_of_features_is_opened_once(tmp_path):
    file, log = tmp_path / "mine.py", tmp_path / "opened"
    file.write_text(
        f"from pathlib import Path\nwith Path({str(log)!r}).open('a') as log:\n    log.write('x')\n\n\n"
        "def embed(images):\n    return images.flatten(1)\n"
    )
    record = audit(NOVEL, TRAIN, HELDOUT, features=f"{file}:embed")
    assert log.read_text() == "x"
    assert record.settings["features_sha256"]


@pytest.mark.slow
def test_a_few_identical_copies_are_told_where_no_other_items_equal_one_another():
    novel = fresh(300, 5)
    record = audit(torch.cat([novel, TRAIN[:2]]), TRAIN, HELDOUT, orbit="none")
    assert record.duplicates.generated_train == 2
    assert "2 of 302 samples are training items, bit for bit" in record.verdict.sentence
    assert record.verdict.state != "none_found"
    flat = torch.zeros(1, *TRAIN.shape[1:])
    black = audit(torch.cat([novel, flat.expand(2, -1, -1, -1)]), torch.cat([TRAIN, flat]), HELDOUT, orbit="none")
    assert black.duplicates.generated_train == 0
    assert "bit for bit" not in black.verdict.sentence


@pytest.mark.parametrize("seed", range(3))
def test_items_that_repeat_by_nature_are_no_copies_though_both_sides_were_freed_of_repeats(seed):
    generator = np.random.default_rng(seed)
    apart = generator.permutation(np.unique(generator.integers(0, 2, (3000, 12)), axis=0))
    record = audit(generator.integers(0, 2, (500, 12)), apart[:800], apart[800:1600])
    assert record.verdict.state != "copies"


@pytest.mark.parametrize("heldout", [True, False])
def test_log_lines_that_are_near_duplicates_of_one_another_are_no_copies(heldout):
    generator = np.random.default_rng(0)
    said = ["disk is full on", "link went down at", "fan runs slow in", "login failed for", "job was done by"]

    def lines(n):
        return [f"{said[generator.integers(5)]} {generator.integers(300)}" for _ in range(n)]

    record = audit(lines(200), lines(300), lines(200) if heldout else None, parts=False)
    assert record.verdict.state != "copies"


def test_by_their_features_clean_samples_are_clean_and_one_accident_counts_once():
    generator = torch.Generator().manual_seed(0)
    centers = torch.rand(150, 16, generator=generator) - 0.5

    def drawn(n):
        first = centers[torch.randint(150, (n,), generator=generator)] + 0.002 * torch.randn(n, 16, generator=generator)
        return torch.cat([first, torch.rand(n, 48, generator=generator) - 0.5], dim=1).view(n, 1, 8, 8)

    options = {"features": lambda x: torch.as_tensor(x).flatten(1)[:, :16], "parts": False}
    sets = drawn(100), drawn(200), drawn(200)
    record = audit(*sets, **options)
    assert next(control for control in record.controls if control.name == "alike").passed
    again = torch.cat([sets[0][:60], sets[0][:1].repeat(30, 1, 1, 1)])
    again[60:, :, 2:] = drawn(30)[:, :, 2:]  # the same first 16 numbers, other noise
    assert audit(again, *sets[1:], **options).copies.p > 0.01


@pytest.mark.slow
def test_samples_that_are_all_one_picture_say_little():
    record = audit(torch.full((200, *TRAIN.shape[1:]), -1.0), TRAIN, HELDOUT, orbit="none")
    assert record.verdict.state == "withheld"
    assert "1 distinct sample" in record.verdict.sentence


@pytest.mark.slow
def test_groups_of_one_side_alone_are_no_evidence():
    """Large groups are met more often than single items: what meets either at random must not look like copying."""
    generator = np.random.default_rng(0)
    train, heldout = fresh(300, 11), fresh(300, 12)
    groups = [f"patient {k // 10}" for k in range(300)], [f"single {k}" for k in range(300)]
    both = torch.cat([train, heldout])
    met = noisy(both[torch.from_numpy(generator.choice(600, 60, replace=False))], 8)
    assert audit(met, train, heldout, groups=groups, orbit="none").phantoms.p == 1
    without = audit(met, train, heldout, orbit="none").phantoms
    assert (without.matched_train + without.matched_heldout, without.p > 0.05) == (60, True)


def test_items_that_are_near_duplicates_by_their_features_hide_no_copy():
    def without_sides(images):
        images = torch.as_tensor(images)
        return (images + images.flip(3)).flatten(1)

    train = torch.cat([TRAIN, TRAIN[:20].flip(3)])  # in pixels, these are other items
    record = audit(torch.cat([NOVEL, noisy(TRAIN[:20], 4)]), train, HELDOUT, features=without_sides, parts=False)
    assert record.copies.count == 20


def test_kin_are_items_with_a_near_duplicate_among_training_items_of_another_unit():
    groups = np.array([0, 0, 2, 3, 3, 0, 6])  # of five training items and two held-out ones
    one_each = np.arange(7)
    assert with_kin(groups, one_each, 5).tolist() == [True, True, False, True, True, True, False]
    patients = np.array([0, 0, 2, 3, 4, 5, 6])  # the first two are of one patient
    assert with_kin(groups, patients, 5).tolist() == [False, False, False, True, True, True, False]


def test_texts_with_near_duplicates_on_both_sides_as_in_train_are_like_it():
    """Held-out items keep their near-duplicates and training items leave theirs out: that alone must not tell."""
    words = [f"w{k}" for k in range(300)]
    generator = np.random.default_rng(0)
    lines = [" ".join(generator.choice(words, 12)) for _ in range(500)]
    lines += [f"{line} {generator.choice(words)}" for line in lines[:100]]  # a sixth has a near-duplicate anywhere
    order = generator.permutation(len(lines))
    text = [lines[place] for place in order]
    record = audit(text[500:], text[:300], text[300:500], parts=False)
    assert record.duplicates.heldout_near > 10
    (alike,) = [control for control in record.controls if control.name == "alike"]
    assert alike.p > 0.05


def test_the_gallery_shows_a_sample_in_the_view_that_found_it():
    train = fresh(30, 1)
    record = audit(torch.cat([train[:6].flip(3), fresh(20, 3)]), train, fresh(40, 2), orbit="light", parts=False)
    mirrored = [pair for pair in record.pairs if pair.row < 6]
    assert {pair.way for pair in mirrored} == {"mirrored"}
    for pair in mirrored:
        sample, seen, near, apart = (
            np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))), int)
            for uri in (pair.sample_image, pair.view_image, pair.train_image, pair.difference_image)
        )
        assert np.array_equal(seen, near)
        assert np.array_equal(sample[:, ::-1], near)
        assert apart.max() == 0
    assert {pair.way for pair in record.pairs if pair.view_image is None} <= {"as it is"}
