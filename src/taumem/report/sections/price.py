"""What it costs to stop at tau_mem, against the same network on all data."""

from collections.abc import Iterator

from taumem.analysis import Study
from taumem.analysis.wording import number
from taumem.report import figures
from taumem.report.sections.section import Panel, Section

__all__ = ["section"]


def section(study: Study) -> Iterator[Section]:
    """Show it where a held-out loss was measured at several sizes, or of a run on all data."""
    price = study.price
    if price is None:
        return
    which = "named ones" if price.is_apart else "those of the study on the most data"
    text = (
        f"A run on P examples has to stop at tau_mem, here {price.clock}: at the last look before it. What it can do "
        f"there, less what the same network can do on P = {price.all_data:,} ({which}): at the same look, which is the "
        f"same compute, and at its best, the look of its lowest held-out loss (typically step "
        f"{number(price.best_step)}). Runs are paired by seed and by held-out item."
    )
    text = " ".join([text, *price.left_out])
    panel = Panel("stopping", "Held-out loss at tau_mem, above that on all data", figures.stopping_price(study))
    yield Section("stopping", "What stopping costs for want of data", text, (panel,), template="price")
