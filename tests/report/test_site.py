"""A site of a network study: its check, its release without small counts, and edits of it."""

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.network.table import write_table
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score
from tests.canaries import called, outputs
from tests.conftest import Once, meds
from tests.report.hospitals import hospital, trained
from tests.report.test_canaries import meds as canaries_of_meds
from tests.report.test_canaries import recordings as canaries_of_recordings

from sequela.analysis.package import Analysis, Channel, PackagedModel
from sequela.analysis.release import Moments, Training, read_release, seal_of, text_of
from sequela.analysis.site import _medians, expected_auroc, measures_of, membership_of, results_of
from sequela.cli.app import main
from sequela.disclosure import has_small
from sequela.errors import RunError
from sequela.evaluation import statistic
from sequela.evaluation.calibration import slope_statistic
from sequela.evaluation.predictions import Predictions
from sequela.report.pages.site_page import verify_release, write_site_page

Content = dict[str, Any]
LEAST = 10


def ward(
    root: Path, *, unit: float = 1.0, labs: bool = True, dead: float = 0.4, seed: int = 2
) -> Path:
    """A hospital of 260 people with glucose in mg/dL, which may have another unit, or no labs."""
    rng = np.random.default_rng(seed)

    def write(root: Path, rows: Sequence[tuple[Any, ...]]) -> Path:
        stays = [row for row in rows if row[2].startswith("HOSPITAL_ADMISSION")]
        values = rng.normal(130, 25, len(stays)) / unit
        measured = [
            (subject, time.replace("T01", "T06"), "LAB//glucose", stay, value)
            for (subject, time, _, stay), value in zip(stays, values.tolist(), strict=True)
        ]
        present = (row for row in [*rows, *measured] if labs or not row[2].startswith("LAB"))
        return meds(root, [*present])

    return hospital(write, root, people=260 if seed > 1 else 500, dead=dead, seed=seed)


@pytest.fixture(scope="session")
def study(once: Once) -> Path:
    """The package of a logistic regression, and the folder of a site that evaluated it."""

    def fill(out: Path) -> None:
        home, away = (ward(out / name, seed=seed) for name, seed in (("home", 1), ("away", 2)))
        run = trained(home, out / "run", "--min-subjects", LEAST, "--demographics")
        assert called(main, "share", run, "--study", out / "study.zip", "--site", "Home") == 0
        of_site = ("--data", "meds", "--root", away, "--out", out / "site", "--site", "Away")
        assert called(main, "evaluate", out / "study.zip", *of_site, "--membership") == 0

    return once("report-network-site", fill)


@pytest.fixture
def release(study: Path, tmp_path: Path) -> Path:
    """A copy of the release, without the site's predictions."""
    return Path(shutil.copytree(study / "site" / "release", tmp_path / "release"))


