"""The parsers by name; a new one is added to the ``PARSERS`` of a file in ``parsers/``."""

from fuzz.parser import Parser
from fuzz.parsers import (
    arguments,
    edf,
    edited,
    expressions,
    meds,
    omop_times,
    onnx_files,
    runs,
    signals,
    stays,
    tables,
)

FAMILIES = (
    signals,
    edf,
    stays,
    runs,
    tables,
    meds,
    arguments,
    edited,
    onnx_files,
    expressions,
    omop_times,
)
PARSERS: dict[str, Parser] = {parser.name: parser for of in FAMILIES for parser in of.PARSERS}
