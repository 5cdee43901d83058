"""Fitting a model: the loop, its history and its checkpoints."""
