"""Classifiers with scikit-learn's interface, over the models and the training of this package."""
