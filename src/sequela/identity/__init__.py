"""Keyed ids and fingerprints, by which people and copies are recognised."""
