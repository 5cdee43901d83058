"""The report's study of EEG, as declared in ``declared/seizure-study.toml``."""

from sequela.studies.registry import STUDIES

STUDY = STUDIES["seizure"]
DATA, TRAINING, CLAIMS = STUDY.data, STUDY.training, STUDY.claims
AREAS = ("tumour area", "healthy area")
