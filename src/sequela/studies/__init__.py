"""The 2019 report as data, and the one place that joins the rooms below."""
