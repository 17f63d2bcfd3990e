"""The page of an audit: self-contained, escaped, as much as the record says, and silent about what it must not say."""

import json
import re

import pytest
from planted_audit import COMMAND, NASTY, audit_of, copies
from plotly.offline import get_plotlyjs
from reading import Page

from taumem.record.audit import AuditRecord, AuditVerdict, Bounds, Duplicates, Histogram, NotRun
from taumem.report.audit_page import audit_page_of, write_audit_page
from taumem.report.audit_sections.pairs import ALL_STOPS, MORE_STOPS, MOST_PAIRS, stops_of
from taumem.report.redacted import redacted

PLOTLY = get_plotlyjs()


@pytest.fixture(scope="module", params=["images", "texts", "vectors"])
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def audit_page(kind) -> Page:
    return Page(audit_page_of(audit_of(kind), reproduce=COMMAND, verify="taumem audit --verify audit"))


def json_of(page: Page, name: str) -> dict:
    return json.loads(re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page.html).group(1))


def matches(page: Page) -> list[dict]:
    return [a for tag, a in page.tags if tag == "figure" and "match" in (a.get("class") or "").split()]


def test_nothing_is_loaded_from_anywhere(audit_page):
    for tag, attributes in audit_page.tags:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith("data:"), (tag, name, value)
    styles = "".join(re.findall(r"<style>(.*?)</style>", audit_page.html, re.DOTALL))
    assert "url(" not in styles
    assert "@import" not in styles


def test_plotly_is_there_once_and_the_page_is_light(audit_page):
    assert len(re.findall(r"plotly\.js v\d", audit_page.html)) == 1
    assert len(audit_page.html.encode()) < 5.5e6


def test_all_that_the_record_says_is_on_the_page(audit_page):
    record = audit_of()
    said = [
        record.verdict.sentence,
        record.power.sentence,
        "12 of 500",
        "0 of 200",
        "1.2 % to 4.2 %",
        "3.20e-07",
        "gap<1/4",
        "C_T (Meehan et al. 2020)",
        "-3.41",
        "cell 2: -4.90",
        "far below 0",
        "0.530 [0.480, 0.570]",
        "0 of 200 are flagged",
        "measures power",
        "passed",
        "differ with p = 0.400",
        "11",
        "1.80 expected",
        "1,980 groups of 2,000",
        "Membership: no losses were given.",
        "a" * 16,
        "samples/x.png",
        "gap<1/3",
        COMMAND,
        "taumem audit --verify audit",
        "no statement about privacy",
    ]
    missing = [words for words in said if words not in audit_page.words]
    assert not missing
    assert "undefined" not in audit_page.words.lower()
    assert audit_page.sections == [
        "found", "pairs", "histogram", "phantoms", "partial", "scores", "controls", "duplicates", "unchecked", "made"
    ]  # fmt: skip


def test_it_is_said_which_intervals_are_one_sided_and_which_hold_together():
    words = Page(audit_page_of(audit_of())).words
    assert "Intervals are two-sided, 95 % each" in words
    assert "exclusions one-sided" in words
    assert "for all thresholds at once, with probability 95 %" in words


def test_privacy_is_never_claimed(audit_page):
    assert len(re.findall("privacy|private|anonym", audit_page.words)) == 1


def test_names_that_try_to_break_the_page_do_not(audit_page):
    assert "<script>alert" not in audit_page.html
    assert "<script>alert(1)</script>\"'&\\n\\udcff.png" in audit_page.words
    audit_page.html.encode()


def test_every_string_of_a_record_is_escaped(kind):
    content = audit_of(kind).model_dump()
    content["pairs"] = [pair.model_dump() for pair in audit_of(kind).pairs[:2]]

    def spoiled(value: object, key: str = "") -> object:
        if isinstance(value, str):
            return value if key in ("state", "source", "kind") or key.endswith("_image") else f"{value}{NASTY}"
        if isinstance(value, dict):
            return {k: spoiled(v, k) for k, v in value.items()}
        return [spoiled(v, key) for v in value] if isinstance(value, (list, tuple)) else value

    record = AuditRecord.model_validate(spoiled(content))
    page = Page(audit_page_of(record, reproduce=NASTY, verify=NASTY))
    assert "<script>alert" not in page.html
    assert page.words.count("alert(1)") > 30
    assert json_of(page, "audit-record")["n_train"] == record.n_train
    assert len(matches(page)) == 2


def test_the_pairs_are_the_most_suspicious_first_and_capped(audit_page):
    scores = [float(match["data-score"]) for match in matches(audit_page)]
    record = audit_of("vectors")
    assert scores == sorted(pair.score for pair in record.pairs)[:MOST_PAIRS]
    flagged = [match for match in matches(audit_page) if "flagged" in match["class"]]
    assert len(flagged) == record.flagged.count


