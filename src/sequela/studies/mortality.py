"""The report's study of mortality, as declared in ``declared/mortality-study.toml``."""

from sequela.studies.registry import STUDIES

STUDY = STUDIES["mortality"]
COHORTS, ASKED, TRAINING = STUDY.cohorts, STUDY.asked, STUDY.training
CLAIMS, REPORTED = STUDY.claims, STUDY.reported
FULL = STUDY.primary[0][1]
"""The number of subjects from which MIMIC-III is the full database, and the primary cohort."""
