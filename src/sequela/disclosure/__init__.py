"""Rules for what may be shown: no cell of few people."""
