"""What a run is (``run.json``): its data, its recipe, and the rules that it is measured by."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from taumem.errors import RecordError
from taumem.record.check import check_of
from taumem.record.copy_rule import USUAL_RULES, CopyRule
from taumem.record.files import visible
from taumem.record.key import RunKey

__all__ = [
    "ADVICE",
    "LENGTH",
    "SCHEMA_VERSION",
    "WAYS",
    "DataFacts",
    "ItemKind",
    "RunHeader",
    "first_problem",
    "header_text",
    "may_differ",
    "parse_header",
    "read_header",
]

SCHEMA_VERSION = 3
"""Raised when a reader of the previous version would misread a record.

1: the confidence of intervals (always 0.95), the rule of a copy and the probes' settings were not written down.
2: neither the header nor the lines of measurements had checks.
"""

LENGTH = ("min_steps", "steps_per_example", "stop_at_copies", "stop_at_clock")
"""What the laboratory calls how long a run is trained: a run may be made longer, and is the same run."""

WAYS = ("together", "accumulate", "checkpoint_activations", "compile", "channels_last")
"""How the laboratory computes a step: it changes no number beyond rounding, so that a run may go on in another way."""

SOME = 2
"""How many runs a message names where a folder holds several."""
ADVICE = "Use the taumem that wrote it, or run the experiment again."

ItemKind = Literal["images", "vectors", "strings", "texts", ""]
"""What an item is; empty where it is unknown. Strings are tokens of a grammar, texts are tokens of a language."""


class DataFacts(BaseModel):
    """What a run was trained on, in words and numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    fingerprint: str
    """SHA-256 of the bytes of the training set and of the held-out set."""
    n_train: int = Field(ge=1, lt=2**63)
    n_heldout: int = Field(ge=0, lt=2**63)
    item_shape: tuple[int, ...]
    kind: ItemKind = ""
    sample_complexities: tuple[int, ...] = ()
    """Of data with a known hierarchy: examples needed to learn levels 1, ..., L, in order of magnitude."""
    alphabet: str = ""
    """Of text: the symbols in the order of their numbers, as one string; empty where there are none, or unknown."""


class RunHeader(BaseModel):
    """What a run is: everything that another run must share to be the same run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    name: str
    """The experiment's name; the runs of one study share it."""
    data: DataFacts
    seed: int = Field(ge=-(2**63), lt=2**63)
    half: Literal["a", "b"] | None = None
    """``a`` or ``b`` for one of two models trained on disjoint sets, None for a single model."""
    batch_size: int = Field(ge=0, lt=2**63)
    """Training examples per optimizer step; 0 where a loop of another's did not say."""
    steps: int = Field(ge=0, lt=2**63)
    """Optimizer steps the run was planned for; 0 where nobody said."""
    weights: str = "raw"
    """Which weights were measured: ``raw``, or ``ema`` for their exponential moving average."""
    pretrained: bool = False
    """Whether training started from a pretrained model, which is what the look at step 0 shows."""
    device: str = "cpu"
    versions: dict[str, str] = Field(default_factory=dict)
    experiment: dict[str, Any] = Field(default_factory=dict)
    """The full configuration, so that the run can be made again from this file alone."""
    copy_rule: CopyRule | None = None
    """When a sample counts as a copy; None where copies are not counted, or by a rule that was not written down."""
    probes: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """The settings of each probe, by its name: what must be known to judge its numbers."""

    @property
    def key(self) -> RunKey:
        """Which run it is."""
        return RunKey(
            n_train=self.data.n_train,
            batch_size=self.batch_size,
            seed=self.seed,
            half=self.half,
            experiment=self.name,
            data=self.data.name,
            weights=self.weights,
        )

    @property
    def origin(self) -> str:
        """What the checks of the run's lines and arrays go on from, so that those of another run do not fit.

        Names are left out: they may be changed.
        """
        which = (self.data.fingerprint, self.data.n_train, self.seed, self.half, self.batch_size, self.weights)
        return check_of(json.dumps(which).encode())

    @property
    def identity(self) -> dict[str, Any]:
        """The part that a resumed run must agree with.

        All but the machine, the versions, what probes note, how long it is trained, how its steps are computed, and the
        kind of items, which earlier schemas did not say.
        """
        apart = ("device", "versions", "schema_version", "copy_rule", "probes", "steps")
        free = set(may_differ(self.experiment.get("training")))
        deeper: dict[str, Any] = {"data": {"kind"}, "experiment": {"training": free}}
        return self.model_dump(mode="json", exclude=deeper | dict.fromkeys(apart, True))

    @property
    def length(self) -> tuple[Any, ...]:
        """How long the run is trained: its steps, and by which words of the laboratory."""
        training = self.experiment.get("training")
        words = training if isinstance(training, dict) else {}
        return self.steps, *(words.get(name) for name in LENGTH)

    def as_long_as(self, other: "RunHeader") -> "RunHeader":
        """The same run by another plan, which is of another length."""
        return self.model_copy(update={"steps": other.steps, "experiment": other.experiment})

    @property
    def noted(self) -> dict[str, Any]:
        """What the probes noted: the rule of a copy and their settings, by name."""
        return self.probes | ({"copy rule": self.copy_rule.model_dump()} if self.copy_rule else {})


