"""The pages of the site that come from the code: every public name and every command.

``docs/conf.py`` calls this when the site is built, and warns of each public name without a
docstring and of each command or option without a line of help. A warning stops the build.
"""

import importlib
import inspect
import pkgutil
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from cyclopts import App

import sequela
from sequela.cli.app import build_app
from sequela.report.pages.audit_page import audit
from sequela.report.pages.build import report

ROOMS_LEFT_OUT = {"cli", "__main__"}  # the commands have a page of their own


def rooms() -> dict[str, list[ModuleType]]:
    """The package's modules by room, in the order of their names."""
    found: dict[str, list[ModuleType]] = {}
    for each in pkgutil.walk_packages(sequela.__path__, "sequela."):
        room = each.name.split(".")[1]
        if room not in ROOMS_LEFT_OUT and "._" not in each.name:
            found.setdefault(room, []).append(importlib.import_module(each.name))
    return found


def undocumented_names() -> list[str]:
    """Public classes, functions, methods and properties without a docstring of their own."""
    return [
        f"{module.__name__}.{name}"
        for modules in rooms().values()
        for module in modules
        for name, value in _public(module)
        if not inspect.cleandoc(value.__doc__ or "") or _made_up(name, value)
    ]


def _public(module: ModuleType) -> Iterator[tuple[str, object]]:
    """What a module defines itself, with its classes' members."""
    for name, value in vars(module).items():
        is_own = getattr(value, "__module__", None) == module.__name__
        if name.startswith("_") or not is_own:
            continue
        if inspect.isfunction(value):
            yield name, value
        if inspect.isclass(value):
            yield name, value
            for inner, member in vars(value).items():
                if isinstance(member, classmethod | staticmethod):
                    member = member.__func__  # noqa: PLW2901
                if not inner.startswith("_") and (
                    inspect.isfunction(member) or isinstance(member, property)
                ):
                    yield f"{name}.{inner}", member


def _made_up(name: str, value: object) -> bool:
    """Whether a dataclass wrote the docstring itself: its name and fields."""
    return inspect.isclass(value) and (value.__doc__ or "").startswith(f"{name}(")


def undocumented_commands(within: App | None = None, path: str = "sequela") -> list[str]:
    """Commands and options without help."""
    within = within or build_app()
    lacking = []
    for name in (each for each in within if not each.startswith("-")):
        command, words = within[name], f"{path} {name}"
        if not command.help:
            lacking.append(words)
        if any(not each.startswith("-") for each in command):
            lacking += undocumented_commands(command, words)
            continue
        lacking += [
            f"{words} {argument.name}"
            for argument in command.assemble_argument_collection(parse_docstring=True)
            if argument.show and not argument.parameter.help
        ]
    return lacking


def lacking() -> list[str]:
    """Public names, commands and options without documentation."""
    return undocumented_names() + undocumented_commands()


def write(folder: Path) -> None:
    """Write the pages into a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pages = {"commands": _commands(), "api": _contents()}
    pages |= {f"api-{room}": _room(room, modules) for room, modules in rooms().items()}
    for name, text in pages.items():
        (folder / f"{name}.rst").write_text(text, encoding="utf-8")


def _heading(text: str, line: str) -> str:
    return f"{text}\n{line * len(text)}\n\n"


def _commands() -> str:
    told: str = build_app().generate_docs(output_format="rst")
    return re.sub(r"^\.\. contents::.*?\n\n", "", told, count=1, flags=re.MULTILINE | re.DOTALL)


def _contents() -> str:
    short = "".join(
        f"- :py:{'class' if inspect.isclass(value) else 'func'}:"
        f"`sequela.{name} <{value.__module__}.{name}>`: "
        f"{inspect.cleandoc(value.__doc__).splitlines()[0]}\n"
        for name in sequela.__all__
        if callable(value := _named(name))
    )
    listed = "".join(f"   api-{room}\n" for room in rooms())
    return (
        _heading("Python reference", "=")
        + f"The names in ``sequela``:\n\n{short}\n"
        + "All public names, by package:\n\n"
        + f".. toctree::\n   :maxdepth: 1\n\n{listed}"
    )


def _named(name: str) -> Any:
    """What a name in ``sequela`` is; two of them are packages that can be called as well."""
    return {"audit": audit, "report": report}.get(name, getattr(sequela, name))


def _room(room: str, modules: list[ModuleType]) -> str:
    text = _heading(f"sequela.{room}", "=")
    for module in modules:
        if module.__name__ != f"sequela.{room}":
            text += _heading(module.__name__.removeprefix(f"sequela.{room}."), "-")
        text += f".. automodule:: {module.__name__}\n\n"
    return text
