"""EEG files to recordings to windows: published data sets and a user's own, by a declaration.

- ``declaration.py``: the ``signals.toml`` and options, checked and merged.
- ``reading.py``: a path and its declaration to windows, by the right reader.
- ``tables.py``: csv, Parquet, npy and npz files, one row a segment or one row a sample.
- ``channels.py``: names, aliases and pairs of channels, and units.
- ``windows.py``: windows written to disk while they are cut, and resampling.
- ``events.py``: the class of a window, from the events in it.
"""
