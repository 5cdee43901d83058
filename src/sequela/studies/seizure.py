"""The report's study of EEG, as declared in ``declared/seizure-study.toml``."""

from sequela.studies.file import shipped

STUDY = shipped("seizure")
DATA, TRAINING, CLAIMS = STUDY.data, STUDY.training, STUDY.claims
AREAS = ("tumour area", "healthy area")
