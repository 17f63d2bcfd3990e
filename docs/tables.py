"""Write the tables of docs/ that restate tables of the code, such as that of the clocks. A test holds the two together.

A test holds the two together.

python docs/tables.py
"""

from pathlib import Path

from taumem.analysis import families
from taumem.logs import NAMES
from taumem.record import QUANTITIES

DOCS = Path(__file__).parent
BEGIN, END = "<!-- made by docs/tables.py -->\n", "<!-- end -->\n"


def main() -> None:
    """Bring the pages up to date."""
    for page, table in TABLES.items():
        file = DOCS / page
        file.write_text(with_table(file.read_text(encoding="utf-8"), table()), encoding="utf-8")


def with_table(page: str, table: str) -> str:
    """The page with the table between its two marks."""
    before, rest = page.split(BEGIN)
    return before + BEGIN + table + END + rest.split(END)[1]


def clocks() -> str:
    """One row for each family of clocks: its definition, and what it needs."""
    rows = ["| clock | when it strikes | what it needs |", "|---|---|---|"]
    for family, members in families().items():
        first, values = members[0], ", ".join(clock.x for clock in members if clock.threshold is not None)
        index = "l" if first.grammar_level is not None else "x"
        name, rule = (f"{family}[{index}]" if first.x else family), first.rule.replace("{x}", index)
        rows.append(f"| `{name}` | {rule}{f' x = {values}.' if values else ''} | {first.needs} |")
    return "\n".join(rows) + "\n"


def quantities() -> str:
    """One row for each quantity: its unit and its meaning."""
    rows = ["| quantity | unit | meaning |", "|---|---|---|"]
    rows += [f"| `{each.name}` | {each.unit} | {each.meaning} |" for each in QUANTITIES.values()]
    return "\n".join(rows) + "\n"


def names() -> str:
    """One row for each kind of scalar that trainers log: who logs it, and what it means."""
    rows = ["| scalar | logged by | read as |", "|---|---|---|"]
    for each in NAMES:
        shown = ", ".join(f"`{name}`" for name in each.shown.split(", "))
        rows.append(f"| {shown} | {each.trainers} | {each.meaning}{', over epochs' if each.in_epochs else ''} |")
    return "\n".join(rows) + "\n"


TABLES = {"clocks.md": clocks, "logs.md": names, "records.md": quantities}

if __name__ == "__main__":
    main()
