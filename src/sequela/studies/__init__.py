"""Studies as data, the two of the 2019 report among them, and the verdicts on their claims."""
