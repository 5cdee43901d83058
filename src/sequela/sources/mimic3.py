"""MIMIC-III 1.4, full or demo: declared in ``declared/mimic3.toml``."""

from sequela.sources.declared.source import published

SOURCE = published("mimic3")
