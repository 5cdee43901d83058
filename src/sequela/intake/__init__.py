"""The ``sequela data`` commands: list, fetch, describe and check data."""
