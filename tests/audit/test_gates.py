"""Gates: read strictly, judged by exact intervals, and undecidable where items are too few."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from planted_audit import N, audit_of, copies
from scipy.stats import binom

from taumem.analysis.shares import difference_interval
from taumem.audit import audit
from taumem.audit.gates import Gate, Judged, exit_code, judge, parse_gates
from taumem.audit.measures import MEASURES, is_share
from taumem.errors import ConfigError
from taumem.record.audit import AuditRecord, AuditVerdict, Control, Flagged


@pytest.fixture(scope="module")
def record() -> AuditRecord:
    return audit_of("vectors")


def outcome(record: AuditRecord, text: str) -> Judged:
    (judged,) = judge(record, parse_gates(text))
    return judged


def with_copies(count: int, n: int = N) -> AuditRecord:
    return audit_of("vectors", copies=copies(count, n))


@pytest.mark.parametrize(
    "text",
    ["", "copies", "copies>", ">0.1", "copies>x", "copies>nan", "copies>inf", "copies==1", "copies>0.1,", "a b>1"],
)
def test_what_is_no_gate_is_refused(text):
    with pytest.raises(ConfigError, match="a gate is NAME>NUMBER, such as"):
        parse_gates(text)


def test_a_mistyped_name_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"no 'copys'.*did you mean 'copies'"):
        parse_gates("copys>0.01")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("scores.c_tt>0", r"no 'scores.c_tt': did you mean 'c_t'\? Known: authpct, c_t"),
        ("scores.nonsense>0", r"no 'scores.nonsense': Known: authpct"),
        ("scores.c_t.lo>0", r"did you mean 'low'\? Known: high, low, value"),
        ("rules[gap<1/9]>0", r"no 'rules\[gap<1/9\]': did you mean 'gap<1/"),
        ("membership.nonsense>0", "Known: auc"),
        ("rules>0", "Known: .*rules"),
        ("copies.nonsense>0", "Known: .*copies.count"),
        ("scores.>0", "Known: .*scores"),
    ],
)
def test_names_that_no_audit_has_are_refused_before_there_is_one(text, said):
    with pytest.raises(ConfigError, match=said):
        parse_gates(text)


def test_a_rule_that_is_asked_for_can_be_gated():
    assert [str(gate) for gate in parse_gates("rules[gap < 1/9]>0.1", " gap<1/9")] == ["rules[gap<1/9]>0.1"]


def test_every_name_that_an_audit_gives_can_be_gated():
    items, others = torch.randn(2, 20, 64, generator=torch.Generator().manual_seed(0))
    letters = np.random.default_rng(0).integers(97, 123, (3, 20, 40), np.uint8)
    texts = [[bytes(text).decode() for text in part] for part in letters]
    for record in (audit(items, items, others, losses=(np.arange(20.0), np.arange(20.0))), audit(*texts)):
        names = [f"rules[{rule.name}]" for rule in (*record.rules, *record.partial)]
        names += [f"scores.{name}" for name in record.scores]
        names += [f"membership.{score.name}" for score in record.membership]
        for name in names:
            assert parse_gates(f"{name}>0")[0].name == name


@pytest.mark.parametrize("count", [0, 3, 12, 40])
def test_a_difference_tells_how_many_items_would_do(count):
    record = audit_of("vectors", copies=copies(count, by_chance=2))
    judged = outcome(record, "copies.above_chance>0.02")
    low, high = difference_interval(count, N, 2, 200, 0.9)
    assert judged.outcome == ("failed" if low > 0.02 else "passed" if high <= 0.02 else "undecidable")
    assert (judged.needed is not None) == (judged.outcome == "undecidable")
    if judged.needed:
        times = judged.needed // N
        low, high = difference_interval(count * times, N * times, 2 * times, 200 * times, 0.9)
        assert (low > 0.02) == (high > 0.02)


@given(st.sampled_from(sorted(MEASURES)), st.sampled_from([">", ">=", "<", "<="]), st.floats(0, 1))
def test_a_gate_that_is_written_is_read_again(name, sign, limit):
    gate = Gate(name, sign, float(f"{limit:g}"))
    assert parse_gates(f" {gate} ") == (gate,)


@pytest.mark.parametrize(("count", "expected"), [(0, "passed"), (1, "passed"), (4, "undecidable"), (12, "failed")])
def test_a_share_is_judged_by_its_interval(count, expected):
    judged = outcome(with_copies(count), "copies>0.01")
    assert judged.outcome == expected
    # The ends by their definition: at the threshold, so many or more (fewer) copies have less than 5 %.
    assert (binom.sf(count - 1, N, 0.01) < 0.05) == (expected == "failed")
    assert (binom.cdf(count, N, 0.01) < 0.05) == (expected == "passed")


@pytest.mark.parametrize(("count", "n"), [(0, 20), (4, 500), (7, 500), (1, 10)])
def test_the_number_that_would_do_is_the_fewest(count, n):
    judged = outcome(with_copies(count, n), "copies>0.01")
    needed, rate = judged.needed, count / n

    def tells(m: int) -> bool:
        k = round(rate * m)
        return binom.sf(k - 1, m, 0.01) < 0.05 or binom.cdf(k, m, 0.01) < 0.05

    assert judged.outcome == "undecidable"
    assert f"{needed:,} samples would do" in judged.sentence
    assert tells(needed)
    assert not tells(needed - 1)


def test_none_of_299_samples_holds_a_gate_of_one_percent_and_none_of_298_does_not():
    assert [outcome(with_copies(0, n), "copies>0.01").outcome for n in (299, 298)] == ["passed", "undecidable"]


def test_a_rate_at_the_threshold_or_of_zero_is_never_decided():
    for record, gate in ((with_copies(5), "copies>0.01"), (with_copies(0), "copies>0")):
        judged = outcome(record, gate)
        assert (judged.outcome, judged.needed) == ("undecidable", None)
        assert "compared as they stand" in judged.sentence


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("copies.fraction>0.02", "failed"),
        ("copies.fraction>0.03", "passed"),
        ("copies.low>0", "failed"),
        ("copies.high<=0.01", "passed"),
        ("copies.count>=12", "failed"),
        ("copies.above_chance>0.005", "failed"),
        ("copies.above_chance>0.01", "undecidable"),
        ("copies.above_chance>0.05", "passed"),
        ("identical>0", "failed"),
        ("identical>3", "passed"),
        ("identical.fraction>0.5", "passed"),
        ("rules[identical]>0", "failed"),
        ("rules[gap < 1/4]>0.5", "passed"),
        ("flagged>0", "failed"),
        ("flagged.fraction>0.5", "passed"),
        ("scores.c_t<-3", "failed"),
        ("scores[c_t]<-3", "failed"),
        ("scores.closer_to_train.low>0.5", "passed"),
        ("scores.nn_divergence>0", "undecidable"),
        ("rules[gap<1/4]>0.5", "passed"),
        ("rules[gap<1/4].count>3", "failed"),
        ("rules[edit<=0.05]>0.5", "undecidable"),
        ("membership.auc>0.6", "undecidable"),
        ("duplicates.train_near>0", "failed"),
        ("phantoms.p<0.01", "passed"),
    ],
)
def test_every_number_of_the_record_can_be_asked_for(record, text, expected):
    assert outcome(record, text).outcome == expected


def test_all_named_measures_are_there(record):
    for name in MEASURES:
        assert outcome(record, f"{name}>{1 if is_share(name) else 1e9}").outcome in ("passed", "undecidable"), name


def test_what_was_not_measured_is_undecidable():
    record = audit_of("vectors", phantoms=None, exchangeability_p=None)
    for gate in ("phantoms.p<0.01", "exchangeability_p<0.01"):
        assert outcome(record, gate).sentence == "it was not measured."


def test_no_gate_on_copies_is_judged_where_a_control_failed():
    control = Control(name="negative", sentence="...", count=9, n=100, passed=False, p=1e-6)
    record = audit_of("vectors", controls=(control,))
    for gate in ("copies>0.01", "flagged>0", "copies.fraction>0.5"):
        assert outcome(record, gate).outcome == "undecidable"
    assert outcome(record, "duplicates.train_near>0").outcome == "failed"


def test_no_gate_holds_by_an_audit_that_withholds_its_verdict():
    verdict = AuditVerdict(state="withheld", sentence="No verdict.", p=None, withheld=("too few samples",))
    record = audit_of("vectors", verdict=verdict, copies=copies(0))
    assert outcome(record, "copies>0.01").outcome == "undecidable"
    assert "too few samples" in outcome(record, "copies>0.01").sentence
    assert outcome(record, "flagged>0").outcome == "failed"


@pytest.mark.parametrize(("n_null", "expected"), [(10, "undecidable"), (198, "undecidable"), (199, "passed")])
def test_no_flags_hold_a_gate_only_where_they_could_have_been_raised(n_null, expected):
    flagged = Flagged(count=0, n=N, q=0.05, n_null=n_null, fewest=math.ceil(N / 0.05 / (n_null + 1)))
    judged = outcome(audit_of("vectors", flagged=flagged), "flagged>0")
    assert judged.outcome == expected
    assert judged.needed == (398 if expected == "undecidable" else None)


def test_a_few_samples_that_could_be_flagged_one_by_one_hold_a_gate():
    flagged = Flagged(count=0, n=5, q=0.05, n_null=99, fewest=1)
    assert outcome(audit_of("vectors", flagged=flagged, n_generated=5), "flagged>0").outcome == "passed"


def test_the_exit_code_is_that_of_the_worst():
    failed, passed, open_ = (Judged(Gate("copies", ">", 0), o, "") for o in ("failed", "passed", "undecidable"))
    assert exit_code([]) == exit_code([passed]) == 0
    assert exit_code([passed, open_]) == 3
    assert exit_code([open_, failed, passed]) == 1


@pytest.mark.parametrize(
    "gate", ["copies>2", "copies.fraction>=10", "rules[gap<1/2]<-1", "copies.p<5", "copies.above_chance>2"]
)
def test_a_share_is_held_against_a_share(gate):
    with pytest.raises(ConfigError, match="lies between"):
        parse_gates(gate)


def test_counts_and_scores_may_be_held_against_any_number():
    parse_gates("copies.count>2, flagged>3, identical>1, scores.c_t<-3, duplicates.train_near>5")
