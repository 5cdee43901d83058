"""Leak checks: two parts of a split in, findings out.

An import of this package gives it the name ``sequela.audit``, which is a public function as well.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

PLACE = "sequela.report.pages.audit_page"
"""The module of the function, which is above this package."""


class _AuditFunction(ModuleType):
    def __call__(self, *inputs: object, **options: object) -> Any:
        """Look for leaks in data, splits and predictions; see the function ``audit`` there."""
        return import_module(PLACE).audit(*inputs, **options)


sys.modules[__name__].__class__ = _AuditFunction  # a module cannot define ``__call__`` itself
