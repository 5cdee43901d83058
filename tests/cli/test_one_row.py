"""A table with one row per patient, from the command line to the served model."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.cli.calls import Output, Refused, ran
from tests.serving.web.conftest import client
from tests.tables.one_row import changed, rows, without, write

from sequela.analysis.evaluate import predict_other
from sequela.analysis.package import open_package, packaged_run
from sequela.runs.find import open_run
from sequela.serving import load

COLUMNS = ("--label", "died", "--id", "patient", "--time", "admitted", "--site", "site")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a network on a table."""
    folder = tmp_path_factory.mktemp("row")
    table = write(folder / "patients.csv", rows())
    data = ("--data", "table", "--root", table, *COLUMNS)
    few = ("--epochs", "2", "--min-subjects", "10")
    ran("train", "values-lstm", *data, *few, "--out", folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def exported(trained: Path) -> Path:
    ran("export", trained, "--out", trained.with_name("model.onnx"))
    return trained.with_name("model.onnx")


def test_the_default_of_a_table_has_no_recurrence(tmp_path: Path, output_of: Output) -> None:
    data = ("--data", "table", "--root", write(tmp_path / "patients.csv", rows()), *COLUMNS)
    run = tmp_path / "run"
    first, *lines, last = output_of(
        "train", "auto", *data, "--epochs", "2", "--out", run
    ).splitlines()
    assert "--epochs: without effect, as logistic-regression is a baseline model" in lines
    assert first == "auto: logistic-regression, the default for tables with one row per patient"
    assert last == f"both on one page: sequela report {run} {run}.boosting"
    assert [open_run(path).settings.model for path in (run, Path(f"{run}.boosting"))] == [
        "logistic-regression",
        "boosting",
    ]
    printed = output_of("report", run, f"{run}.boosting", "--out", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "no advantage" not in page
    assert "Boosting" in page
    *_, counted, _ = printed.splitlines()
    assert counted == "This test set was evaluated 2 times, with 2 models."


@pytest.mark.slow
def test_two_models_of_a_rare_event_have_a_page(tmp_path: Path) -> None:
    died = ["yes" if place in (3, 50, 120, 200, 220, 230) else "no" for place in range(240)]
    table = write(tmp_path / "rare.csv", changed(rows(), "died", *died))
    for model in ("logistic-regression", "prevalence"):
        ran("train", model, "--data", "table", "--root", table, *COLUMNS, "--out", tmp_path / model)
    runs = (tmp_path / "logistic-regression", tmp_path / "prevalence")
    ran("report", *runs, "--out", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "Logistic regression" in page
    assert "Prevalence" in page


def test_a_packaged_model_reads_the_table_of_another_hospital(
    trained: Path, tmp_path: Path
) -> None:
    ran("share", trained, "--study", tmp_path / "ward.zip")
    protocol = open_package(tmp_path / "ward.zip", tmp_path / "models")
    channels = protocol.channels
    (crp,) = (channel for name, channel in channels.items() if name.startswith("CELL//crp"))
    assert 5 < crp.quantiles["0.25"] < crp.quantiles["0.75"] < 60
    assert protocol.classes == ("not died", "died")
    assert not [word for word in ("P00", "remark") if word in str(protocol)]
    table = write(tmp_path / "theirs.csv", rows(count=90, seed=2))
    folder = packaged_run(tmp_path / "models" / protocol.models[0].name)
    data, predictions = predict_other(folder, "table", table, tmp_path)
    assert len(predictions.label) == 90
    assert data.unlike_training["unknown_codes"] == 0


def test_a_table_trains_a_network(trained: Path) -> None:
    run = open_run(trained)
    assert run.data.question == "died, predicted from the other cells of its row"
    assert run.data.example == "row"
    assert run.data.notes == ["not read: remark (nearly all texts differ, as in free text or ids)"]
    assert not run.metrics.leaks
    assert run.data.flow is not None
    assert run.data.flow["unit"] == "rows"
    vocabulary = str(run.data.sequences)
    assert "CELL//ward//Höhe" in vocabulary
    assert not [word for word in ("P00", "remark", "HOSPITAL", "died") if word in vocabulary]


def test_page_and_card(trained: Path, tmp_path: Path) -> None:
    ran("evaluate", trained)
    ran("report", trained, "--out", tmp_path / "page.html")
    ran("card", trained, "--out", tmp_path / "card.md")
    page, card = (tmp_path / name for name in ("page.html", "card.md"))
    for text in (page.read_text("utf-8"), card.read_text("utf-8")):
        assert "P001" not in text
        assert "--data table" in text
        assert "--label died" in text
        assert "--task" not in text
        assert "stays" not in text


def test_new_rows(trained: Path, exported: Path, tmp_path: Path, output_of: Output) -> None:
    new = changed(
        without(rows(20, seed=9), "died", "site"), "Patient", *(f"N{i}" for i in range(20))
    )
    path = write(tmp_path / "new.csv", changed(new, "ward", "attic"))
    assert "unknown codes: 2" in output_of(
        "predict", exported, path, "--out", tmp_path / "one.parquet"
    )  # each ward, of four or five cells
    ran("predict", trained, path, "--out", tmp_path / "two.parquet")
    one, two = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("one", "two"))
    assert one["subject"].to_pylist() == [f"N{i}" for i in range(20)]
    assert one.drop_columns("split").equals(two.drop_columns("split"))
    assert two["split"].unique().to_pylist() == ["held_out"]  # by their ids, which a file lacks
    pytest.importorskip("fastapi")
    with client(load(exported)) as asked:
        header = {"content-type": "text/csv"}
        reply = asked.post("/v1/predict", content=path.read_bytes(), headers=header)
        assert reply.status_code == 200, reply.text
        served = {p["id"]: p["probabilities"]["died"] for p in reply.json()["predictions"]}
        for subject, probability in zip(
            one["subject"].to_pylist(), one["p_1"].to_pylist(), strict=True
        ):
            assert served[subject] == pytest.approx(probability, abs=1e-5)
        columns = asked.get("/v1/model").json()["records"]["columns"]
        assert columns[:2] == ["patient", "admitted"]
        assert {*columns[2:]} == {"age", "sex", "ward", "crp_mg_l_", "last_visit"}
        less = write(tmp_path / "less.csv", without(new, "ward", "sex")).read_bytes()
        problem = asked.post("/v1/predict", content=less, headers=header)
        assert problem.status_code in {400, 422}
        assert "the body: no column" in problem.json()["detail"]
        header_alone = path.read_bytes().partition(b"\n")[0]
        assert asked.post("/v1/predict", content=header_alone, headers=header).status_code == 422


def test_known_patients_are_marked(trained: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "known.csv", without(rows(), "died"))
    ran("predict", trained, path, "--out", tmp_path / "out.parquet")
    split = pq.read_table(tmp_path / "out.parquet")["split"].to_pylist()
    assert split.count("train") == 240 - 48


def test_an_exported_file_does_not_recognise_patients_of_few_cells(
    exported: Path, tmp_path: Path, output_of: Output
) -> None:
    path = write(tmp_path / "known.csv", without(rows(), "died"))
    printed = output_of("predict", exported, path, "--out", tmp_path / "out.parquet")
    assert "overlap with the training data: not checked for 240 of 240 examples" in printed
    assert "known: no patient" not in printed
    assert pq.read_table(tmp_path / "out.parquet")["split"].null_count == 240


def test_a_copy_of_the_label_is_found(tmp_path: Path, output_of: Output) -> None:
    some = [{**row, "end": "07" if row["died"] == "yes" else "01"} for row in rows(120)]
    table = write(tmp_path / "leak.csv", without(some, "age"))  # and no row has an age
    data = ("--data", "table", "--root", table, *COLUMNS)
    lines = output_of("train", "summaries-boosting", *data, "--out", tmp_path / "run").splitlines()
    assert "end: word, 2 values: 01, 07" in lines
    telling = [line for line in lines if "tells the outcome" in line]
    assert telling == ["end tells the outcome: leave it out with --omit end"]
    assert "CELL//end" in str(open_run(tmp_path / "run").metrics.suspicions)


def test_splits(tmp_path: Path, refused: Refused) -> None:
    table = write(
        tmp_path / "a.csv", changed(rows(80), "Patient", *(f"P{i // 2}" for i in range(80)))
    )
    data = ("train", "prevalence", "--data", "table", "--root", table)
    for split in ("time", "site"):
        ran(*data, *COLUMNS, "--split", split, "--out", tmp_path / split)
        assert open_run(tmp_path / split).data.unit == {"time": "subject", "site": "site"}[split]
    few = ("--label", "died", "--id", "patient")
    said = refused(*data, *few, "--split", "time", "--out", tmp_path / "x")
    assert "--split time needs the column of the time: name it with --time" in said
    said = refused(*data, *few, "--split", "site", "--out", tmp_path / "x")
    assert "--split site needs the column of the site: name it with --site" in said


def test_mistakes(tmp_path: Path, refused: Refused, output_of: Output) -> None:
    table = write(tmp_path / "a.csv", rows(30))
    data = ("train", "auto", "--data", "table", "--root", table)
    assert "--id is missing: name the column of the patient" in refused(*data, "--label", "died")
    assert "--task is for hospital tables" in refused(*data, *COLUMNS, "--task", "in-hospital")
    said = refused("train", "auto", "--data", "bonn", "--label", "x")
    assert "your own recordings (--data signals) or table (--data table)" in said
    said = refused("data", "check", "table", "--root", table)
    assert "are named by options: use `sequela train auto --data table" in said
    said = refused("data", "describe", table, "--write")
    assert "which options describe, not a file" in said
    assert "\nsequela train auto --data table --root" in output_of("data", "describe", table)
