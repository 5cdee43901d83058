"""The version of this package, in a module that everything can import."""

__version__ = "0.3.0.dev0"
