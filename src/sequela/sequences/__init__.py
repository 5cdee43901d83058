"""The inputs of models: scaling, vocabularies, flat storage and batches."""
