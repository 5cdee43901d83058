"""The fitting of a model: the loop, its history and its checkpoints."""
