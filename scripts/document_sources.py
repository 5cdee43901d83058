"""Write the tables of facts in docs/sources.md from the declarations of the sources.

Example:
    python scripts/document_sources.py
"""

import re
from pathlib import Path

from sequela.sources.declarations import Fact, Source, Table
from sequela.sources.hospitals import hospitals, source_of

PAGE = Path(__file__).parents[1] / "docs" / "sources.md"
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
    """The page with all tables as declared."""
    return BLOCK.sub(lambda block: block[1] + facts_of(source_of(block[2])) + block[3], page)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
    print(f"{PAGE}: {', '.join(hospitals())}")
