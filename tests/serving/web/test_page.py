"""The page in a real browser, as a person uses it: keyboard, errors, phone, both colour schemes."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from sequela.datasets.catalog import Recording
from sequela.serving import load
from sequela.serving.served_model import ServedModel

VIEWS: list[tuple[int, Any]] = [(360, "light"), (1200, "dark")]
expect.set_options(timeout=20_000)  # a first prediction imports scikit-learn


@pytest.fixture(scope="module")
def address(baseline: Path, running: Callable[..., Any]) -> Iterator[str]:
    """A linear model of the spectrum."""
    with running(load(baseline)) as page:
        yield page


@pytest.fixture(scope="module")
def of_visits(visits: ServedModel, running: Callable[..., Any]) -> Iterator[str]:
    with running(visits) as page:
        yield page


@pytest.fixture
def files(excerpt: dict[str, Recording], tmp_path: Path) -> dict[str, Path]:
    """A seizure, and a recording of closed eyes."""
    found = {}
    for name, letter in (("seizure", "S"), ("closed", "O")):
        signal = next(r for i, r in excerpt.items() if i[0] == letter).signal[0]
        found[name] = tmp_path / f"{name}.txt"
        found[name].write_text("".join(f"{value:g}\n" for value in signal), "utf-8")
    return found


def opened(browser: Browser, address: str, width: int = 1200, scheme: Any = "light") -> Page:
    """The page, where nothing may be asked of another place and nothing may go wrong unseen."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.set_default_timeout(20_000)
    page.on("request", lambda each: _only_ours(each.url, address))
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.goto(address)
    expect(page.locator("#question")).to_contain_text("It predicts")
    return page


def _only_ours(url: str, address: str) -> None:
    assert url.startswith((address, "data:")), url


def violations(page: Page, width: int) -> list[str]:
    found = [
        f"{one['id']}: {node['html'][:200]}"
        for one in Axe().run(page).response["violations"]
        for node in one["nodes"]
    ]
    wide = page.evaluate("document.documentElement.scrollWidth")
    return found + [f"the page is {wide} pixels wide on a screen of {width}"] * (wide > width)


def test_a_person_drops_a_seizure_and_a_recording_without_one(
    browser: Browser, address: str, files: dict[str, Path]
) -> None:
    with opened(browser, address) as page:
        page.set_input_files("#file", files["seizure"])
        expect(page.locator("#units")).to_be_visible()
        page.click("button[type=submit]")
        expect(page.locator("#said")).to_contain_text("seizure")
        assert page.locator("#result").evaluate("each => each === document.activeElement")
        assert page.locator("#place option").count() == 23
        expect(page.locator("#chances tbody tr")).to_have_count(5)
        expect(page.locator("#set")).to_contain_text("90.0 % of such sets contain")
        expect(page.locator("#whole-said")).to_contain_text("seizure: ")
        expect(page.locator("#whole-said")).to_contain_text("the mean of 23 segments")
        whole, near = page.locator("#picture svg").all()
        expect(whole).to_have_attribute("aria-label", _holds("all 23.6 s"))
        expect(whole).to_contain_text("20 s")
        expect(whole).to_contain_text("µV")
        expect(near).to_have_attribute("aria-label", _holds("segment 1 of 23, 1.03 s"))
        expect(near).to_contain_text("0.6 s")
        page.click("#after")
        expect(page.locator("#place")).to_have_value("1")
        box = page.locator("#course svg").bounding_box()
        assert box
        page.mouse.click(box["x"] + 0.99 * box["width"], box["y"] + box["height"] / 3)
        expect(page.locator("#place")).to_have_value("22")
        expect(near).to_contain_text("23 s")
        page.select_option("#class", "eyes open")
        course = page.locator("#course svg")
        expect(course).to_have_attribute("aria-label", _holds("Probability of eyes open in each"))
        page.set_input_files("#file", files["closed"])
        with page.expect_response("**/v1/view**"):
            page.click("button[type=submit]")
        expect(page.locator("#said")).not_to_contain_text("seizure")
        expect(page.locator("#card")).to_contain_text("not a medical device")
        expect(page.locator("#card")).to_contain_text(_holds("operations per prediction; trained"))


def _holds(words: str) -> Any:
    import re

    return re.compile(re.escape(words))


