"""When a sample counts as a copy: the rule that a run was measured by."""

import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

__all__ = ["USUAL_RULES", "CopyRule"]


class CopyRule(BaseModel):
    """A sample is a copy of its nearest training item where this is at most (of a gap ratio: below) the threshold.

    >>> CopyRule(measure="gap_ratio", threshold=1 / 3).sentence
    'a sample is a copy if its nearest training item is nearer than 1/3 of the way to the second nearest'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    measure: Literal["gap_ratio", "hamming", "edit_distance", "identical"]
    """``gap_ratio``: nearest over second nearest distance, in [0, 1]. ``hamming``: the share of positions that differ.
    ``edit_distance``: of lines, which have lengths of their own, the share of the longer one's symbols that must be
    replaced, put in or left out. ``identical``: the two are equal, and the threshold is 0."""
    threshold: float = Field(ge=0, le=1)
    near_duplicates: Literal["one"] | None = None
    """Of a gap ratio: whether near-duplicates among the training items count as one, so that the second nearest is no
    near-duplicate of the nearest. None in records that were made before they did; equal ones always did."""

    views: Literal["light", "full"] | None = None
    """Of images: in which views they are compared besides the plain one, if in any."""

    @model_serializer(mode="wrap")
    def _leave_out_what_is_unsaid(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # So a record of before is what it was, and can be continued.
        fields: dict[str, Any] = write(self)
        return {name: value for name, value in fields.items() if value is not None}

    @property
    def sentence(self) -> str:
        """The rule in words, without a full stop."""
        if self.measure == "gap_ratio":
            share = "1/3" if math.isclose(self.threshold, 1 / 3) else f"{self.threshold:g}"
            second = "the nearest one that is no near-duplicate of it" if self.near_duplicates else "the second nearest"
            when = f"its nearest training item is nearer than {share} of the way to {second}"
        elif self.measure == "hamming":
            when = f"it differs from a training item at no more than {100 * self.threshold:g} % of its positions"
        elif self.measure == "edit_distance":
            edits = f"at most {100 * self.threshold:g} % of its symbols are replaced, put in or left out"
            when = f"it becomes a training item when {edits}"
        else:
            when = "it is a training item"
        seen = f", in one of the views of the orbit '{self.views}'" if self.views else ""
        return f"a sample is a copy if {when}{seen}"


_BY_DISTANCE = CopyRule(measure="gap_ratio", threshold=1 / 3)
USUAL_RULES = {
    "images": _BY_DISTANCE,
    "vectors": _BY_DISTANCE,
    "strings": CopyRule(measure="identical", threshold=0),
    "texts": CopyRule(measure="hamming", threshold=0.05),
}
"""By kind of item, the rule that the laboratory counts by: that of a record which does not say."""
