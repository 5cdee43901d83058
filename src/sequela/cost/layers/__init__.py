"""Facts about a layer's call and its exact count, one file per kind of layer.

Each function takes the sizes of a call, read from a module or an operator by ``modules.py`` and
``operators.py``, and returns a :class:`~sequela.cost.work.Layer`: the formulas of its
parameters and its work.
"""
