"""Hospital tables that a file declares: the user's own, and published ones."""
