"""The parts of an audit's record: each a plain fact with its counts and its interval."""

from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

__all__ = [
    "AuditVerdict",
    "AuditedItems",
    "Bounds",
    "Chance",
    "Control",
    "CopyShare",
    "Duplicates",
    "Fact",
    "Flagged",
    "Histogram",
    "NotRun",
    "Pair",
    "Phantoms",
    "Power",
    "RuleResult",
    "Score",
    "Share",
    "Stressed",
]


class Fact(BaseModel):
    """Finite numbers under known names, which nothing changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _spell_out_what_is_no_utf8(cls, value: object) -> object:
        # Names of files and texts of bytes carry such bytes as surrogates, which JSON has no way to write.
        return _spelled_out(value)


def _spelled_out(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_spelled_out(key): _spelled_out(part) for key, part in value.items()}
    return type(value)(map(_spelled_out, value)) if type(value) in (list, tuple) else value


def _ascends(numbers: tuple[float, ...]) -> bool:
    return all(low <= high for low, high in pairwise(numbers))


class Share(Fact):
    """So many of so many, with the exact interval (Clopper and Pearson) of the share behind them."""

    count: int = Field(ge=0)
    n: int = Field(ge=0)
    """Of how many."""
    fraction: float
    """count / n; 0 of nothing."""
    low: float
    high: float
    confidence: float = 0.95


class Chance(Share):
    """The share of items that copy nothing under the same rule: what a share of copies has to exceed."""

    source: Literal["heldout", "left_out"]
    """``heldout``: held-out items that were not used for calibration. ``left_out``: training items, each against the
    others, where there are no held-out ones."""


class CopyShare(Share):
    """The samples that are copies by the rule."""

    chance: Chance | None
    """None where there is nothing to measure it on."""
    rule: str
    """In words, without a full stop."""
    p: float | None
    """Of as many copies or more if samples were copies no more often than what chance was measured on (Fisher's exact
    test, one-sided)."""


class RuleResult(Fact):
    """What one rule counts, among samples and by chance."""

    name: str
    """``gap<1/3``, ``carlini``, ``distance``, ``identical``, ..."""
    sentence: str
    threshold: float | None
    samples: Share
    chance: Chance | None


class Flagged(Fact):
    """The samples that are named copies, so that a stated share of them, at most, is expected to be none."""

    count: int
    n: int
    q: float
    """The false discovery rate that is asked for (Benjamini and Hochberg on conformal p-values)."""
    n_null: int
    """Scores of items that copy nothing, which p-values are ranks among: none is below 1 / (n_null + 1)."""
    fewest: int
    """How many samples would have to reach the smallest p-value before any could be flagged."""


class Bounds(Fact):
    """An upper bound on the false discoveries among the samples up to each score, for all of them at once."""

    confidence: float
    thresholds: tuple[float, ...]
    """Ascending scores."""
    found: tuple[int, ...]
    """How many samples score at most that."""
    false: tuple[int, ...]
    """At most so many of them copy nothing."""

    @model_validator(mode="after")
    def _refuse_columns_of_other_lengths(self) -> Self:
        if not len(self.thresholds) == len(self.found) == len(self.false) or not _ascends(self.thresholds):
            raise ValueError("there is one count and one bound for each threshold, and thresholds ascend")
        return self


class Phantoms(Fact):
    """Matches on the training side against matches to held-out items, which can only be phantoms."""

    n_train: int
    """Training items, or groups of them where items belong together."""
    n_heldout: int
    matched_train: int
    """How many of them some sample matches."""
    matched_heldout: int
    expected_heldout: float
    """Of all matches, so many would be to held-out items if the samples knew nothing of which items were trained on."""
    p: float
    """One-sided, exact (hypergeometric)."""
    best_p: float
    """The p if all matches had been to training items: a test that could not have found anything says nothing."""


class Score(Fact):
    """A score that others report, so that it can be compared."""

    name: str
    label: str
    """What it is called, with its convention."""
    value: float | None
    meaning: str
    """What it is where nothing is copied, and which way copying moves it."""
    low: float | None = None
    high: float | None = None
    n: int = 0
    parts: dict[str, float] = Field(default_factory=dict)
    """What it is made of, such as the cells of C_T."""


class Control(Fact):
    """An audit of what is known: the negative one must find nothing, the positive ones should find what was planted."""

    name: str
    sentence: str
    count: int
    n: int
    passed: bool | None
    """None of a positive control, which measures power and cannot fail."""
    p: float | None = None


class Power(Fact):
    """What the audit could and could not have seen."""

    excluded_above: float
    """If none were found: a rate of copies above this would have shown at least one (95 %, one-sided)."""
    smallest_p: float
    """The smallest p-value that one sample can have."""
    sentence: str


class Duplicates(Fact):
    """Items that are there more than once, or almost."""

    train_identical: int
    """Training items that equal an earlier one."""
    train_near: int
    """Training items that are near-duplicates of an earlier one."""
    n_groups: int
    """Groups of training items, each of which counts as one."""
    rule: str
    heldout_identical: int = 0
    """Held-out items that are training items, bit for bit. They are left out where the sets seem to be mixed up, and
    stay where training items repeat one another as often: new items would do so too."""
    heldout_near: int = 0
    """Held-out items that are near-duplicates of training items; they stay, and raise chance."""
    heldout_grouped: int = 0
    """Held-out items of groups (patients, scenes) that training items are of too; they were left out."""
    generated_train: int = 0
    """Samples that are training items, bit for bit, and not of one shade or symbol alone."""
    generated_heldout: int = 0
    """Samples that are held-out items, likewise."""
    fresh_identical: int = 0
    """Training items that equal another one, and held-out items (of those that stay) that equal a training item: how
    often an item that copies nothing is one."""
    generated_identical: int = 0
    """Samples that equal an earlier one."""
    generated_distinct: int = 0
    """Samples that are no near-duplicates of an earlier one: what tests that need independent samples count."""


class AuditedItems(Fact):
    """One of the sets that an audit compares."""

    source: str
    n: int
    kind: str
    shape: tuple[int, ...]
    digest: str
    """SHA-256 of the contents, in order."""
    notes: tuple[str, ...] = ()


class Histogram(Fact):
    """How the scores lie: counts between edges."""

    edges: tuple[float, ...]
    generated: tuple[Annotated[int, Field(ge=0)], ...]
    null: tuple[Annotated[int, Field(ge=0)], ...]

    @model_validator(mode="after")
    def _refuse_columns_of_other_lengths(self) -> Self:
        if not len(self.edges) - 1 == len(self.generated) == len(self.null) or not _ascends(self.edges):
            raise ValueError("there is one count between two edges, and edges ascend")
        return self


class NotRun(Fact):
    """What was not looked at, and why."""

    what: str
    why: str


class AuditVerdict(Fact):
    """The audit in one sentence."""

    state: Literal["copies", "none_found", "withheld"]
    sentence: str
    p: float | None
    """Of the headline: twice the smaller p of the two tests behind it, or that of the only one; at most 1."""
    test: str = ""
    """Which of them it is of."""
    withheld: tuple[str, ...] = ()
    """Why it is withheld."""


class Stressed(Fact):
    """An audit of samples after a stress test, by the same rule against the same items."""

    sentence: str
    """Both counts side by side, and by chance."""
    copies: CopyShare
    flagged: Flagged
    phantoms: Phantoms | None
    verdict: AuditVerdict
    """Of the stressed samples alone."""


class Pair(Fact):
    """A sample beside the training item that it resembles most, as kept for the gallery."""

    sample: str
    """The sample's name."""
    train: str
    row: int
    """The sample's place, from 0."""
    nearest: int | None = None
    """The training item's place, from 0."""
    score: float
    distance: float
    ratio: float | None
    way: str
    p: float
    q: float
    flagged: bool
    copied: bool
    sample_text: str | None = None
    train_text: str | None = None
    sample_image: str | None = None
    """A data URI."""
    view_image: str | None = None
    """The sample as the view that found it lays it on the training item; None where that is as it is."""
    train_image: str | None = None
    difference_image: str | None = None
