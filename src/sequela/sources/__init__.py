"""Published data sets and formats: each is read, checked and turned into recordings or events."""