def test_images_are_shown_with_their_difference_and_texts_aligned():
    page = Page(audit_page_of(audit_of("images")))
    pictures = [a for tag, a in page.tags if tag == "img"]
    assert len(pictures) == 3 * MOST_PAIRS + 2 * MOST_PAIRS // 3  # in views that are not as it is
    assert all(a["alt"] for a in pictures)
    page = Page(audit_page_of(audit_of("texts")))
    assert [a for tag, a in page.tags if tag == "mark" and a.get("class") == "differs"]
    assert [a for tag, a in page.tags if tag == "mark" and a.get("class") == "verbatim"]


def test_the_slider_stops_at_thresholds_with_their_bounds(audit_page):
    record, stops = audit_of(), json_of(audit_page, "stops")
    (slider,) = [a for tag, a in audit_page.tags if tag == "input"]
    assert (slider["type"], slider["min"], slider["max"]) == ("range", "0", str(len(stops["score"]) - 1))
    assert stops["found"][int(slider["value"])] == record.copies.count
    known = dict(zip(record.bounds.thresholds, zip(record.bounds.found, record.bounds.false, strict=True), strict=True))
    for score, found, false in zip(stops["score"], stops["found"], stops["false"], strict=True):
        assert known[score] == (found, false)
    # For those who do not see it move: named, described, and told aloud; and as a table.
    assert "threshold" in [a.get("for") for tag, a in audit_page.tags if tag == "label"]
    assert [a for tag, a in audit_page.tags if tag == "output" and a.get("aria-live") == "polite"]
    assert "The same as a table" in audit_page.words


def test_many_thresholds_are_thinned_but_the_lowest_stay():
    n = 10_000
    bounds = Bounds(
        confidence=0.95,
        thresholds=tuple(k / n for k in range(n)),
        found=tuple(range(1, n + 1)),
        false=tuple(range(1, n + 1)),
    )
    stops = stops_of(bounds, bounds.thresholds[4320])
    assert ALL_STOPS < len(stops) <= ALL_STOPS + MORE_STOPS + 1
    assert 4321 in [stop["found"] for stop in stops]
    assert [stop["found"] for stop in stops[:ALL_STOPS]] == list(range(1, ALL_STOPS + 1))
    assert stops[-1]["found"] == n


def opening_of(record: AuditRecord) -> dict:
    page = Page(audit_page_of(record))
    (slider,) = [a for tag, a in page.tags if tag == "input"]
    return {key: column[int(slider["value"])] for key, column in json_of(page, "stops").items()}


def by_rule(name: str, threshold: float | None, count: int, n_flagged: int) -> AuditRecord:
    """A planted audit whose rule is this one, by which so many of the lowest scores are copies."""
    rule = audit_of().rules[0].model_copy(update={"name": name, "threshold": threshold})
    share = copies(count).model_copy(update={"rule": rule.sentence})
    flagged = audit_of().flagged.model_copy(update={"count": n_flagged})
    pairs = [
        pair.model_copy(update={"copied": k < count, "flagged": k < n_flagged})
        for k, pair in enumerate(audit_of("vectors").pairs)
    ]
    return audit_of("vectors", rules=(rule,), copies=share, flagged=flagged, pairs=tuple(pairs))


@pytest.mark.slow
@pytest.mark.parametrize("n_flagged", [0, 11])
def test_the_slider_opens_at_the_threshold_of_the_gap_rule(n_flagged):
    thresholds = audit_of().bounds.thresholds
    opening = opening_of(by_rule("gap<1/3", 1 / 3, 70, n_flagged))
    assert opening["score"] == max(score for score in thresholds if score < 1 / 3)
    assert opening_of(by_rule("gap<1/300", 1 / 300, 0, n_flagged)) == {"score": 1 / 300, "found": 0, "false": 0}
    assert opening_of(by_rule(f"gap<={thresholds[4]}", thresholds[4], 5, n_flagged))["found"] == 5


@pytest.mark.slow
def test_the_slider_opens_where_the_copies_of_other_rules_are_in_or_else_the_flags():
    assert opening_of(by_rule("edit<=0.05", 0.05, 7, 0))["found"] == 7
    assert opening_of(by_rule("identical", 0.0, 0, 9))["found"] == 9
    assert opening_of(by_rule("carlini<1/2", 0.5, 400, 9))["found"] == 9  # the gallery does not hold all
    assert opening_of(by_rule("carlini<1/2", 0.5, 400, 200))["found"] == 200
    assert opening_of(by_rule("identical", 0.0, 0, 0)) == {"score": 0.0, "found": 0, "false": 0}


