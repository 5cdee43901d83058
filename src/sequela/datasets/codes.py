"""Families of codes: their names, and their properties that decide what a model may read.

The family of a code is its first part: ``ICD9CM`` of ``ICD9CM//4280``. Other writers of MEDS data
have other names for the same codes. The aliases here are those of two public converters of
MIMIC-IV: MIMIC_IV_MEDS (``DIAGNOSIS//ICD//9//4280``) and meds_etl (``ICD9CM/428.0``). A family that
is not listed here is undeclared: it is unknown when its codes become available, so the audit
reports them inside a stay that had not ended. Declare other families with
``sequela.register.family``.

Sources: https://github.com/Medical-Event-Data-Standard/MIMIC_IV_MEDS and
https://github.com/Medical-Event-Data-Standard/meds_etl.
"""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sequela.errors import SettingError
from sequela.plugins import Registry

BIRTH = "MEDS_BIRTH"
DEATH = "MEDS_DEATH"
ADMISSION = "HOSPITAL_ADMISSION"
DISCHARGE = "HOSPITAL_DISCHARGE"
ICU_ADMISSION = "ICU_ADMISSION"
ICU_DISCHARGE = "ICU_DISCHARGE"
OUTCOME = "HOSPITAL_OUTCOME"
EXPIRED = f"{OUTCOME}//expired"
ALIVE = f"{OUTCOME}//alive"
FOLLOW_UP_END = "FOLLOW_UP_END"
STAY = "STAY"
NOTHING_CHARTED = f"{STAY}//nothing charted"
ADMISSION_DIAGNOSIS = "ADMISSION_DX"
ENTRY = "COHORT_ENTRY"
APACHE_PREDICTION = "APACHE_PREDICTION"
SCORE = "SCORE"
AGE = "AGE"
SEX = "GENDER"
ETHNICITY = "ETHNICITY"
SITE = "HOSPITAL"
CELL = "CELL"


@dataclass(frozen=True)
class Family:
    """A family of codes.

    Attributes:
        name: Name in the sources here: ``ICD9CM``.
        words: Description of the codes.
        aliases: Names that other writers give the same family.
        dot: Characters before the dot of a code; ``None`` where codes have no dot.
        dot_of_e: The same for codes that begin with E, where they differ (ICD-9 diagnoses).
        coded_later: The reason that a code of a stay is only known after its discharge, if so.
            Dated earlier, it comes from the future.
        charted: The time of a code is the time it was recorded, inside the stay: a measurement, a
            drug that was given, an admission.
        demographic: An attribute of the person rather than an event: read only where a study
            requires it.
        label_only: Makes labels, cohorts, splits or ages: no model ever reads it.
        answer: Another model's prediction of the outcome, or a score made to predict it: read only
            where a task names it.
        ending: The code states how a stay or a part of it ended.
        visit_mark: Shows that a visit took place, even where no model reads the code.
        path: The separator of levels in a code that is a path, from the widest to its own.
    """

    name: str
    words: str = ""
    aliases: tuple[str, ...] = ()
    dot: int | None = None
    dot_of_e: int | None = None
    coded_later: str = ""
    charted: bool = False
    demographic: bool = False
    label_only: bool = False
    answer: bool = False
    ending: bool = False
    visit_mark: bool = False
    path: str = ""

    @property
    def declared(self) -> bool:
        """True if it is known when its codes become available, or no model reads them as events."""
        return self.charted or bool(self.coded_later) or self.demographic or self.label_only


_LISTED = tomllib.loads(Path(__file__).with_name("families.toml").read_text("utf-8"))
_LATER: dict[str, str] = {}
for _why, _names in _LISTED.pop("coded_later").items():
    _LATER |= dict.fromkeys(_names, _why)
# The families for which it is known when their codes become available.
FAMILIES = tuple(
    Family(
        name,
        **{**fields, "aliases": tuple(fields.get("aliases", ()))},
        coded_later=_LATER.get(name, ""),
    )
    for name, fields in _LISTED.items()
)


def _check(_: str, family: Family) -> None:
    """Check a new family: its names are free, and it states when its codes become known."""
    for name in (family.name, *family.aliases):
        if name in NAMED:
            raise SettingError(
                f"a family of codes '{name}' is declared already, as {NAMED[name].words}: choose "
                "another name"
            )
    if not family.declared:
        raise SettingError(
            f"family '{family.name}' does not state when its codes become known: expected "
            "charted=True, or coded_later with the reason they are known only after the discharge"
        )


NAMED = Registry("family of codes", Family, _check)
for _family in FAMILIES:
    NAMED |= dict.fromkeys((_family.name, *_family.aliases), _family)
"""The declared families by each of their names: those of the list, and registered ones."""


def register(family: Family) -> None:
    """Register a family of codes, or other names of it."""
    NAMED.add(family)
    NAMED.update(dict.fromkeys(family.aliases, family))
    # Codes that were looked up before may belong to the new family.
    family_of.cache_clear()


def _known_beginning(code: str) -> str | None:
    """Return the longest name of a family that a code begins with."""
    # From the longest beginning on: DIAGNOSIS//ICD//9 and DIAGNOSIS may be two families.
    beginning = code
    while beginning not in NAMED:
        beginning, slash, _ = beginning.rpartition("/")
        if not slash:
            return None
        beginning = beginning.rstrip("/")
    return beginning


@lru_cache(maxsize=1 << 16)
def family_of(code: str) -> Family:
    """Return the family of a code, or of a template of codes; the longest matching name counts.

    Example:
        >>> [family_of(c).name for c in ("ICD9CM//4280", "PROCEDURE//ICD//9//3961", "ICD9CM/428.0")]
        ['ICD9CM', 'ICD9PROC', 'ICD9CM']
        >>> family_of("LAB//50912//mg/dL").charted, family_of("SNOMED//44054006").declared
        (True, False)
    """
    beginning = _known_beginning(code)
    return Family(code.split("/", maxsplit=1)[0]) if beginning is None else NAMED[beginning]


def body_of(code: str) -> str:
    """Return the part of a code after its family's name.

    Example:
        >>> body_of("GENDER//F"), body_of("MIMIC_IV_Gender/F"), body_of("LAB//50912//mmHg")
        ('F', 'F', '50912//mmHg')
    """
    return code[len(_known_beginning(code) or code.split("/", maxsplit=1)[0]) :].lstrip("/")


def families_named(names: Iterable[str]) -> frozenset[str]:
    """Return the canonical names of families, from these names or aliases.

    Example:
        >>> sorted(families_named(["DIAGNOSIS//ICD//9", "LAB", "CHART//220045"]))
        ['ICD9CM', 'LAB']
    """
    families = {name: family_of(name) for name in names}
    # A longer text that only begins with a name is a code, and not a family.
    return frozenset(f.name for name, f in families.items() if name in {f.name, *f.aliases})


def families_where(trait: str) -> tuple[str, ...]:
    """Return the names of the families that have a trait."""
    return tuple(dict.fromkeys(f.name for f in NAMED.values() if getattr(f, trait)))
