"""What the audit prints for a reader: on one screen, the verdict first."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Column

from taumem.cli.console import add_row, err, new_table, out, show_table

if TYPE_CHECKING:
    from taumem.audit.gates import Judged
    from taumem.audit.verification import Verification
    from taumem.record.audit import AuditRecord, Share

__all__ = ["show_audit", "show_gates", "show_verification"]

N_PAIRS = 5
LONGEST_NAME = 32
_COLORS = {"copies": "bold red", "none_found": "bold", "withheld": "bold yellow"}
_OUTCOMES = {"passed": "green", "failed": "bold red", "undecidable": "yellow"}
MOST_DIFFERENCES = 12


def show_audit(record: "AuditRecord") -> None:
    """Print what an audit found."""
    from taumem.analysis.wording import plain_name
    from taumem.report.audit_notes import cautions, notes

    out.print(f"[{_COLORS[record.verdict.state]}]{escape(plain_name(record.verdict.sentence))}[/]", soft_wrap=True)
    for caution in cautions(record):
        out.print(f"[yellow]{escape(plain_name(caution))}[/]", soft_wrap=True)
    if record.stress is not None:
        out.print(escape(plain_name(record.stress.sentence)), soft_wrap=True)
    _show_counts(record)
    _show_pairs(record)
    _show_scores(record)
    for control in record.controls:
        if control.passed is not None:  # the others measure power, of which the next line tells
            told = f"{control.name} control {'passed' if control.passed else 'FAILED'}: {control.sentence}."
            out.print(f"[dim]{escape(told)}[/]", soft_wrap=True)
    out.print(f"[dim]{escape(record.power.sentence)}[/]", soft_wrap=True)
    for note in notes(record):
        out.print(f"[dim]{escape(plain_name(note))}[/]", soft_wrap=True)
    if record.not_run:
        left = "; ".join(f"{each.what} ({each.why.rstrip('.')})" for each in record.not_run)
        out.print(f"[dim]not looked at: {escape(plain_name(left))}.[/]", soft_wrap=True)


def show_gates(judged: "Sequence[Judged]") -> None:
    """Print on standard error what became of each gate."""
    for each in judged:
        color = _OUTCOMES[each.outcome]
        err.print(f"[{color}]{each.outcome}:[/] {escape(f'{each.gate}: {each.sentence}')}", soft_wrap=True)


def show_verification(folder: Path, found: "Verification") -> None:
    """Print whether an audit came out as it was written."""
    from taumem.analysis.wording import plain_name, plural

    differences = found.differences
    if not differences:
        told = f"[bold]{escape(str(folder))} agrees with its inputs:[/] {found.compared:,} facts compared."
        out.print(told, soft_wrap=True)
        return
    if found.other_inputs:
        told = f"These are other {' and '.join(found.other_inputs)} than those that were audited."
        out.print(f"[bold red]{told}[/] What differs below may come of it.", soft_wrap=True)
    out.print(f"[bold red]{escape(str(folder))}: {plural(len(differences), 'difference')}.[/]", soft_wrap=True)
    for difference in differences[:MOST_DIFFERENCES]:
        out.print(escape(plain_name(difference)), soft_wrap=True)
    if len(differences) > MOST_DIFFERENCES:
        out.print(f"and {len(differences) - MOST_DIFFERENCES} more.")


def _show_counts(record: "AuditRecord") -> None:
    from taumem.analysis.wording import percent, sentence
    from taumem.report.audit_notes import intervals

    table = new_table("", Column("samples", justify="right"), "share", "95 % interval", "by chance", "95 % interval")
    rules = [rule for rule in (*record.rules, *record.partial) if rule.sentence != record.copies.rule]
    by = "".join(f" ({rule.name})" for rule in record.rules if rule.sentence == record.copies.rule)
    rows: list[tuple[str, Share, Share | None]] = [(f"copies{by}", record.copies, record.copies.chance)]
    if record.stress is not None:
        rows.append((f"copies after stress{by}", record.stress.copies, record.stress.copies.chance))
    rows += [(rule.name, rule.samples, rule.chance) for rule in rules]
    for name, share, chance in rows:
        by_chance = ("-", "") if chance is None else (f"{chance.count:,} of {chance.n:,}", _ends(chance))
        add_row(table, name, f"{share.count:,} of {share.n:,}", percent(share.fraction), _ends(share), *by_chance)
    flagged = record.flagged
    share_of = percent(flagged.count / max(flagged.n, 1))
    add_row(table, "flagged", f"{flagged.count:,} of {flagged.n:,}", share_of, f"at q = {flagged.q:g}", "", "")
    show_table(table)
    out.print(f"[dim]{escape(f'{sentence(record.copies.rule)} {intervals(record)}')}[/]", soft_wrap=True)


def _show_pairs(record: "AuditRecord") -> None:
    from taumem.analysis.wording import number

    if not record.pairs:
        return
    table = new_table("most suspicious", "nearest", "distance", "gap ratio", "view", "p", "q", "")
    for pair in record.pairs[:N_PAIRS]:
        ratio = "-" if pair.ratio is None else number(pair.ratio)
        numbers = (number(pair.distance), ratio, pair.way, number(pair.p), number(pair.q))
        add_row(table, _shortened(pair.sample), _shortened(pair.train), *numbers, "flagged" if pair.flagged else "")
    show_table(table)


def _show_scores(record: "AuditRecord") -> None:
    from taumem.analysis.wording import number

    told = [score for score in (*record.scores.values(), *record.membership) if score.value is not None]
    if told:
        table = new_table("scores that others report", "[95 %, two-sided]")
        for score in told:
            between = score.low is not None and score.high is not None
            ends = f" [{number(score.low or 0.0)}, {number(score.high or 0.0)}]" if between else ""
            add_row(table, score.label, f"{number(score.value or 0.0)}{ends}")
        show_table(table)


def _ends(share: "Share") -> str:
    from taumem.analysis.wording import percent

    return f"{percent(share.low)} to {percent(share.high)}"


def _shortened(name: str) -> str:
    """A name on one line, its end if it is long: there files of one folder differ."""
    from taumem.analysis.wording import plain_name

    plain = plain_name(name)
    return plain if len(plain) <= LONGEST_NAME else f"...{plain[3 - LONGEST_NAME :]}"
