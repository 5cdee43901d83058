"""The 2019 report as data, and the only place that combines the packages below."""
