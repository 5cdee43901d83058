"""EEG files to recordings to windows: published data sets and a user's own, by a declaration.

- ``declaration.py``: the ``signals.toml`` and options, checked and merged.
- ``reading.py``: a path and its declaration to windows, by the right source.
- ``folders.py`` and ``segment_tables.py``: the two sources of stretches of signal.
- ``stretches.py``, ``cutting.py`` and ``segments.py``: a stretch, its windows, and those of all.
- ``channels.py``: names, aliases and pairs of channels, and units.
- ``window_classes.py``: the class of a window, from the events in it.
"""
