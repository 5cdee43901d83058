"""Sample sizes and learning curves: how many patients a model and its evaluation need."""
