"""Attacks on the audit: known ways to inflated scores, planted into the open data."""
