"""How the site is built from these pages: `make docs`. Every warning is an error."""

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config, GoogleDocstring
from sphinx.util import logging

import sequela

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
import gallery  # noqa: E402 - these stand in the folder just named
import reference_pages  # noqa: E402

project = "Sequela"
os.environ.pop("SEQUELA_DATA", None)  # notebooks show the data in the package
version = release = sequela.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc"]
# The pages are read where they lie, so that their links also work without a site.
root_doc, GALLERY = "docs/index", "docs/contributing/gallery"
LICENCES = "src/sequela/datasets/excerpts/LICENCES"
include_patterns = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    f"{LICENCES}.md",
    "docs/**.md",
    "docs/notebooks/*.ipynb",
    "docs/reference/*.rst",
]
exclude_patterns = [".*", "build", "dist", "node_modules"]

myst_heading_anchors = 3
# Notebooks are run in each build; one that fails stops it.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_execution_in_temp = True
nb_merge_streams = True
nb_output_stderr = "remove"  # warnings of others about this machine
smartquotes = False  # options begin with two hyphens
autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    "exclude-members": "set_fit_request, set_score_request",  # scikit-learn writes these
}
autodoc_typehints_format = "short"
autodoc_use_type_comments = False  # all are annotations
nitpicky = True
nitpick_ignore_regex = [
    # Names of other packages lead nowhere, for want of a network; those of this one must.
    (r"py:.*", r"(?!sequela\.)[a-z_]\w*\..*"),
    (r"py:exc", "NotFittedError"),
    # Annotations that are kept as text, types of a module's own, and defaults of pydantic's fields.
    (r"py:class", r"(dict|tuple)\[\w+|nn\.Module|DuckDBPy\w+|InferenceSession|FastAPI|SplitUnit"),
    (r"py:class", "NDArray|csr_array|Axes|HistGradientBoostingClassifier|Tensor|DataLoader"),
    (r"py:class", "Arrays|History|Measured|SegmentLength|Severity|ClassifierMixin|AliasChoices"),
    (r"py:class", r"sequela\.[\w.]+\.(_\w+|T|Part|Model|Number|Batch|Annotated)"),
    (r"py:class", "FieldInfo|MinLen|Ge|Gt|Le|NoneType|PydanticUndefined|_PydanticGeneralMetadata"),
]

html_theme = "pydata_sphinx_theme"
html_title = f"Sequela {version}"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_sidebars = {"**": ["globaltoc"]}  # all pages, in one list
html_theme_options = {
    "navbar_center": [],
    "show_prev_next": False,
    "show_toc_level": 2,
}

_GOOGLE = Config(
    napoleon_use_rtype=False,
    napoleon_attr_annotations=False,
    napoleon_custom_sections=[("Dimensions", "params_style")],
)
_TOP = (
    "start signals one-row tables omop tasks models evaluation network-study audit python predict "
    "pages survival reproduce reference contributing/index"
)
"""The pages of the bar, in the order in which a reader needs them."""
_BELOW = {
    "docs/python": re.compile(r"\]\((notebooks/[\w-]+)\.ipynb\)"),
    "docs/contributing/index": re.compile(r"\]\(([\w-]+)\.md\)"),
}
"""Pages whose links of this form are the list of what stands below them."""


def _write_reference(_: Sphinx) -> None:
    for name in reference_pages.lacking():
        logging.getLogger(__name__).warning("%s has no documentation", name)
    reference_pages.write(ROOT / "docs" / "reference")


def _list_pages(_: Sphinx, page: str, source: list[str]) -> None:
    """The bars at the top and at the side."""
    if page == root_doc:
        source[0] += _contents(*_TOP.split())
    elif page == "docs/reference":
        source[0] += _contents("Commands <reference/commands>", "Python names <reference/api>")
    elif page == GALLERY:
        source[0] = source[0].replace("<!-- pages -->", gallery.listed("gallery"))
    elif page in _BELOW:
        texts = ("/CONTRIBUTING", "/SECURITY", "/CHANGELOG", f"/{LICENCES}")
        more = texts if page.endswith("index") else ()
        source[0] += _contents(*dict.fromkeys(_BELOW[page].findall(source[0])), *more)


def _contents(*pages: str) -> str:
    entries = "".join(f"{page}\n" for page in pages)
    return f"\n```{{toctree}}\n:hidden:\n\n{entries}```\n"


def _read_google_style(
    app: Sphinx, what: str, name: str, value: object, options: Any, lines: list[str]
) -> None:
    """Sections of docstrings become fields.

    Sphinx's own handler would take what stands before a colon in a property's text for its type.
    """
    kind = "method" if what == "property" else what
    if kind not in ("attribute", "data"):
        lines[:] = GoogleDocstring(lines, _GOOGLE, app, kind, name, value, options).lines()


def _write_gallery(app: Sphinx, error: Exception | None) -> None:
    """Pages of quick runs, beside the page that lists them."""
    if error is None and app.builder.format == "html":
        gallery.write(Path(app.outdir) / GALLERY)


def _copy_networks(app: Sphinx, error: Exception | None) -> None:
    """Pages of a network study and of a site, beside the page that describes them."""
    if error is None and app.builder.format == "html":
        out = Path(app.outdir) / "docs" / "network"
        shutil.copytree(ROOT / "docs" / "network", out, dirs_exist_ok=True)


def _lead_in(app: Sphinx, error: Exception | None) -> None:
    """The site's own address leads to its first page."""
    if error is None and app.builder.format == "html":
        target = app.builder.get_target_uri(root_doc)
        text = (
            '<!doctype html><html lang="en"><title>Sequela</title>'
            f'<meta http-equiv="refresh" content="0; url={target}">'
            f'<a href="{target}">Sequela\'s documentation</a></html>\n'
        )
        (Path(app.outdir) / "index.html").write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Sphinx calls this."""
    app.connect("builder-inited", _write_reference)
    app.connect("source-read", _list_pages)
    app.connect("autodoc-process-docstring", _read_google_style)
    app.connect("build-finished", _write_gallery)
    app.connect("build-finished", _copy_networks)
    app.connect("build-finished", _lead_in)
