"""MIMIC-III 1.4, full or demo: declared in ``declared/mimic3.toml``."""

from sequela.sources.declared.source import published
from sequela.sources.mimic import LATER

SOURCE = published("mimic3", later=LATER)
