"""The ``sequela data`` commands: list, describe and check data."""
