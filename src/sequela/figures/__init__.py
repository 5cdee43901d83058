"""Figures made from data."""
