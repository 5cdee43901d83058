"""The training loop of a model, its history and its checkpoints."""
