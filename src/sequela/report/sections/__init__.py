"""Sections of the page of runs."""
