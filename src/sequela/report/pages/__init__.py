"""Whole pages, each one HTML file."""
