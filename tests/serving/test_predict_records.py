"""Hospital records without outcomes: the run's question, asked of whom nobody knows the answer."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tests.serving.test_predict import asked, listed, of_run, table_of, without_torch

from sequela.config import CohortSettings, RunSettings, TrainingSettings
from sequela.datasets.catalog import EXCERPTS
from sequela.errors import DataError, SequelaError, SettingError
from sequela.runs.fit import train
from sequela.runs.folder import RunFolder
from sequela.serving import load
from sequela.serving.export import write_export

ON_MIMIC: Any = {"data": "mimic3", "split": "subject"}
OUTCOMES = ("MEDS_DEATH", "HOSPITAL_OUTCOME", "FOLLOW_UP_END")


@pytest.fixture(scope="module")
def usual() -> Iterator[None]:
    """The data that ship with the package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SEQUELA_DATA", raising=False)
        yield


@pytest.fixture(scope="module")
def built(excerpt_events: Callable[[str], Path], usual: None) -> Path:
    """The records of MIMIC-III's demo as MEDS events."""
    return excerpt_events("mimic3")


@pytest.fixture(scope="module")
def stays_run(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GRU on the codes of MIMIC-III's demo."""
    out = tmp_path_factory.mktemp("runs") / "codes"
    training = TrainingSettings(epochs=2)
    settings = RunSettings(model="visits-baseline", **ON_MIMIC, training=training)
    train(settings, out, root=built)
    return out


@pytest.fixture(scope="module")
def codes_run(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logistic regression on the same codes."""
    out = tmp_path_factory.mktemp("runs") / "linear"
    train(RunSettings(model="logistic-regression", **ON_MIMIC), out, root=built)
    return out


@pytest.fixture(scope="module")
def stays_file(stays_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "codes.onnx"
    write_export(stays_run, path)
    return path


def test_export_says_that_the_vocabulary_names_codes_of_few(
    stays_run: Path, run: Path, tmp_path: Path
) -> None:
    *_, said = write_export(stays_run, tmp_path / "codes.onnx", check=False)
    assert said.startswith("internal file, do not publish: its vocabulary may name codes of only 1")
    assert "--min-subjects 10" in said
    assert load(tmp_path / "codes.onnx").about["internal"] == said
    *_, said = write_export(run, tmp_path / "small.onnx", check=False)
    assert "small.onnx" in said
    assert "internal" not in load(tmp_path / "small.onnx").about


def without(built: Path, root: Path, families: tuple[str, ...]) -> Path:
    """A MEDS data set of anybody's, without the events of some families."""
    (root / "data").mkdir(parents=True)
    for number, file in enumerate(sorted((built / "data").rglob("*.parquet"))):
        table = pq.read_table(file)
        dropped = pc.is_in(table["code"], pa.array([], pa.string()))
        for family in families:
            dropped = pc.or_(dropped, pc.starts_with(table["code"], family))
        pq.write_table(table.filter(pc.invert(dropped)), root / "data" / f"{number}.parquet")
    return root


@pytest.mark.parametrize("which", ["file", "run"])
def test_it_says_what_the_run_says(
    which: str, stays_run: Path, stays_file: Path, codes_run: Path, built: Path, tmp_path: Path
) -> None:
    out = tmp_path / "said.parquet"
    file, folder = (stays_file, stays_run, built), (codes_run, codes_run, None)
    model, run, root = {"file": file, "run": folder}[which]
    found = asked(model, root, out, data="mimic3")
    apart, both = of_run(run, out)
    assert apart <= 1e-5
    known = RunFolder(run).predictions
    assert known.probabilities[:, 1].std() > 1e-3
    assert both["subject"].tolist() == both["group"].tolist() == known.subject_id.tolist()
    assert both["label"].isna().all()
    seen = both["split"].to_numpy() == "train"
    trained = known.split != "held_out"
    assert not seen[~trained].any()
    assert seen[trained].all() == (which == "run")  # a record of few codes has too few marks
    assert found.known == seen.sum() > 0
    reasons = {row["reason"] for row in listed(out, "not scored")}
    assert reasons == {"discharged or dead by the time of prediction", "younger than 18 years"}
    unknown = found.report["unknown_codes"]
    assert 0 < unknown["unknown"] < unknown["codes"]
    assert any(line.startswith("unknown codes: ") for line in found.sentences)


def test_events_without_outcomes(
    stays_run: Path, stays_file: Path, built: Path, tmp_path: Path
) -> None:
    out = tmp_path / "said.parquet"
    asked(stays_file, without(built, tmp_path / "dead", OUTCOMES), out)  # data/ is MEDS
    apart, _ = of_run(stays_run, out)
    assert apart <= 1e-5
    root = without(built, tmp_path / "new", (*OUTCOMES, "HOSPITAL_DISCHARGE"))
    found = asked(stays_file, root, out)
    # Who had left by the time of prediction is not known to have.
    assert found.report["scored"] > RunFolder(stays_run).predictions.n_examples
    assert any("no event on record after the time" in line for line in found.sentences)
    ids = table_of(out)["id"].tolist()
    assert ids == sorted(ids, key=lambda id_: (int(id_.split(" at ")[0]), id_))


def test_published_tables_without_their_columns_of_outcome(
    stays_run: Path, stays_file: Path, tmp_path: Path
) -> None:
    root = tmp_path / "mimic"
    shutil.copytree(EXCERPTS / "mimic3", root)
    for sums in root.glob("SHA256SUMS*"):
        sums.unlink()
    for name, columns in (
        ("ADMISSIONS", {"dischtime", "deathtime", "hospital_expire_flag", "discharge_location"}),
        ("PATIENTS", {"dod", "dod_hosp", "dod_ssn", "expire_flag"}),
    ):
        (path,) = root.glob(f"{name}.csv*")
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        gone = [each for each in table.columns if each.lower() in columns]
        assert gone
        table.drop(columns=gone).to_csv(path, index=False)
    out = tmp_path / "said.parquet"
    asked(stays_file, root, out, data="mimic3")
    _, both = of_run(stays_run, out)  # all of the run are there, and nobody has a label
    assert both["label"].isna().all()
    settings = RunSettings(model="logistic-regression", **ON_MIMIC)
    with pytest.raises(SequelaError, match="no column '"):  # which training needs
        train(settings, tmp_path / "run", root=root)


def test_blocks_give_what_the_whole_gives(
    stays_file: Path, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(stays_file, built, tmp_path / "whole.parquet", data="mimic3")
    monkeypatch.setattr("sequela.serving.record_input._NUMBERS", 500)
    monkeypatch.setattr("sequela.serving.record_input._MOST", 7)
    monkeypatch.setattr("sequela.serving.prediction_table._ROWS", 10)
    asked(stays_file, built, tmp_path / "parts.parquet", data="mimic3")
    whole, parts = (table_of(tmp_path / f"{each}.parquet") for each in ("whole", "parts"))
    pd.testing.assert_frame_equal(whole, parts, atol=1e-6)


def test_marks_under_another_key_are_not_compared(
    stays_file: Path, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "key"
    other.write_text("3c" * 32, "ascii")
    other.chmod(0o600)
    monkeypatch.setenv("SEQUELA_KEY", str(other))
    found = asked(stays_file, built, tmp_path / "said.parquet", data="mimic3")
    assert found.known == 0
    assert any("SEQUELA_KEY" in line for line in found.sentences)
    assert not any(line.startswith("known:") for line in found.sentences)


def test_it_works_without_torch(stays_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "said.parquet"
    report = without_torch(stays_file, "--data", "mimic3", "--out", out)
    assert report["scored"] == len(table_of(out))
    assert report["drift"]["records"]["patients"] == 100 - len(
        {row["subject"] for row in listed(out, "not scored")}
        - set(table_of(out)["subject"].tolist())
    )


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"data": "bonn"}, "has recordings"),
        ({"data": "mimic3", "times": Path("t.parquet")}, "leave --times out"),
        ({"data": "physionet2012", "path": EXCERPTS / "mimic3"}, "no set-a"),
        ({"data": "meds", "path": EXCERPTS}, "no MEDS data set"),
    ],
)
def test_other_data_are_refused(
    how: dict[str, Any], words: str, stays_file: Path, tmp_path: Path
) -> None:
    path = how.pop("path", None)
    with pytest.raises(SequelaError, match=words):
        asked(stays_file, path, tmp_path / "o.parquet", **how)
    assert not (tmp_path / "o.parquet").exists()


def test_nobody_to_ask_about_is_refused(stays_file: Path, built: Path, tmp_path: Path) -> None:
    root = without(built, tmp_path / "new", ("HOSPITAL_ADMISSION",))
    with pytest.raises(DataError, match="these data have no example to predict"):
        asked(stays_file, root, tmp_path / "o.parquet")


def test_drift_of_codes_is_said(stays_file: Path, built: Path, tmp_path: Path) -> None:
    training = load(stays_file).about["records"]["training"]["codes"]
    others = {name: share for name, share in training.items() if "HOSPITAL_" not in name}
    name = max(others, key=lambda each: float(others[each]))
    family = name.split("//", maxsplit=1)[0]
    root = without(built, tmp_path / "new", (family,))
    found = asked(stays_file, root, tmp_path / "o.parquet")
    assert found.report["drift"]["records"]["codes"][name]["share"] == 0
    assert any(f"drift: 0% of patients have {name}" in line for line in found.sentences)


def test_times_of_a_file(built: Path, tmp_path: Path, usual: None) -> None:
    rows = []
    for file in sorted((built / "data").rglob("*.parquet")):
        table = pq.read_table(file)
        admitted = table.filter(pc.starts_with(table["code"], "HOSPITAL_ADMISSION"))
        rows += admitted.select(["subject_id", "time"]).to_pylist()
    first = {row["subject_id"]: row["time"] for row in reversed(rows)}
    table = pa.table(
        {
            "subject_id": pa.array([*first], pa.int64()),
            "prediction_time": pa.array([*first.values()], pa.timestamp("us")),
            "boolean_value": pa.array([n % 3 == 0 for n in range(len(first))]),
        }
    )
    labels = tmp_path / "labels.parquet"
    pq.write_table(table, labels)
    cohort = CohortSettings(labels=str(labels))
    settings = RunSettings(model="logistic-regression", data="meds", split="subject", cohort=cohort)
    train(settings, tmp_path / "run", root=built)
    times = tmp_path / "times.parquet"
    stranger = pa.table(
        {
            "subject_id": pa.array([999], pa.int64()),
            "prediction_time": table["prediction_time"].combine_chunks()[:1],
        }
    )
    records_of = table.drop_columns("boolean_value")
    pq.write_table(pa.concat_tables([records_of, stranger]), times)
    out = tmp_path / "said.parquet"
    asked(tmp_path / "run", built, out, times=times)
    apart, _ = of_run(tmp_path / "run", out)
    assert apart <= 1e-5
    (row,) = listed(out, "not scored")
    assert row["subject"] == "999"
    assert "no event of this subject" in row["reason"]
    with pytest.raises(SettingError, match="with --times"):
        asked(tmp_path / "run", built, out)


@pytest.mark.slow
def test_a_set_of_the_challenge_without_outcomes(challenge: Path, tmp_path: Path) -> None:
    """Five stays of the excerpt as text files, as the challenge published its set-b."""
    stays = pq.read_table(challenge).slice(0, 5).to_pylist()
    (tmp_path / "new" / "set-b").mkdir(parents=True)
    for stay in stays:
        rows = zip(stay["time"], stay["parameter"], stay["value"], strict=True)
        lines = "".join(f"{time},{name},{value:g}\n" for time, name, value in rows)
        path = tmp_path / "new" / "set-b" / f"{stay['recordid']}.txt"
        path.write_text(f"Time,Parameter,Value\n{lines}", "utf-8")
    settings = RunSettings(
        model="logistic-regression",
        data="physionet2012",
        split="subject",
        cohort=CohortSettings(hours=48.0),
    )
    train(settings, tmp_path / "run", root=challenge)
    out = tmp_path / "said.parquet"
    asked(tmp_path / "run", tmp_path / "new", out, data="physionet2012")
    known = RunFolder(tmp_path / "run").predictions
    said = table_of(out).set_index("id")
    rows_of = [n for n, id_ in enumerate(known.example_id.tolist()) if id_ in said.index]
    assert len(rows_of) == len(said) == 5
    of_these = said.loc[known.example_id[rows_of].tolist()]
    held_out = known.split[rows_of] != "tuning"
    apart = np.abs(of_these["p_1"].to_numpy() - known.probabilities[rows_of, 1])[held_out]
    assert apart.max() <= 1e-5
