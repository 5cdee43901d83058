"""Rules for counting, one file per kind of layer.

A rule reads the sizes of a call of a module or an operator, and returns the formulas of its
parameters and its work as a :class:`~sequela.cost.work.Layer`.
"""
