"""The page on figures leaves no figure out."""

import importlib
import inspect
import pkgutil

from tests.docs.conftest import DOCS

from sequela import figures
from sequela.figures.figure import Figure
from sequela.figures.flow import FlowDiagram

PAGE = DOCS / "python.md"
INNER = {"forest.forest"}


def test_each_figure_and_each_of_its_arguments_stands_on_the_page() -> None:
    text = PAGE.read_text("utf-8")
    found = []
    for module in pkgutil.iter_modules(figures.__path__):
        loaded = importlib.import_module(f"sequela.figures.{module.name}")
        for name, value in vars(loaded).items():
            if not inspect.isfunction(value) or value.__module__ != loaded.__name__:
                continue
            signature = inspect.signature(value)
            if signature.return_annotation not in (Figure, FlowDiagram) or name.startswith("_"):
                continue
            given = ", ".join(
                f"{p.name}=" if p.kind is p.KEYWORD_ONLY else p.name
                for p in signature.parameters.values()
            )
            found.append((f"{module.name}.{name}", f"`{module.name}.{name}({given})`"))
    assert len(found) > 9
    assert [call for name, call in found if name not in INNER and call not in text] == []
