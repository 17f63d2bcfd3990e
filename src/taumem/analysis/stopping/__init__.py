"""When to stop: rules that read a record and say so, for the laboratory, a guard, and loops of one's own.

A rule is a pure function of what a record holds up to a step, so that it says the same about a run under way, a run
that was resumed, and a run of last year. A step to stop at is the only thing that goes back from analysis to training.
How often each rule stops a run in which nothing happens, and how late one in which something does: docs/stopping.md.
"""

from taumem.analysis.stopping.ending import has_ended
from taumem.analysis.stopping.losses import GapOpened, LossTurned
from taumem.analysis.stopping.others import AnyOf, ForecastReached, Located
from taumem.analysis.stopping.shares import CopiesExceed, CopiesFound, MembersFound
from taumem.analysis.stopping.verdict import Checkpoint, Reason, StoppingRule, Verdict, best_until
from taumem.errors import ConfigError, nearest_name

__all__ = [
    "RULES",
    "AnyOf",
    "Checkpoint",
    "CopiesExceed",
    "CopiesFound",
    "ForecastReached",
    "GapOpened",
    "Located",
    "LossTurned",
    "MembersFound",
    "Reason",
    "StoppingRule",
    "Verdict",
    "best_until",
    "has_ended",
    "rule_named",
]

RULES: dict[str, StoppingRule] = {
    rule.name: rule for rule in (LossTurned(), GapOpened(), CopiesFound(), MembersFound())
}
"""Those that need nothing but a record, by their names."""


def rule_named(name: str) -> StoppingRule:
    """Give the rule of a name.

    Raises:
        ConfigError: there is none, or it needs more than a name.
    """
    if name == ForecastReached.name:
        raise ConfigError("the rule 'forecast' needs the interval of an onset: ForecastReached(Interval(...)).")
    if name not in RULES:
        raise ConfigError(f"no rule is called '{name}'; {nearest_name(name, [*RULES, ForecastReached.name])}")
    return RULES[name]
