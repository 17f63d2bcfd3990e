"""What the doctor says: the environment, the data, what can be forecast from them, and what stands in the way."""

import shlex
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taumem.doctor.environment import Environment, look_around
from taumem.errors import DataError

if TYPE_CHECKING:
    from taumem.doctor.items import ItemsSeen
    from taumem.doctor.prospects import Prospects

__all__ = ["Diagnosis", "diagnose"]


@dataclass(frozen=True)
class Diagnosis:
    """What is there, and what stands in the way.

    Attributes:
        environment: what taumem runs on.
        items: what the data are; None where none were given, or they could not be looked at.
        prospects: what can be forecast from them; None likewise, and where no item could be read.
        obstacles: what stands in the way, in sentences that say what to do.
        cautions: what may be unexpected, in sentences.
    """

    environment: Environment
    items: "ItemsSeen | None"
    prospects: "Prospects | None"
    obstacles: tuple[str, ...]
    cautions: tuple[str, ...]

    @property
    def is_well(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.obstacles

    def to_json(self) -> dict[str, Any]:
        """All of it, as plain values."""
        return {"is_well": self.is_well, **asdict(self)}


def diagnose(
    data: str | Path | None = None,
    *,
    groups: str | Path | None = None,
    imports: bool = False,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
    **reading: Any,
) -> Diagnosis:
    """Say before anything is trained whether everything is here, what the data are, and what can be forecast from them.

    Args:
        data: a folder or file as in :func:`taumem.data.gather`, or ``hf:NAME``; None looks at the environment alone.
        groups: a file that says which items belong together, as in :func:`taumem.data.read_groups`.
        imports: whether what extras bring is imported, too, which can take a minute.
        progress: called with (stage, done, in all).
        reading: ``size``, ``window``, ``limit``, ``key``, ``value_range``, ``as_bytes`` and ``skip_unreadable``, as in
            :func:`taumem.data.gather`.

    Raises:
        DataError: there is nothing at that path.
        ConfigError: an option that is out of its range, or says nothing about these data.
    """
    environment = look_around(imports=imports)
    obstacles, cautions = list(environment.obstacles), list(environment.cautions)
    items = prospects = None
    if data is not None and environment.has_torch:
        from taumem.data.readers.opening import existing
        from taumem.doctor.items import look_at
        from taumem.doctor.prospects import prospects as prospects_of

        if not str(data).startswith("hf:"):
            existing(data)  # a name that was mistyped is refused; what is wrong with what is there is found
        try:
            items = look_at(data, groups=groups, progress=progress, **reading)
        except DataError as error:
            obstacles.append(str(error))
        else:
            cautions += items.cautions
            if items.unreadable and not (reading.get("skip_unreadable") and items.n_read):
                obstacles.append(_unreadable(items))
            if items.n_read:
                grouped = items.named is not None
                prospects = prospects_of(items.n_most, items.kind, shlex.quote(items.source), grouped=grouped)
                obstacles += [] if prospects.is_feasible else prospects.sentences
    elif data is not None:
        cautions.append("The data were not looked at, since torch does not work here.")
    return Diagnosis(environment, items, prospects, tuple(obstacles), tuple(cautions))


def _unreadable(items: "ItemsSeen") -> str:
    told = f"{len(items.unreadable):,} of {items.n_read + len(items.unreadable):,} {items.kind} cannot be read"
    if not items.n_read:
        return f"{told}, and nothing is left."
    return f"{told}: replace them, remove them, or skip them by --skip-unreadable wherever the data are read."
