"""The 2019 report as data, and the only package that imports all others."""
