"""The inclusion rules, observation window, labels and split of a cohort."""
