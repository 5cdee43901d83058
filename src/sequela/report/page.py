"""The frame of all pages: one self-contained HTML file that fetches nothing."""

import base64
import hashlib
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sequela.cohort.split import SETS
from sequela.disclosure import Hidden
from sequela.evaluation.metrics import Metric
from sequela.evaluation.number import number, plural
from sequela.figures.flow import css
from sequela.models.registry import title_of
from sequela.report.glossary import TERMS, Glossary, anchor
from sequela.runs.manifest import adding


def write_page(template: str, out: Path, **values: object) -> Path:
    """Write a page. The same content gives the same bytes each time."""
    # The policy names the checksum of our script, so a browser runs no other one.
    script = _asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # Pages show names from foreign files, so nothing but our own script may run: a page that is
    # opened from a mail has no server to protect it.
    text = render(
        template,
        style=Markup(_asset("style.css") + css()),  # noqa: S704 - files of the package
        script=Markup(script),  # noqa: S704 - a file of the package
        policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'",
        **values,
    )
    with adding(out) as partial:
        partial.write_text(text, encoding="utf-8")
    return out


def render(template: str, **values: object) -> str:
    """Render a template of pages, with the terms of a new glossary."""
    return open_templates().get_template(template).render(term=Glossary(), **values)


@cache
def open_templates(
    *,
    autoescape: bool = True,
    finalize: Callable[..., object] | None = None,
    keep_trailing_newline: bool = False,
) -> Environment:
    """Open the templates of pages and cards, in which an undefined value is an error."""
    environment = Environment(
        loader=PackageLoader("sequela.report"),
        autoescape=autoescape,  # noqa: S701 - else the caller escapes the text
        trim_blocks=True,
        # A misspelt value would otherwise be an empty place on a page that people trust.
        undefined=StrictUndefined,
        finalize=finalize,
        keep_trailing_newline=keep_trailing_newline,
    )
    environment.filters |= {
        "capital": lambda text: text[:1].upper() + text[1:],
        "n": "{:,}".format,
        "number": number,
        "of": _of,
        "percent": lambda share, digits=0: number(share, f".{digits}%").replace("%", " %"),
        "plural": plural,
        "title_of": title_of,
    }
    environment.tests["hidden"] = lambda value: isinstance(value, Hidden)
    environment.globals |= {"sets": SETS, "terms": TERMS, "anchor": anchor}
    environment.globals["prose"] = environment.get_template("prose.j2").module
    return environment


def _of(value: float | Hidden | None, metric: Metric) -> str:
    return number(value, metric.form).replace("%", " %")


@cache
def _asset(name: str) -> str:
    return (files("sequela.report") / "templates" / name).read_text(encoding="utf-8")
