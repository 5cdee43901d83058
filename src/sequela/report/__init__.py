"""Self-contained HTML pages and model cards made from run folders."""
