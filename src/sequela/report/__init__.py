"""Self-contained HTML pages and model cards made from run folders.

An import of this package gives it the name ``sequela.report``, which is a public function as well.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from sequela.runs.find import Run


class _Callable(ModuleType):
    def __call__(self, *runs: "Path | str | Run", **options: Any) -> "Path":
        """Build one HTML page from runs; see :func:`sequela.report.pages.build.report`."""
        from sequela.report.pages.build import report

        return report(*runs, **options)


sys.modules[__name__].__class__ = _Callable
