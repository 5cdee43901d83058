"""Published hospital databases, each as a source of tables."""
