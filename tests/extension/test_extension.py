"""What one file registers stands wherever such things stand, in its own words."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.cli.calls import ran

import sequela
from sequela.audit.finding import Finding
from sequela.audit.input import AuditInput
from sequela.audit.searches import LeakSearch
from sequela.cli.app import main
from sequela.errors import SettingError
from sequela.runs.find import open_run

pytestmark = pytest.mark.usefixtures("ward")
Printed = Callable[..., str]
SLEEP = ("--data", "sleep-lab")
WARD = ("--data", "ward", "--task", "blood-later", "--bins", "4", "--step-hours", "8")
FEW = ("--epochs", "2", "--learning-rate", "0.05")


@pytest.fixture(scope="module")
def runs(ward: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network and the reference model on both data sets."""
    out = tmp_path_factory.mktemp("runs")
    for name, words in (
        ("bands", ("band-net", *SLEEP, *FEW)),
        ("centres", ("nearest-centre", *SLEEP, "--folds", "0")),
        ("drip", ("drip-net", *WARD, *FEW)),
        ("beside", ("nearest-centre", *WARD)),
    ):
        ran("train", *words, "--out", out / name)
    return out


@pytest.fixture(scope="module")
def study(ward: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study, trained in processes of their own."""
    out = tmp_path_factory.mktemp("study") / "out"
    ran("reproduce", "nights", "--quick", "--out", out, "--processes", "1")
    return out


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Printed:
    """What a command prints, on one line; to standard error where it is refused."""
    monkeypatch.setenv("COLUMNS", "300")

    def run(*words: str | Path) -> str:
        with pytest.raises(SystemExit) as ended:
            main([str(each) for each in words])
        said = capsys.readouterr()
        return " ".join((said.err if ended.value.code else said.out).split())

    return run


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("train", ("band-net", "drip-net", "nearest-centre", "sleep-lab", "ward", "blood-later")),
        ("evaluate", ("sleep-lab", "ward")),
        ("compare", ("belief",)),
        ("reproduce", ("nights", "sleep-lab")),
    ],
)
def test_in_the_help(printed: Printed, command: str, names: tuple[str, ...]) -> None:
    text = printed(command, "--help")
    assert [name for name in names if name not in text] == []


def test_in_the_list_of_data(printed: Printed) -> None:
    text = printed("data", "list")
    for said in ("Nights of our sleep laboratory (EEG)", "36 recordings of 15 s", "ours alone"):
        assert said in text
    listed = json.loads(printed("data", "list", "--json"))
    assert listed["ward"]["title"] == "Our ward's tables"
    assert "arousal" in printed("data", "check", "sleep-lab")
    assert "819 events of 150 subjects" in printed("data", "check", "ward")


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("train", "bnd-net", *SLEEP), ("band-net", "drip-net", "nearest-centre")),
        (("train", "band-net", "--data", "x"), ("sleep-lab", "ward")),
        (("train", "drip-net", "--data", "ward", "--task", "x"), ("blood-later",)),
        (("build", "x", "--out", "events"), ("ward",)),
        (("build", "bonn", "--out", "events"), ("ward",)),
        (("data", "check", "x"), ("sleep-lab",)),
        (("cost", "bnd-net"), ("band-net",)),
        (("reproduce", "x"), ("nights",)),
    ],
)
def test_in_errors_that_list_names(
    printed: Printed, words: tuple[str, ...], names: tuple[str, ...]
) -> None:
    text = printed(*words)
    assert text.startswith("sequela: error: ")
    assert [name for name in names if name not in text.partition("(")[2]] == []


def test_unknown_features_and_metrics_list_those_that_exist(
    printed: Printed, runs: Path, tmp_path: Path
) -> None:
    net = tmp_path / "net.py"
    net.write_text("class Net:\n    reads = ('features:bandz',)\n", "utf-8")
    assert "bands" in printed("train", f"{net}:Net", *SLEEP).partition("known:")[2]
    both = ("compare", runs / "bands", runs / "centres")
    assert "belief" in printed(*both, "--metric", "x").partition("known:")[2]


def test_in_the_files_of_a_run(runs: Path) -> None:
    bands, drip = open_run(runs / "bands"), open_run(runs / "drip")
    for run in (bands, drip):
        low, high = run.test["belief_ci"]
        assert low <= run.test["belief"] <= high
    assert bands.data["classes"] == ["calm", "spindles", "arousal"]
    assert (bands.data["sfreq"], bands.data["n_times"]) == (100.0, 150)
    assert drip.data["classes"] == ["not transfused", "transfused"]
    assert drip.data["outcome"]["many"] == "transfusions"
    cost = json.loads((runs / "bands/cost.json").read_text("utf-8"))
    (features, layer) = cost["layers"]
    assert (features["name"], features["kind"]) == ("features:bands", "Power of four bands")
    assert (features["operations"], layer["parameters"]) == (600, 27)


def test_evaluated_and_compared(printed: Printed, runs: Path, ward: Path) -> None:
    again = printed("evaluate", runs / "drip")
    assert "belief in the truth" in again
    assert "recall of not transfused" in again
    other = printed("evaluate", runs / "bands", *SLEEP, "--root", ward / "sleep-lab", "--json")
    assert json.loads(other)["belief"] == pytest.approx(open_run(runs / "bands").test["belief"])
    found = printed("compare", runs / "bands", runs / "centres", "--metric", "belief", "--json")
    assert json.loads(found)["metric"] == "belief"


def test_in_the_audit(runs: Path, tmp_path: Path) -> None:
    windows = np.random.default_rng(0).normal(size=(40, 2, 100))
    windows[:3] = 7
    audited = sequela.audit(windows, y=np.arange(40) % 2)
    (found,) = (each for each in audited.findings if each["code"] == "LAB001")
    assert found["what"] == "3 of 40 windows are flat in all channels"
    assert audited.in_words(10)[-1]["what"].startswith("fewer than 10 of 40 windows")
    np.save(tmp_path / "windows.npy", windows)
    with pytest.raises(SystemExit) as ended:
        main(["audit", str(tmp_path / "windows.npy"), "--ignore", "LAB001"])
    assert ended.value.code == 2
    assert "flat windows" in sequela.audit(runs / "bands").to_dict()["checks"]
    reasons = {each.code: each.reason for each in sequela.audit(runs / "drip").unchecked}
    assert reasons["LAB001"] == "the data are not windows of signals"


def test_a_finding_under_a_name_that_no_check_has() -> None:
    search = LeakSearch("flat windows", lambda _: [Finding.of("flat window")])
    with pytest.raises(SettingError, match="reports 'flat window', which is the name of no check"):
        next(search.run(AuditInput()))


def test_a_finding_of_a_plugin_that_is_not_loaded() -> None:
    words = Finding("a check of others", "suspicion", ("signal",)).in_words()
    assert "a plugin that is not loaded" in words["what"]


@pytest.mark.slow
def test_cross_validated(runs: Path, tmp_path: Path) -> None:
    ran("train", "nearest-centre", *SLEEP, "--folds", "2", "--out", tmp_path / "folds")
    assert open_run(tmp_path / "folds").test["belief_folds"] == 2


def test_on_the_card(runs: Path, tmp_path: Path) -> None:
    ran("card", runs / "drip", "--out", tmp_path / "card.md")
    text = (tmp_path / "card.md").read_text("utf-8")
    head = yaml.safe_load(text.split("---\n")[1])
    assert head["datasets"] == ["ward"]
    numbers = {each["type"]: each for each in head["model-index"][0]["results"][0]["metrics"]}
    assert numbers["belief"]["value"] == open_run(runs / "drip").test["belief"]
    for said in (
        "Net on the drip",
        "Our ward's tables",
        "ours alone",
        "| Belief in the truth |",
        "transfused",
        "a transfusion later in the stay, predicted 24 hours after each admission",
        "## Ethics\n\nNet on the drip was approved by our committee.\n",
    ):
        assert said in text, said
    assert_no_death(text)


def test_on_the_page_of_records(runs: Path, tmp_path: Path) -> None:
    ran("report", runs / "drip", runs / "beside", "--out", tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    for said in (
        "<h1>Our ward&#39;s tables: blood-later</h1>",
        "a transfusion later in the stay",
        "69 transfusions",
        "Net on the drip",
        "Nearest centre",
        "<th>Belief in the truth (95 % interval)</th>",
        "<th>Transfused, recall at 0.5</th>",
        "ours alone",
        '<summary id="ward-blood-later-nights">Nights</summary>\n<div>Tested on ',
    ):
        assert said in text, said
    assert_own_pictures(text)
    assert_no_death(text)


@pytest.mark.slow
def test_on_the_page_of_recordings(runs: Path, study: Path, tmp_path: Path) -> None:
    ran("report", runs / "bands", runs / "centres", "--out", tmp_path / "page.html")
    for page in (tmp_path / "page.html", study / "report.html"):
        text = page.read_text("utf-8")
        for said in (
            "What happens in a night",
            "The class of a 1.50 s segment of EEG: calm, spindles or arousal",
            "Nights of our sleep laboratory: 36 recordings, 360 segments of 150 samples",
            "Band net",
            "Nearest centre",
            "<th>Belief in the truth (95 % interval)</th>",
            "<th>calm</th><th>spindles</th><th>arousal</th>",
            "features:bands: Power of four bands",
            "It believes.",
            "Claimed: above 0.1",
            "The cap was loose.",
            "The paper on nights",
        ):
            assert said in text, said
        assert_own_pictures(text)
        assert text.count("Confusion matrix. calm: ") == 3  # the best one twice
        assert_no_death(text)
        for foreign in ("2019", "Bonn", "tumour"):
            assert foreign not in text, foreign
    assert "sequela reproduce nights" in text  # as the study's own page says


def assert_own_pictures(text: str) -> None:
    """A picture of each of the two runs, titled, and one note for both."""
    assert text.count("How sure it is <a") == 2
    assert text.count('aria-label="How sure the model is of its answers."') == 2
    assert text.count("Bars: held-out examples.") == 1


def assert_no_death(text: str) -> None:
    """No word of the outcome of others."""
    assert [word for word in ("death", "surviv", "died", "Death") if word in text] == []


@pytest.mark.slow
def test_in_results(study: Path) -> None:
    nights = json.loads((study / "results.json").read_text("utf-8"))["studies"]["nights"]
    assert nights["data"]["name"] == "sleep-lab"
    assert set(nights["models"]) == {"band-net"}
    assert set(nights["floors"]) == {"nearest-centre"}
    test: dict[str, Any] = nights["models"]["band-net"]["test"]
    assert test["belief_ci"][0] <= test["belief"]


PACKAGE = """
from sequela import register
from sequela.models.reference import REFERENCE_MODELS

register.reference_model("same-again", REFERENCE_MODELS["majority-class"])
"""


def test_an_installed_package_adds_to_the_command(tmp_path: Path) -> None:
    site = tmp_path / "site"
    info = site / "sequela_again-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sequela-again\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[sequela.plugins]\nagain = sequela_again\n")
    (site / "sequela_again.py").write_text(PACKAGE, "utf-8")
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "SEQUELA_PLUGINS": ""}
    command = [sys.executable, "-m", "sequela", "train", "--help"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "same-again" in done.stdout
