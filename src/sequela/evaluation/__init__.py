"""Predictions, metrics and their uncertainty."""
