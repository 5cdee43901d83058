"""Finished runs used again: evaluation, comparison, external validation, ensembles, searches."""
