"""How a page reads: its words, its screens, what is cut off, and what axe-core finds.

    python benchmarks/page.py reproduction/report.html [--shots DIR]

Words and screens are those of the page as it opens, with everything that is folded left folded. A
screen is 1280 x 800 pixels, or 390 x 844. An element is cut off where it ends outside of the
screen, or of a box that hides what does not fit, and no box around it can be scrolled.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, sync_playwright

SCREENS = {1280: 800, 390: 844}
WIDTHS = (320, 390, 768, 1280, 1920, 2560)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_CUT_OFF = """() => {
  const found = [];
  for (const element of document.body.querySelectorAll('*')) {
    if (element.closest('svg') && element.tagName !== 'svg') continue;
    if (!element.checkVisibility({contentVisibilityAuto: true})) continue;
    const box = element.getBoundingClientRect();
    if (!box.width || !box.height) continue;
    let right = document.documentElement.clientWidth, scrolls = false;
    for (let outer = element.parentElement; outer; outer = outer.parentElement) {
      const how = getComputedStyle(outer).overflowX;
      if (how === 'auto' || how === 'scroll') { scrolls = true; break; }
      if (how === 'hidden') right = Math.min(right, outer.getBoundingClientRect().right);
    }
    if (!scrolls && (box.right > right + 1 || box.left < -1)) {
      found.push(`${element.tagName} ${element.className}: ${element.textContent.slice(0, 40)}`);
    }
  }
  return found;
}"""
_SCROLLED = """() => [...document.querySelectorAll('.scroll')]
  .filter(each => each.checkVisibility() && each.scrollWidth > each.clientWidth + 1)
  .map(each => each.getAttribute('aria-label'))"""
_WORDS = "() => document.body.innerText.split(/\\s+/).filter(Boolean).length"
_HEIGHT = "() => document.documentElement.scrollHeight"
_OPEN = "() => document.querySelectorAll('details').forEach(each => each.open = true)"


def measure(page: Path, shots: Path | None = None) -> dict[str, Any]:
    """All numbers of one page.

    Args:
        page: The file.
        shots: Where to save pictures of it, if anywhere.
    """
    browser = next(path for name in BROWSERS if (path := shutil.which(name)))
    found: dict[str, Any] = {"bytes": page.stat().st_size, "screens": {}, "cut_off": {}}
    found |= {"scrolled_in_itself": {}, "axe": {}}
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        for width in WIDTHS:
            seen = opened.new_page(viewport={"width": width, "height": SCREENS.get(width, 900)})
            seen.goto(page.resolve().as_uri())
            if width in SCREENS:
                found["screens"][width] = round(seen.evaluate(_HEIGHT) / SCREENS[width], 1)
                found["words"] = seen.evaluate(_WORDS)
            if shots:
                seen.screenshot(path=shots / f"{width}.png", full_page=True)
                seen.screenshot(path=shots / f"{width}-first.png")
            seen.evaluate(_OPEN)
            found["cut_off"][width] = seen.evaluate(_CUT_OFF)
            found["scrolled_in_itself"][width] = seen.evaluate(_SCROLLED)
            seen.close()
        for scheme in ("light", "dark"):
            seen = opened.new_page(viewport={"width": 1280, "height": 800}, color_scheme=scheme)
            seen.goto(page.resolve().as_uri())
            if shots and scheme == "dark":
                seen.screenshot(path=shots / "dark.png", full_page=True)
            found["axe"][scheme] = _violations(seen)
            if shots and scheme == "light":
                seen.pdf(path=shots / "print.pdf", format="A4")
            seen.close()
        opened.close()
    return found


def _violations(seen: Page) -> list[str]:
    seen.evaluate(_OPEN)
    violations = Axe().run(seen).response["violations"]
    return [f"{one['id']}: {node['html'][:120]}" for one in violations for node in one["nodes"]]


def main() -> None:
    """Print the numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("--shots", type=Path)
    given = parser.parse_args()
    if given.shots:
        given.shots.mkdir(parents=True, exist_ok=True)
    print(json.dumps(measure(given.page, given.shots), indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
