"""The catalogue of data sets, families of codes, and the excerpts that are shipped."""
