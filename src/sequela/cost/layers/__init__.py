"""Facts about a layer's call and its exact count, one file per kind of layer.

A layer is a frozen dataclass of sizes, read from a module or an operator by ``modules.py`` and
``operators.py``. It has formulas of its parameters and its work; conventions may count the same
facts in another way.
"""
