"""MIMIC-III 1.4, full or demo: declared in ``declared/mimic3.toml``."""

from sequela.tables.declared.source import published

LATER = frozenset(
    {
        *("dischtime", "deathtime", "discharge_location", "hospital_expire_flag", "outtime"),
        *("dod", "dod_hosp", "dod_ssn", "expire_flag"),
    }
)
"""The columns that are known only after a stay, or a life, has ended."""
SOURCE = published("mimic3", later=LATER)