def test_what_goes_wrong_is_said_and_can_be_put_right(
    browser: Browser, address: str, files: dict[str, Path], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("1\nx\n", "utf-8")
    with opened(browser, address) as page:
        error = page.locator("#error")
        page.click("button[type=submit]")
        expect(error).to_contain_text("Choose a file")
        paper = tmp_path / "paper.pdf"
        paper.write_text("%PDF")
        page.set_input_files("#file", paper)
        expect(error).to_contain_text("paper.pdf: expected a file that ends in .csv")
        page.click("button[type=submit]")
        expect(error).to_contain_text("paper.pdf: expected a file that ends in .csv")
        page.set_input_files("#file", bad)
        page.click("button[type=submit]")
        expect(error).to_contain_text("line 2 is not 1 number")
        page.set_input_files("#file", files["seizure"])
        page.fill("#sfreq", "256")
        page.click("button[type=submit]")
        expect(error).to_contain_text("has 256 Hz, but the model reads 173.61 Hz")
        expect(page.locator("#result")).to_be_hidden()
        page.fill("#sfreq", "173.61")
        page.click("button[type=submit]")
        expect(page.locator("#said")).to_contain_text("seizure")
        expect(error).to_be_empty()


def test_a_person_without_a_mouse_pastes_and_reads(
    browser: Browser, address: str, files: dict[str, Path]
) -> None:
    with opened(browser, address) as page:
        page.locator("summary").focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "text"
        lines = files["seizure"].read_text("utf-8").splitlines(keepends=True)
        page.keyboard.insert_text("".join(lines[: 2 * 178]))  # a field takes seconds for thousands
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#said")).to_contain_text("seizure")
        for _ in range(5):  # two downloads, the class, the segment, and the next one
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#place")).to_have_value("1")


def test_a_patient_is_pasted(browser: Browser, of_visits: str, patient: dict[str, Any]) -> None:
    with opened(browser, of_visits, 360) as page:
        page.click("summary")
        page.fill("#text", json.dumps(patient))
        page.click("button[type=submit]")
        expect(page.locator("#picture li")).to_have_count(2)
        expect(page.locator(".unknown")).to_contain_text("ICD9CM//9999 (unknown to the model)")
        assert violations(page, 360) == []


def test_a_token_is_asked_for(
    browser: Browser, eeg: ServedModel, running: Callable[..., Any]
) -> None:
    token = "0123456789abcdef"  # noqa: S105
    with running(eeg, token=token) as address, browser.new_page() as page:
        page.goto(address)
        expect(page.locator("#error")).to_contain_text("access token is missing")
        page.fill("#token", token)
        page.keyboard.press("Tab")
        expect(page.locator("#question")).to_contain_text("It predicts")


def test_a_model_of_whole_recordings_offers_no_text(
    browser: Browser, eeg: ServedModel, running: Callable[..., Any], files: dict[str, Path]
) -> None:
    signal = {**eeg.about["signal"], "preparation": {"filter": [0.5, 30.0]}}
    model = replace(eeg, about={**eeg.about, "signal": signal})
    with running(model) as address, opened(browser, address) as page:
        expect(page.locator("#formats")).to_contain_text("A whole recording as EDF or BDF")
        expect(page.locator("#paste")).to_be_hidden()
        page.click("button[type=submit]")
        expect(page.locator("#error")).to_have_text("Choose a file.")
        page.set_input_files("#file", files["seizure"])
        expect(page.locator("#error")).to_contain_text("a file that ends in .edf, .bdf.")


@pytest.mark.parametrize(("width", "scheme"), VIEWS)
def test_no_view_has_a_violation(
    browser: Browser, address: str, files: dict[str, Path], width: int, scheme: Any
) -> None:
    with opened(browser, address, width, scheme) as page:
        assert violations(page, width) == []
        page.set_input_files("#file", files["seizure"])
        page.click("button[type=submit]")
        expect(page.locator("#said")).to_contain_text("seizure")
        assert violations(page, width) == []


def test_predictions_are_saved(
    browser: Browser, address: str, files: dict[str, Path], tmp_path: Path
) -> None:
    with opened(browser, address) as page:
        page.set_input_files("#file", files["seizure"])
        page.click("button[type=submit]")
        expect(page.locator("#whole-said")).to_contain_text("seizure: ")
        saved = {}
        for kind in ("csv", "json"):
            with page.expect_download() as waiting:
                page.click(f"#save-{kind}")
            assert waiting.value.suggested_filename == f"seizure-predictions.{kind}"
            waiting.value.save_as(tmp_path / kind)
            saved[kind] = (tmp_path / kind).read_text("utf-8")
        told = json.loads(saved["json"])
        rows = list(csv.DictReader(saved["csv"].splitlines()))
        assert [row["id"] for row in rows] == [*map(str, range(1, 24)), "recording (mean)"]
        assert [row["start_seconds"] for row in rows[:2]] == ["0.000", "1.025"]
        for row, one in zip(rows, [*told["predictions"], told["recording"]], strict=True):
            assert row["prediction"] == one["prediction"]
            assert float(row["p_seizure"]) == one["probabilities"]["seizure"]