def people(
    seed: int = 0, n: int = 400, per_person: int = 1, prevalence: float = 0.0
) -> Predictions:
    """Predictions of people who have one example or several, which are alike."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(n // per_person), per_person)
    logits = rng.normal(size=n // per_person)[person] + 0.5 * rng.normal(size=n) - 1 + prevalence
    label = rng.random(n) < 1 / (1 + np.exp(-1.3 * logits))
    risk = 1 / (1 + np.exp(-logits))
    ids = np.char.add("p", person.astype(np.str_))
    return Predictions(
        example_id=np.arange(n).astype(np.str_),
        group_id=ids,
        subject_id=ids,
        split=np.full(n, "held_out"),
        label=label.astype(np.int64),
        probabilities=np.stack([1 - risk, risk], axis=1).astype(np.float32),
        classes=("no", "yes"),
    )


def released(predictions: Predictions, threshold: float = 0.3, **attributes: Any) -> Any:
    moments = Moments(examples=9, names=("logit",), mean=(0.0,), covariance=((1.0,),))
    training = Training(patients=100, examples=100, events=50, auroc=None, moments=moments)
    return results_of(
        predictions,
        {name: np.asarray(values) for name, values in attributes.items()},
        PackagedModel.model_construct(title="model", training=training, threshold=threshold),
        Analysis(metrics=("auroc", "brier_score"), smallest_cell=LEAST),
    )


@pytest.mark.parametrize("per_person", [1, 4])
def test_errors_and_covariances_are_those_of_a_jackknife_over_patients(per_person: int) -> None:
    predictions = people(per_person=per_person)
    measures, covariance = measures_of(predictions)
    label, score, group = predictions.label, predictions.score, predictions.group_index
    number = statistic.stacked([
        statistic.auroc(label == 1, score, group),
        statistic.ratio(label, score, group),
        slope_statistic(predictions),
    ])  # fmt: skip
    n = number.n_groups
    left_out = number(1.0 - np.eye(n))  # (patient, measure)
    auroc, ratio, slope = number.estimate
    assert [m.value for m in measures.values()] == pytest.approx([auroc, ratio, slope], rel=1e-6)
    on_scale = left_out * [1 / (auroc * (1 - auroc)), 1 / ratio, 1]
    assert covariance == pytest.approx(np.cov(on_scale.T) * (n - 1) ** 2 / n, rel=0.02, abs=1e-4)


def test_measures_that_are_not_defined_are_left_out() -> None:
    predictions = people()
    label = predictions.label[:, None] == np.arange(2)
    for chances, names in (
        (0.1 + 0.8 * label, ["o_e"]),
        (np.full(label.shape, 0.5), ["o_e"]),
        # The classes meet in one risk only.
        (np.where(predictions.score[:, None] > 0.5, 0.5, 0.1 + 0.8 * label), ["auroc", "o_e"]),
        (0.5 + 0.002 * (predictions.probabilities - 0.5), ["auroc", "o_e"]),
    ):
        measures, covariance = measures_of(replace(predictions, probabilities=chances))
        assert list(measures) == names
        assert covariance.shape == (len(names), len(names))
    assert measures_of(replace(predictions, label=np.zeros_like(predictions.label)))[0] == {}


def test_the_expected_auroc_is_a_mean_over_pairs() -> None:
    risk = np.random.default_rng(0).random(40).round(1)
    first, second = np.meshgrid(risk, risk)
    weight = first * (1 - second) * (1 - np.eye(40))
    right = (first > second) + 0.5 * (first == second)
    assert expected_auroc(risk) == pytest.approx((weight * right).sum() / weight.sum())


def test_membership_is_that_of_a_linear_discriminant() -> None:
    rng = np.random.default_rng(0)
    sides = [rng.normal(size=(4_000, 2)) + shift for shift in ([0, 0], [0.7, 0.3])]
    moments = [
        Moments(
            examples=len(side),
            names=("a", "b"),
            mean=tuple(side.mean(axis=0)),
            covariance=tuple(map(tuple, np.cov(side.T))),
        )
        for side in sides
    ]
    table, label = np.concatenate(sides), np.repeat([0, 1], 4_000)
    fitted = LinearDiscriminantAnalysis().fit(table, label)
    score = roc_auc_score(label, fitted.decision_function(table))
    assert membership_of(*moments) == pytest.approx(score, abs=0.01)


@pytest.mark.parametrize("seed", range(12))
def test_nothing_that_is_released_counts_few_people(seed: int) -> None:
    """Not in bins, above a threshold, in subgroups, or by subtracting these from one another."""
    rng = np.random.default_rng(seed)
    predictions = people(seed, n=240, per_person=1 + seed % 3, prevalence=rng.uniform(-1.5, 1.5))
    sex = rng.choice(["F", "M", "X", ""], 240, p=[0.5, 0.4, 0.05, 0.05])
    threshold = float(rng.choice(predictions.score))
    results = released(predictions, threshold, sex=sex)
    label, person, bins = predictions.label, predictions.subject_id, results.calibration
    place = np.searchsorted([b.low for b in bins], predictions.score.astype(float), "right") - 1
    of_bins = [place == index for index in range(len(bins))]
    counts = [(int(rows.sum()), int(label[rows].sum())) for rows in of_bins]
    assert counts == [(b.examples, b.events) for b in bins]
    parts = of_bins
    if results.rates:
        alarm = predictions.score >= threshold
        assert results.rates["sensitivity"] == alarm[label == 1].mean()
        assert results.rates["precision"] == label[alarm].mean()
        parts = [rows & side for rows in of_bins for side in (alarm, ~alarm)]
    values = np.where(sex == "", "unknown", sex)
    shown = [group.value for group in results.groups]
    parts += [~np.isin(values, shown), *(values == name for name in shown)]
    people_of = [
        len(np.unique(person[rows & (label == side)])) for rows in parts for side in (0, 1)
    ]
    assert not has_small(people_of, LEAST)


def test_groups_of_the_same_few_people_hide_a_third_one() -> None:
    """Six people with a stay in B and one in C: 12 stays that are not shown would be of six."""
    predictions = people(per_person=2)
    few, second = np.arange(400) < 12, np.arange(400) % 2 == 1
    unit = np.select([few & second, few, np.arange(400) < 150], ["B", "C", "D"], "A")
    label = np.where(few, 1, predictions.label)
    groups = released(replace(predictions, label=label), unit=unit).groups
    assert [group.value for group in groups] == ["A"]


def _set(place: str, value: Any) -> Callable[[Content], None]:
    """Return an edit: the value of a place such as ``models.x.calibration.0.events``."""

    def edit(content: Content) -> None:
        *way, last = (int(step) if step.isdigit() else step for step in place.split("."))
        inside: Any = content
        for step in way:
            inside = next(iter(inside.values())) if step == "*" else inside[step]
        if value is DROP:
            del inside[last]
        else:
            inside[last] = value(inside[last]) if callable(value) else value

    return edit


DROP = object()


def _swap(content: Content) -> None:
    bins = next(iter(content["models"].values()))["calibration"]
    for key in ("events", "examples", "predicted"):
        bins[0][key], bins[-1][key] = bins[-1][key], bins[0][key]


def _better(content: Content) -> None:
    """Write a higher AUROC that is consistent in itself."""
    model = next(iter(content["models"].values()))
    measure = model["measures"]["auroc"]
    measure["estimate"] += 2
    for key, way in (("value", 0), ("low", -1), ("high", 1)):
        on_scale = measure["estimate"] + way * 1.959964 * measure["error"]
        measure[key] = 1 / (1 + np.exp(-on_scale))
    model["metrics"]["auroc"] = measure["value"]


def nothing(_: Content) -> None:
    pass


M = "models.*"
EDITS: dict[str, Callable[[Content], None]] = {
    "nothing": nothing,
    "a number": _set(f"{M}.measures.auroc.value", 0.95),
    "an interval": _set(f"{M}.measures.slope.high", lambda high: high + 0.1),
    "an error": _set(f"{M}.measures.o_e.error", lambda error: error / 2),
    "a higher AUROC": _better,
    "a covariance": _set(f"{M}.covariance.0.1", lambda c: c + 0.001),
    "another AUROC among the metrics": _set(f"{M}.metrics.auroc", 0.9),
    "swapped bins": _swap,
    "a bin": _set(f"{M}.calibration.0", DROP),
    "an event more": _set("events", lambda events: events + 1),
    "events of a bin": _set(f"{M}.calibration.0.events", lambda events: events + 2),
    "a mean risk": _set(f"{M}.case_mix.mean_risk", 0.1),
    "a rate": _set(f"{M}.rates.sensitivity", 0.99),
    "a count of few": _set(f"{M}.groups.0.events", 3),
    "a subgroup that leaves few": _set(f"{M}.groups.0.examples", 255),
    "a smallest cell": _set("smallest_cell", 1),
    "a flow": _set("flow.candidates", 999),
    "a small step of the flow": _set("flow.steps.1.removed", 4),
    "a model elsewhere": lambda content: content["models"].update(
        {"../run": content["models"].popitem()[1]}
    ),
    "a missing key": _set("audit", DROP),
    "an added key": _set("patients_by_name", ["Vogel"]),
    "a digest": _set("package", "0" * 63),
    "a text for a number": _set("patients", "260"),
    "no number": _set(f"{M}.case_mix.sd_logit", float("nan")),
    "a share above 1": _set(f"{M}.case_mix.expected_auroc", 1.2),
    "an update that reverses the ranking": _set(f"{M}.update.weight", -1.0),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_edit_is_refused_with_a_new_seal_too(
    edit: Callable[[Content], None], release: Path
) -> None:
    path = release / "release.json"
    content = json.loads(path.read_text("utf-8"))
    edit(content)
    del content["seal"]
    content["seal"] = seal_of(content)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
    if edit is nothing:
        assert read_release(release).site == "Away"
        return
    with pytest.raises(RunError, match=r"do not add up|\S+:? .*: ask the site") as refusal:
        read_release(release)
    assert "\n" not in str(refusal.value)


TEXTS: dict[str, Callable[[str], str]] = {
    "truncated": lambda text: text[:-100],
    "another name": lambda text: text.replace('"site": "Away"', '"site": "Home"'),
    "another digest": lambda text: re.sub(r'"package": "\w{8}', '"package": "00000000', text),
    "a key twice": lambda text: text.replace('"events"', '"events": 126, "events"', 1),
    "spaces": lambda text: text.replace("\n", "\n ", 1),
    "a page": lambda _: "<html></html>",
    "a list": lambda _: "[]",
    "empty": lambda _: "",
}


@pytest.mark.parametrize("change", TEXTS.values(), ids=TEXTS)
def test_another_text_is_no_release(change: Callable[[str], str], release: Path) -> None:
    path = release / "release.json"
    path.write_text(change(path.read_text("utf-8")), "utf-8")
    with pytest.raises(RunError, match="ask the site for its release again"):
        read_release(release)


def test_a_page_is_that_of_its_release(
    release: Path, study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify_release(release)[1] == "the page shows the JSON, and nothing else"
    page = release / "release.html"
    other = read_release(release).model_copy(update={"site": "Elsewhere"})
    write_site_page(other, page)
    capsys.readouterr()
    assert called(main, "verify", release, study / "site", release) == 2
    printed = capsys.readouterr()
    assert printed.out.count("WRONG: ") == 2  # a wrong release does not end the list
    assert "all results match the predictions" in printed.out
    assert printed.err.startswith("sequela: error: 2 findings: ")
    assert printed.err.count("\n") == 1
    page.write_bytes((study / "site/release/release.html").read_bytes() + b" ")
    with pytest.raises(RunError, match="is not the page"):
        verify_release(release)
    page.unlink()
    with pytest.raises(RunError, match="is not the page"):
        verify_release(release)
    (release / "patients.csv").touch()
    with pytest.raises(RunError, match=r"has also patients\.csv"):
        verify_release(release)


def test_numbers_are_computed_again_from_predictions_next_to_them(
    study: Path, tmp_path: Path
) -> None:
    """Which finds what no sum in a release gives away."""
    site = tmp_path / "site"
    shutil.copytree(study / "site", site)
    assert verify_release(site / "release")[-1].startswith("all results match the predictions")
    changed = read_release(site / "release")
    ((name, results),) = changed.models.items()
    mix = results.case_mix.model_copy(update={"sd_logit": 1.0})
    models = {name: results.model_copy(update={"case_mix": mix})}
    changed = changed.model_copy(update={"models": models})
    (site / "release/release.json").write_text(text_of(changed), "utf-8")
    write_site_page(changed, site / "release/release.html")
    with pytest.raises(RunError, match=r"case_mix sd_logit is 1\.0, and the predictions give"):
        verify_release(site / "release")


def test_a_release_has_no_canary(study: Path, tmp_path: Path) -> None:
    canaries = canaries_of_meds(tmp_path / "canary-data")
    out = tmp_path / "site"
    of_site = ("--data", "meds", "--root", canaries.root, "--out", out, "--membership")
    assert called(main, "evaluate", study / "study.zip", *of_site) == 0
    files = outputs(out / "release", "")
    assert [*files] == ["release.html", "release.json", "printed"]
    for content in files.values():
        assert canaries.found_in(content) == set()
        assert str(tmp_path).encode() not in content
    assert canaries.found_in((out / "logistic-regression/predictions.parquet").read_bytes())
    results = read_release(out / "release").models["logistic-regression"]
    assert {group.attribute for group in results.groups} == {"age", "unit"}


def checked(
    study: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> tuple[int, list[str], str]:
    """Return the exit status of a check, its lines, and its error."""
    capsys.readouterr()
    status = called(
        main, "evaluate", study / "study.zip", "--check", "--data", "meds", "--root", root
    )
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert len(lines) <= 30
    assert max(map(len, lines), default=0) <= 80
    return status, lines, printed.err


def test_a_check_is_one_screen(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, lines, error = checked(study, study / "away", capsys)
    assert (status, error) == (0, "")
    text = "\n".join(lines)
    assert "this site: can take part" in text
    assert re.search(r"patients: 260 with 260 stays: 1\d\d of class 'survived', 1\d\d of", text)
    assert re.search(r"codes: \d\d of \d\d, \d\d% of a training patient's codes found", text)
    assert "most frequent codes not found: ONLY//1" in text
    assert re.search(r"LAB//glucose: median 1[23]\d, in training 1[23]\d$", text)


@pytest.mark.parametrize(
    ("site", "problem"),
    [
        ({"unit": 18.0}, r"other units\? LAB//glucose: median .*, a factor of 18.* of glucose"),
        ({"labs": False}, r"none of \d+ codes of LAB found, .*: is a table missing, or"),
        ({"dead": 0.0}, "labels of one class only: all 260 are false"),
        ({"dead": 1.0}, "labels of one class only: all 260 are true"),
        ({"dead": 0.02}, "cannot take part: [1-9] patients of class 'died' found, 10 are needed"),
    ],
)
def test_a_site_that_cannot_take_part_gets_one_line(
    site: dict[str, Any],
    problem: str,
    study: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root, out = ward(tmp_path / "data", **site), tmp_path / "out"
    status, _, error = checked(study, root, capsys)
    assert status == 2
    assert re.search(f"{problem}.*\n$", error)
    evaluated = ("evaluate", study / "study.zip", "--data", "meds", "--root", root, "--out", out)
    assert called(main, *evaluated) == 2
    assert capsys.readouterr().err == error
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_units_are_named_where_medians_differ_by_their_factor() -> None:
    def channel(low: float, median: float, high: float) -> dict[str, Channel]:
        """Return a measurement with quartiles halfway to the ends."""
        places = {"0.05": 0.0, "0.25": 0.5, "0.5": 1.0, "0.75": 1.5, "0.95": 2.0}
        values = np.interp([*places.values()], [0, 1, 2], [low, median, high]).tolist()
        quantiles = dict(zip(places, values, strict=True))
        return {"x": Channel(unit=None, share=1.0, quantiles=quantiles)}

    for training, site, words in (
        ((60, 120, 300), (3.3, 6.6, 17), "a factor of 18.2 as between mg/dL and mmol/L of glucose"),
        ((36, 36.9, 38.5), (96, 98.4, 102), "a factor of 2.67 as between °F and °C of a body"),
        (
            (0.6, 1.0, 4.0),
            (50, 85, 300),
            "a factor of 85 as between mg/dL and µmol/L of creatinine",
        ),
        ((10, 20, 40), (600, 700, 800), "a factor of 35"),
        ((10, 20, 40), (20, 39, 60), ""),
        ((22.3, 22.4, 22.5), (23, 24, 25), ""),
        ((-5, 0, 5), (8, 9, 10), ""),
    ):
        ((_, wrong, line),) = _medians(channel(*training), channel(*site), 3.0)
        assert wrong == bool(words), line
        assert line.endswith(words)
    ((_, wrong, line),) = _medians(channel(1, 15, 60), channel(0.1, 1.5, 6), 3.0)
    assert not wrong  # as patients may differ; it is the first line of the screen
    assert line.endswith("a factor of 10 as between amounts in a dL and in a L")


def test_options_of_packages_are_refused_for_runs(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = study / "study.zip"
    for words in ((study / "run", "--check"), (package,), (package, "--page", "a.html")):
        assert called(main, "evaluate", *words) == 2
    errors = capsys.readouterr().err.splitlines()
    assert "are for the package of a study" in errors[0]
    assert "name the folder of the site with --out" in errors[1]
    assert "the analysis of a package is fixed" in errors[2]


def test_a_table_of_what_hospitals_have_in_common(tmp_path: Path) -> None:
    """An age above 90 is 90, and care after the prediction is left out."""
    rows: list[tuple[Any, ...]] = []
    for subject, born, sex, care in ((1, 1960, "F", "02T00:00"), (2, 1930, "M", "03T20:00")):
        stay = 10 * subject
        rows += [
            (subject, f"{born}-07-01T00:00", "MEDS_BIRTH"),
            (subject, None, f"GENDER//{sex}"),
            (subject, "2031-01-01T04:00", "HOSPITAL_ADMISSION//EMERGENCY", stay),
            (subject, f"2031-01-{care}", "ICU_ADMISSION//SURGICAL", stay),
            (subject, "2031-01-05T00:00", "HOSPITAL_DISCHARGE//HOME", stay),
        ]
    rows += [(2, "2031-01-05T00:00", "MEDS_DEATH")]
    out = tmp_path / "tables" / "own.csv"
    assert write_table(meds(tmp_path / "events", rows), out) == 2
    header = "patient,age,female,icu,hours_in_icu,died"
    assert out.read_text("utf-8").splitlines() == [header, "1,71.0,1,1,4.0,0", "2,90.0,0,0,0.0,1"]


@pytest.mark.slow(but="recordings")
@pytest.mark.parametrize("kind", ["recordings", "rows"])
def test_recordings_and_tables_of_rows_are_sites_too(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data: tuple[object, ...]
    if kind == "recordings":
        root = canaries_of_recordings(tmp_path / "own.parquet").root
        columns = ("--label", "stage", "--subject", "patient", "--recording", "night")
        data = ("--data", "signals", *columns, "--channels", "C3,C4", "--rate", 128)
    else:
        rng, root = np.random.default_rng(0), tmp_path / "rows.csv"
        ages = rng.integers(40, 90, 300)
        died = (rng.random(300) < (ages - 30) / 80).astype(int)
        rows = [f"{n},{age},{dead}" for n, (age, dead) in enumerate(zip(ages, died, strict=True))]
        root.write_text("\n".join(["patient,age,died", *rows]), "utf-8")
        data = ("--data", "table", "--label", "died", "--id", "patient", "--min-subjects", LEAST)
    run, package, out = tmp_path / "run", tmp_path / "study.zip", tmp_path / "site"
    trained_on = (*data, "--root", root, "--out", run)
    assert called(main, "train", "logistic-regression", *trained_on) == 0
    assert called(main, "share", run, "--study", package, "--site", "Home") == 0
    capsys.readouterr()
    assert called(main, "evaluate", package, "--check", "--root", root) == 0
    assert "this site: can take part" in capsys.readouterr().out
    assert called(main, "evaluate", package, "--root", root, "--out", out) == 0
    assert called(main, "verify", out / "release") == 0
    release = read_release(out / "release")
    assert (release.flow is None) == (kind == "recordings")
    assert list(release.models["logistic-regression"].measures)[:2] == ["auroc", "o_e"]
    page = (out / "release/release.html").read_text("utf-8")
    assert ("360 segments" in page) == (kind == "recordings")
    several = "with several segments may be in several bins and subgroups"
    assert (several in page) == (kind == "recordings")
