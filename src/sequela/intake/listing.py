"""The catalogue as a table for people and as JSON for programs."""

import json

from rich.table import Table
from rich.text import Text

from sequela.datasets.catalog import data_sets

SHOWN = ("title", "kind", "licence", "citation", "size", "homepage", "how_to_get")
"""The fields of the list of data sets; the rest of an entry is for the program."""


def as_json() -> str:
    """Return the entry and place of each data set by name (null if not found)."""
    listing = {}
    for data_set in data_sets():
        located = data_set.find()
        listing[data_set.name] = {field: getattr(data_set, field) for field in SHOWN} | {
            "path": str(located.path) if located else None,
            "origin": located.origin if located else None,
        }
    return json.dumps(listing, indent=2)  # ASCII, which every output takes


def as_table() -> Table:
    """Return a table with one row for each data set; long texts wrap inside the second column."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 1, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for data_set in data_sets():
        located = data_set.find()
        how_to_get = "" if located else data_set.how_to_get
        facts = {
            "holds": data_set.size,
            "licence": data_set.licence,
            "cite": data_set.citation,
            "page": "" if data_set.homepage in how_to_get else data_set.homepage,
            "here": located.origin if located else "",
            "to get it": how_to_get,
        }
        text = Text(f"{data_set.title} ({data_set.kind.upper()})")
        for fact, value in facts.items():
            if value:
                text.append(f"\n{fact}: ", style="dim").append(value)
        table.add_row(data_set.name, text)
    return table
