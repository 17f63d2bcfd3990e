"""When a guard looks: at the steps of its cadences, as far as the time that looks take allows."""

from dataclasses import dataclass
from typing import Any

from taumem.monitor.budget import Budget
from taumem.monitor.cadence import LogCadence

__all__ = ["Plan", "Schedule"]

LOSSES, SAMPLES = "losses", "samples"


@dataclass(frozen=True)
class Plan:
    """What to do at a step.

    Attributes:
        look: whether to look.
        samples: whether to draw samples too.
        again: the step at which to ask again.
    """

    look: bool
    samples: bool
    again: int


class Schedule:
    """Two cadences and a budget.

    A look is due once a step of the cadence has been passed since the last look; one that cannot be afforded waits.

    Args:
        cadence: of looks.
        sample_cadence: of samples; None where none are drawn.
        budget: of the time.

    Attributes:
        looked: the step of the last look; 0 before the first.
        sampled: that of the last look with samples.
    """

    def __init__(self, cadence: LogCadence, sample_cadence: LogCadence | None, budget: Budget) -> None:
        self.cadence, self.sample_cadence, self.budget = cadence, sample_cadence, budget
        self.looked = 0
        self.sampled = 0

    def plan(self, step: int) -> Plan:
        """Say what to do at a step, and when to ask again."""
        samples = self.sample_cadence is not None and self.sample_cadence.due(step, since=self.sampled)
        if samples and self.budget.affords(LOSSES, SAMPLES):
            return Plan(True, True, self._after(step))
        due = self.cadence.due(step, since=self.looked)
        look = due and self.budget.affords(LOSSES)
        waits = [LOSSES] if due and not look else [LOSSES, SAMPLES] if samples else []
        again = self._after(step, losses=not (due and not look), samples=not samples)
        return Plan(look, False, min(again, step + self.budget.steps_to_wait(step, *waits)) if waits else again)

    def done(self, step: int, *, samples: bool) -> None:
        """A look was made."""
        self.looked, self.sampled = step, step if samples else self.sampled

    def kinds(self, *, samples: bool) -> tuple[str, ...]:
        """What a look asks for, in the words of the budget."""
        return (LOSSES, SAMPLES) if samples else (LOSSES,)

    def back_to(self, looked: int) -> None:
        """Training went back: looks after this one are to be made again."""
        self.looked, self.sampled = looked, min(self.sampled, looked)

    def state(self) -> dict[str, Any]:
        """What another process needs to go on."""
        return {"looked": self.looked, "sampled": self.sampled, "budget": self.budget.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from where another process was."""
        self.looked, self.sampled = int(state["looked"]), int(state["sampled"])
        self.budget.load(state["budget"])

    def _after(self, step: int, *, losses: bool = True, samples: bool = True) -> int:
        """The next step of the cadences; of one that waits for time, none."""
        steps = [self.cadence.after(step)] if losses else []
        if samples and self.sample_cadence is not None:
            steps.append(self.sample_cadence.after(step))
        return min(steps, default=2**62)
