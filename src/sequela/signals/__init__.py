"""EEG files to recordings to windows: published data sets and a user's own, by a declaration.

- ``reading.py``: the ``signals.toml`` and options, checked and merged, and a path to windows.
- ``folders.py`` and ``segment_tables.py``: the two sources of stretches of signal.
- ``stretches.py``, ``cutting.py`` and ``segments.py``: a stretch, its windows, and those of all.
- ``channels.py``: names, aliases and pairs of channels, and units.
- ``window_classes.py``: the class of a window, from the events in it.
"""
