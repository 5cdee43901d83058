"""Plain torch modules, each with a frozen config, and the registry of their names."""
