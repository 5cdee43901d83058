"""One file for each family of parsers."""
