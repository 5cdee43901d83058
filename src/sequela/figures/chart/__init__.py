"""What pictures are made of: frames, lines, labels and tables."""
