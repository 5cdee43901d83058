"""Rules and conventions for counting, and their formulas."""
