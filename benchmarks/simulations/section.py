"""Sections of docs/contributing/simulations.md, which the programs of this folder write."""

from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/contributing/simulations.md"


def write_section(name: str, text: str) -> None:
    """Replace the text between ``<!-- name -->`` and ``<!-- end of name -->``."""
    before, begin, rest = PAGE.read_text("utf-8").partition(f"<!-- {name} -->")
    _, end, after = rest.partition(f"<!-- end of {name} -->")
    if not end:
        raise SystemExit(f"{PAGE}: {name}: no such section")
    PAGE.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}", "utf-8")
