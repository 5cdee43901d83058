"""The short way in Python: load, split, fit, evaluate, show; everything says what it is."""
