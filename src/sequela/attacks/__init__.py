"""Attacks on the audit: known ways to numbers that are too good, planted into the open data."""
