"""The parts that pictures share: the figure with its theme, and marks."""
