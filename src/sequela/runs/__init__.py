"""One run of anything: data, split, fit, folder; folds, and the evaluation of finished runs."""
