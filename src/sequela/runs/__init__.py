"""Runs: data, split, training, run folder, cross-validation and evaluation."""
