"""The version of this package, where everything that writes it down can import it."""

__version__ = "0.2.0"
