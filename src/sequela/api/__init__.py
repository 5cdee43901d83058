"""The Python interface: scikit-learn's estimators and functions for notebooks."""
