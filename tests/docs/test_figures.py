"""What the page on figures shows is what happens, and it leaves no figure out."""

import doctest
import importlib
import inspect
import pkgutil
from pathlib import Path

from sequela import figures
from sequela.figures.figure import Figure
from sequela.figures.flow import FlowDiagram

PAGE = Path(__file__).parents[2] / "docs" / "figures.md"
INNER = {"forest.forest"}


def test_examples_in_python() -> None:
    results = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert results.attempted > 3
    assert results.failed == 0


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
