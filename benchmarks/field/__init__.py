"""Sequela compared with what a user would write without it, and with other packages."""
