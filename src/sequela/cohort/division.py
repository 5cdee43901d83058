"""The split of a cohort for a run: by subject, site or time, each subject in one part."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sequela.cohort.attributes import sites_of
from sequela.cohort.selection import Cohort
from sequela.cohort.split import Split, at_first, divided_by_time, draw_for, periods
from sequela.config import RunSettings
from sequela.datasets import catalog
from sequela.datasets.codes import SITE
from sequela.errors import SplitError
from sequela.formats.columns import values_of
from sequela.identity.pseudonyms import Ids
from sequela.tables.account import ACCOUNT, read_account


@dataclass(frozen=True)
class Division:
    """A cohort in parts: for each example an index into ``PARTS`` and, by site, its hospital."""

    cohort: Cohort
    split: Split
    part: NDArray[np.int64]
    site: Ids | None = None


def divide(cohort: Cohort, settings: RunSettings) -> Division:
    """Split a cohort as the settings of a run require."""
    # The account names the data set, and so the units that its publisher allows.
    if (cohort.events.root / ACCOUNT).is_file():
        built_from = str(read_account(cohort.events.root).get("source"))
        if built_from in catalog.DATA_SETS:
            catalog.lookup(built_from).check_split(settings.split)
    if settings.split == "time":
        return _by_time(cohort, settings)
    site = None
    if settings.split == "site":
        cohort, site = by_site(cohort)
        if site is None:
            raise SplitError(
                f"no hospital is on record by the time of prediction (code {SITE}//...), so these "
                "data cannot be split by site: use --split subject"
            )
    ids = {"row": cohort.example_id, "subject": cohort.subject_id.astype(np.str_)}
    split, part = draw_for(settings, cohort.label, ids if site is None else {**ids, "site": site})
    return Division(cohort, split, part, site)


def by_site(cohort: Cohort) -> tuple[Cohort, Ids | None]:
    """Keep each subject at the site of its first example, and return the sites too.

    Sites are str (example,). Examples at other sites are left out, and so are examples without a
    site. Where no example has a site the cohort is returned unchanged, and the sites are ``None``.
    """
    site = sites_of(cohort.events, cohort.labels)
    on_record = site != ""
    if not on_record.any():
        return cohort, None
    included = on_record.copy()
    included[on_record] = at_first(cohort.subject_id[on_record].astype(np.str_), site[on_record])
    reason = "the subject was first seen at another site; subjects and sites stay whole"
    removed = {
        "site not known": ("no hospital is on record", ~on_record),
        "another site": (reason, on_record & ~included),
    }
    return cohort.only(included, removed), site[included]


def _by_time(cohort: Cohort, settings: RunSettings) -> Division:
    """Assign subjects to the period of their first prediction; later predictions elsewhere go."""
    subject = cohort.subject_id.astype(np.str_)
    time = values_of(cohort.labels["prediction_time"])
    part = periods(subject, time, settings.fractions)
    included = at_first(subject, part)
    reason = "the subject was first seen in an earlier period; subjects and periods stay whole"
    cohort = cohort.only(included, {"a later period": (reason, ~included)})
    split = divided_by_time(
        label=cohort.label,
        subject=subject[included],
        time=time[included],
        part=part[included],
        seed=settings.seed_of_split,
        fractions=settings.fractions,
    )
    return Division(cohort, split, part[included])
