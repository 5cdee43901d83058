"""Write the tables of facts and of types in docs/omop.md, as declared.

Example:
    python scripts/document_sources.py
"""

import re
from pathlib import Path

from sequela.tables.declarations import Fact, Source, Table
from sequela.tables.hospitals import hospitals, source_of
from sequela.tables.sources.omop import BILLED, OWN
from sequela.tables.sources.omop import TYPES as OMOP_TYPES

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "omop.md"
TYPES = re.compile(r"(<!-- types of omop -->\n).*?(<!-- end -->)", re.DOTALL)
BLOCK = re.compile(r"(<!-- facts of (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def columns(fact: Fact) -> str:
    return ", ".join(dict.fromkeys([*fact.needs(), *([fact.value] if fact.value else [])]))


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def rows(table: Table) -> list[str]:
    return [
        f"| {cell(fact.what)} | `{cell(fact.code)}` | {table.name}: {columns(fact) or 'a row'} "
        f"| {cell(fact.known)} | {cell(fact.why)} |"
        for fact in table.facts
    ]


def facts_of(source: Source) -> str:
    """The table of a source: fact, code, column, known when, why."""
    head = ["| fact | code | column | known when | why |", "|---|---|---|---|---|"]
    left_out = [f"- `{name}`: {reason}." for name, reason in source.not_read.items()]
    body = [row for table in source.tables for row in rows(table)]
    tail = ["", "Left out on purpose:", "", *left_out] if left_out else []
    return "\n".join([*head, *body, *tail]) + "\n"


def written(page: str) -> str:
    """The page with all tables as declared, and all types as listed."""
    page = BLOCK.sub(lambda block: block[1] + facts_of(source_of(block[2])) + block[3], page)
    lists = {
        "Billing, claim or discharge": OMOP_TYPES[BILLED],
        "Recorded in the course of care": OMOP_TYPES[OWN],
    }
    lines = [
        f"{title}: " + ", ".join(f"{number} {name}" for number, name in types.items()) + ".\n"
        for title, types in lists.items()
    ]
    return TYPES.sub(lambda block: block[1] + "\n".join(lines) + block[2], page)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
    print(f"{PAGE}: {', '.join(hospitals())}")
