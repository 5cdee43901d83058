"""What models eat: scaling, vocabularies, flat storage and batches."""
