"""Safe readers of foreign files: limits, checksums, csv, arrays and columns."""
