"""axe-core finds nothing wrong with any page, in a browser, at each size and colour scheme."""

from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from sequela.analysis.explain import explain
from sequela.datasets.catalog import EXCERPTS
from sequela.report.pages.explanation_page import build_explanation
from sequela.runs.folder import RunFolder

VIEWS: list[tuple[int, Literal["light", "dark"]]] = [
    (360, "light"),
    (1400, "dark"),
]  # narrow: what scrolls; each scheme: contrast


@pytest.fixture
def shown(
    request: pytest.FixtureRequest, small_runs: list[RunFolder], synthetic: Path, tmp_path: Path
) -> Path:
    """A page of the kind that is asked for."""
    out = tmp_path / "page.html"
    match request.param:
        case "segments":
            return build_explanation(explain(small_runs[1].path, root=synthetic, steps=4), out)
        case "codes":
            run = request.getfixturevalue("record_runs")[6]
            return build_explanation(explain(run.path, root=EXCERPTS / "mimic3", steps=4), out)
    name = "page" if request.param == "both studies" else "small_page"
    return Path(request.getfixturevalue(name))


def violations(browser: Browser, page: Path) -> list[str]:
    """What axe-core finds, everything that is folded opened; the page is loaded once."""
    found = []
    with browser.new_page() as seen:
        seen.goto(page.as_uri())
        seen.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        for width, scheme in VIEWS:
            seen.set_viewport_size({"width": width, "height": 900})
            seen.emulate_media(color_scheme=scheme)
            for one in Axe().run(seen).response["violations"]:
                found += [f"{width}, {one['id']}: {node['html'][:200]}" for node in one["nodes"]]
            wide = seen.evaluate("document.documentElement.scrollWidth")
            if wide > width:
                found.append(f"the page is {wide} pixels wide on a screen of {width}")
    return found


@pytest.mark.slow(but="one study")
@pytest.mark.parametrize("shown", ["one study", "segments", "codes", "both studies"], indirect=True)
def test_no_page_has_a_violation(browser: Browser, shown: Path) -> None:
    assert violations(browser, shown) == []


@pytest.mark.slow
def test_a_violation_is_found(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(
        "<html lang='en'><title>t</title><main><h1>h</h1><details><summary>s</summary>"
        "<img src='a.png'></details><p style='width: 500px; color: #ddd'>pale</p></main>",
        "utf-8",
    )
    found = "\n".join(violations(browser, page))
    assert "image-alt: <img" in found
    assert "color-contrast: <p" in found
    assert "pixels wide on a screen of 360" in found
