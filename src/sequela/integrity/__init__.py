"""Verification of finished runs, and the log of evaluations on test sets."""
