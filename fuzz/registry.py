"""The parsers by name; a new one is added to the ``PARSERS`` of a file in ``parsers/``."""

from fuzz.parser import Parser
from fuzz.parsers import signals

PARSERS: dict[str, Parser] = {
    parser.name: parser for family in (signals,) for parser in family.PARSERS
}
