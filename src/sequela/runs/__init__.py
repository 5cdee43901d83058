"""One run of anything: data, split, fit, folder; folds, and what is asked of finished runs."""
