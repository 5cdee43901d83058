"""Who is in, from when to when, with which label, and in which part of a split."""
