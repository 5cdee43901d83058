"""The short interface in Python: load, split, fit, evaluate, show."""