def may_differ(training: Any) -> tuple[str, ...]:
    """Which words of a training may change while the run stays the same: of its length, and how steps are computed.

    Args:
        training: that section of an experiment. A rate that decays does so until the run's end: another length is
            another run, which may end early all the same.
    """
    decays = isinstance(training, dict) and training.get("schedule", "constant") != "constant"
    return (*(name for name in LENGTH if not decays or name.startswith("stop_at")), *WAYS)


def read_header(folder: Path) -> tuple[RunHeader, int]:
    """Read the header of a run, written by this schema or by an earlier one.

    Returns:
        The header, brought up to this schema, and the schema that the run's files are in.

    Raises:
        RecordError: no run there, or a header that is damaged or cannot be understood.
    """
    file = folder / "run.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        _as_json(content)
    except (FileNotFoundError, NotADirectoryError):
        raise RecordError(f"{folder}: no run here (no run.json); expected a run's folder{_below(folder)}.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{file}: cannot be read as JSON ({error}); remove the folder and run again.") from None
    return parse_header(content, str(file)), content["schema_version"]


def _below(folder: Path) -> str:
    """Some runs that are below a folder, for a message; nothing where there are none."""
    runs = [str(file.parent) for file in visible(folder, "run.json")]
    more = f" ({len(runs):,} are below it)" if len(runs) > SOME else ""
    return f", such as {' or '.join(runs[:SOME])}{more}" if runs else ""


def header_text(header: RunHeader) -> str:
    """The content of ``run.json``: the header, and its check."""
    content = header.model_dump(mode="json") | {"schema_version": SCHEMA_VERSION}
    check = check_of(_as_json(content).encode())
    return json.dumps(content | {"check": check}, indent=2, ensure_ascii=False) + "\n"


def _as_json(content: Any) -> str:
    """Of what JSON says, however it was written."""
    return json.dumps(content, sort_keys=True, allow_nan=False)


def parse_header(content: Any, source: str) -> RunHeader:
    """Make a header of what its JSON holds, brought up to this schema.

    Args:
        content: of the JSON.
        source: where it was found, for the error message.

    Raises:
        RecordError: it is no header, one of a schema that is not known yet, or one that does not fit its check.
    """
    version = content.get("schema_version") if isinstance(content, dict) else None
    if isinstance(version, bool) or version not in range(1, SCHEMA_VERSION + 1):
        raise RecordError(
            f"{source}: a record of schema version {version}; this taumem reads versions 1 to {SCHEMA_VERSION}. "
            f"{ADVICE}"
        )
    content = dict(content)
    check = content.pop("check", None)
    if check is not None and check != check_of(_as_json(content).encode()):
        raise RecordError(
            f"{source}: damaged: its check does not fit what it says. Put a copy in its place; or, if you changed it "
            "yourself, remove its check."
        )
    try:
        return RunHeader.model_validate(_brought_up(content))
    except ValidationError as error:
        raise RecordError(f"{source}: not a run's header: {first_problem(error)}. {ADVICE}") from None


def first_problem(error: ValidationError) -> str:
    """The first thing that a model refused, in a few words."""
    problem = error.errors()[0]
    return f"{'.'.join(map(str, problem['loc'])) or 'the line'}: {problem['msg']}"


def _brought_up(content: dict[str, Any]) -> dict[str, Any]:
    """Add what schema 1 left unsaid and can be told: the kind of items, and the laboratory's rule of a copy."""
    version, data, content = (
        content["schema_version"],
        content.get("data"),
        content | {"schema_version": SCHEMA_VERSION},
    )
    if version > 1 or not isinstance(data, dict):
        return content
    of_the_laboratory = bool(content.get("experiment"))
    kind = _kind_of(data, of_the_laboratory)
    # A loop of one's own may have counted by another threshold; the laboratory had one for each kind.
    rule = USUAL_RULES.get(kind) if of_the_laboratory else None
    return content | {"data": data | {"kind": kind}, "copy_rule": rule}


def _kind_of(data: dict[str, Any], of_the_laboratory: bool) -> ItemKind:
    if data.get("alphabet"):
        return "texts"
    if data.get("sample_complexities"):
        return "strings"
    shape = data.get("item_shape")
    axes = len(shape) if isinstance(shape, list) else 0
    # Items of one axis may be vectors or tokens; the laboratory said of tokens which they were.
    return "images" if axes == 3 else "vectors" if axes == 1 and of_the_laboratory else ""
