"""Cohorts: the inclusion rules, the observation window, the labels and the split."""
