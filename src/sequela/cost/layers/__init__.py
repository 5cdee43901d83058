"""Facts about a layer's call and its exact count, one noun a file.

A layer is a frozen dataclass of sizes, read from a module or an operator by ``modules.py`` and
``operators.py``. It knows its parameters and its work as formulas; conventions may count the same
facts in another way.
"""
