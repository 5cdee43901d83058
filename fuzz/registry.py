"""The parsers by name; a new one is added to the ``PARSERS`` of a file in ``parsers/``."""

from fuzz.parser import Parser
from fuzz.parsers import meds, runs, signals, stays, tables

PARSERS: dict[str, Parser] = {
    parser.name: parser for family in (signals, stays, runs, tables, meds) for parser in family.PARSERS
}
