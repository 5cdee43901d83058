"""Hospital tables that a file declares: anybody's, and published ones."""
