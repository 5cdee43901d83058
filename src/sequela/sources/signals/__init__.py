"""Anybody's EEG: tables of segments and folders of recordings, read by a declaration.

- ``declaration.py``: what a ``signals.toml`` and options say of the data, checked and merged.
- ``reading.py``: a path and its declaration to windows; which reader reads what.
- ``tables.py``: csv, Parquet, npy and npz files, one row a segment or one row a sample.
- ``channels.py``: names, aliases and pairs of channels, and units.
- ``windows.py``: windows that are written to disk as they are cut, and resampling.
- ``events.py``: which class a window has by the events that it meets.
"""
