"""MIMIC-IV 2.x and 3.x, full or demo: declared in ``declared/mimic4.toml``."""

from sequela.tables.declared.source import published
from sequela.tables.sources.mimic3 import LATER

SOURCE = published("mimic4", later=LATER)