def test_an_audit_of_nothing_much_gives_a_page():
    bare = audit_of(
        "vectors",
        pairs=(),
        rules=(),
        phantoms=None,
        scores={},
        partial=(),
        controls=(),
        bounds=Bounds(confidence=0.95, thresholds=(), found=(), false=()),
        histogram=Histogram(edges=(0.0, 1.0), generated=(0,), null=(0,)),
        exchangeability_p=None,
        copies=audit_of().copies.model_copy(update={"chance": None, "p": None}),
        findings={},
    )
    page = Page(audit_page_of(bare))
    assert page.sections == ["found", "controls", "duplicates", "unchecked", "made"]
    assert "No control was run" in page.words


def test_a_verdict_that_is_withheld_says_why():
    verdict = AuditVerdict(
        state="withheld", sentence="No verdict: the control failed.", p=None, withheld=("the control failed",)
    )
    page = Page(audit_page_of(audit_of(verdict=verdict)))
    assert re.search(r"<h1>(.*?)</h1>", page.html).group(1).startswith("No verdict")
    assert "Why there is no verdict" in page.words
    assert "The control failed." in page.words


def test_what_speaks_against_an_audit_stands_at_its_top():
    assert "Before you believe it" not in Page(audit_page_of(audit_of())).words
    duplicates = Duplicates(train_identical=0, train_near=0, n_groups=2000, rule="near", heldout_near=3)
    page = Page(audit_page_of(audit_of(exchangeability_p=0.001, duplicates=duplicates)))
    head = page.words[: page.words.index("What was found")]
    for words in ("Before you believe it", "p = 0.00100", "3 held-out items are near-duplicates of training items"):
        assert words in head


def test_motifs_are_shown_and_left_out_of_a_redacted_page():
    record = audit_of("texts", motifs=({"text": "a secret phrase", "n_samples": 31, "n_heldout": 1, "q": 0.001},))
    words = Page(audit_page_of(record)).words
    assert "a secret phrase" in words
    assert re.search(r"text\s*samples\s*held-out\s*q\s*a secret phrase\s*31\s*1\s*0.00100", words)
    assert "secret" not in audit_page_of(record, redact=True).replace(PLOTLY, "")


# --- redacted pages ---------------------------------------------------------------------------------------------------


def test_a_redacted_page_holds_no_picture_no_text_and_no_name(kind):
    record = audit_of(
        kind,
        settings={
            "groups": "secret/groups.csv",
            "features": "mine.py:secret",
            "rule": "gap<1/3",
            "orbit": "full",
            "q": 0.05,
        },
        not_run=(NotRun(what="samples/00002.png", why="patients/train/Jane Doe 6.png has no loss."),),
    )
    page = Page(audit_page_of(record, redact=True, reproduce=COMMAND, verify="taumem audit --verify secret"))
    html = page.html.replace(PLOTLY, "")
    contents = [str(pair.train_text)[:12] for pair in record.pairs if pair.train_text]
    for secret in ("Jane", "Doe", ".png", "patients", "data:image", "alert(1)", "secret", "heldout/", *contents):
        assert secret not in html, secret
    assert not [tag for tag, _ in page.tags if tag == "img"]
    for words in ("sample 0", "training item 3", "gap<1/3", "12 of 500", record.verdict.sentence, "a" * 16):
        assert words in page.words, words
    assert len(matches(page)) == MOST_PAIRS


def test_redacting_keeps_every_number(kind):
    record = audit_of(kind)
    clear = redacted(record)
    assert clear.copies == record.copies
    assert clear.bounds == record.bounds
    assert [p.score for p in clear.pairs] == [p.score for p in record.pairs]
    assert redacted(clear).model_dump() == clear.model_dump()


def test_the_json_in_the_page_is_the_record_without_the_pairs(audit_page):
    read = json_of(audit_page, "audit-record")
    record = AuditRecord.model_validate(read)
    assert record.model_dump() == audit_of("vectors").model_copy(update={"inputs": record.inputs}).model_dump()
    assert "pairs" not in read


def test_the_page_is_written_where_it_is_asked_for(tmp_path):
    path = tmp_path / "audit" / "report.html"
    assert write_audit_page(path, audit_of("vectors"), reproduce=COMMAND) == path
    assert path.read_text(encoding="utf-8") == audit_page_of(audit_of("vectors"), reproduce=COMMAND)


def test_planted_records_survive_being_written(tmp_path, kind):
    record = audit_of(kind)
    record.write(tmp_path)
    assert AuditRecord.read(tmp_path) == record
    assert len(record.pairs) > MOST_PAIRS
