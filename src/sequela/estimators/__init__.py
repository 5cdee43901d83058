"""Classifiers with scikit-learn's interface, for the models and training of this package."""
