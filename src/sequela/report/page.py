"""The frame of all pages: one self-contained HTML file that fetches nothing."""

import base64
import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sequela.cohort.split import SETS
from sequela.evaluation.number import number
from sequela.figures.flow import css
from sequela.models.registry import title_of
from sequela.report.glossary import TERMS, Glossary, anchor
from sequela.runs.manifest import adding


def write_page(template: str, out: Path, **placed: Any) -> Path:
    """Write a page. The same content gives the same bytes each time."""
    script = _asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = (
        open_templates()
        .get_template(template)
        .render(
            style=Markup(_asset("style.css") + css()),  # noqa: S704 - files of the package
            script=Markup(script),  # noqa: S704 - a file of the package
            policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
            "base-uri 'none'; form-action 'none'",
            term=Glossary(),
            terms=TERMS,
            anchor=anchor,
            sets=SETS,
            **placed,
        )
    )
    with adding(out) as partial:
        partial.write_text(text, encoding="utf-8")
    return out


@cache
def open_templates(**further: Any) -> Environment:
    """Open the templates of pages, in which an undefined value is an error."""
    loader = PackageLoader("sequela.report")
    environment = Environment(
        loader=loader, autoescape=True, trim_blocks=True, undefined=StrictUndefined, **further
    )
    environment.filters |= {"number": number, "title_of": title_of}
    environment.filters["capital"] = lambda text: text[:1].upper() + text[1:]
    return environment


@cache
def _asset(name: str) -> str:
    return (files("sequela.report") / "templates" / name).read_text(encoding="utf-8")
