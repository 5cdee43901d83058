"""Clinical sequence models: from raw EEG and hospital tables to an honest evaluation."""

__version__ = "0.1.0"
