"""Settings: what is refused, and that they survive being written."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from sequela.config import CohortSettings, RunSettings, TrainingSettings
from sequela.errors import RunError, SettingError

POSITIVE = st.floats(min_value=1e-12, max_value=1e12)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
TRAINING = st.builds(
    TrainingSettings,
    epochs=st.integers(1, 10**6),
    patience=st.integers(1, 10**6),
    batch_size=st.integers(1, 10**6),
    learning_rate=POSITIVE,
    schedule=st.sampled_from(["constant", "one-cycle"]),
    clip_norm=st.none() | POSITIVE,
    weight_decay=st.floats(0, 1e9),
    label_smoothing=st.floats(0, 0.999),
    average=st.floats(0, 0.999),
    class_weights=st.booleans(),
    mixed_precision=st.booleans(),
)
RUNS = st.builds(
    RunSettings,
    model=TEXT,
    data=TEXT,
    split=st.sampled_from(["subject", "recording", "row"]),
    seed=st.integers(0, 2**31 - 1),
    fractions=st.tuples(POSITIVE, POSITIVE, POSITIVE),
    model_settings=st.dictionaries(
        TEXT,
        st.recursive(
            st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | TEXT,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
            max_leaves=6,
        ),
        max_size=4,
    ),
    training=TRAINING,
)
BEFORE = """\
model = "m"
data = "d"
split = "recording"
folds = 0
fold = 0
seed = 0
fractions = [0.6, 0.2, 0.2]
aim = "youden"

[model_settings]
rate = 0.5

[cohort]
task = "in-hospital"
from_icu = false
tables = ["a"]
inputs = []
hindsight = false
min_subjects = 1
icd_digits = 0
step_hours = 4.0
demographics = false
bins = 5

[training]
epochs = 60
patience = 15
batch_size = 64
learning_rate = 0.003
schedule = "constant"
clip_norm = 1.0
weight_decay = 0.0
label_smoothing = 0.0
average = 0.0
class_weights = false
mixed_precision = true
"""
"""A file as the first version wrote it, without what came later."""


@given(settings=RUNS)
@examples(max_examples=50, deadline=None)
def test_settings_survive_toml(
    settings: RunSettings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "config.toml"
    path.write_text(settings.to_toml(), encoding="utf-8")
    assert RunSettings.read(path) == settings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochz": 3}, "setting epochz = 3 cannot be used"),
        ({"epochs": 0}, "setting epochs = 0 cannot be used"),
        ({"learning_rate": float("inf")}, "setting learning_rate = inf cannot be used"),
        ({"schedule": "cosine"}, "setting schedule = 'cosine' cannot be used"),
    ],
)
def test_training_settings_that_cannot_be_used(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message) as caught:
        TrainingSettings.of(**values)
    assert "\n" not in str(caught.value)


def test_a_setting_inside_a_table_is_named_in_full() -> None:
    with pytest.raises(SettingError, match=r"training\.epochs = 'many' cannot be used"):
        RunSettings.of(model="m", data="d", training={"epochs": "many"})


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (None, "hidden = None"),
        ({"a": [1, {"b": None}]}, r"hidden\.a\.b = None"),
        ([float("nan")], "hidden = nan"),
        ({1: 2}, "hidden = {1: 2}"),
    ],
)
def test_model_settings_that_toml_has_no_words_for(value: Any, where: str) -> None:
    """Left out of the file, they would be another model's when the run is read again."""
    with pytest.raises(SettingError, match=f"{where} cannot be written to a config.toml"):
        RunSettings.of(model="m", data="d", model_settings={"hidden": value})


def test_a_config_of_before_is_read(tmp_path: Path) -> None:
    asked = CohortSettings(tables=("a",), icd_digits=0, step_hours=4.0, bins=5)
    training = TrainingSettings(learning_rate=0.003, clip_norm=1.0)
    settings = RunSettings(
        model="m", data="d", model_settings={"rate": 0.5}, cohort=asked, training=training
    )
    written = settings.to_toml().replace("horizons_days = []\n", "")  # is new within a table
    written = written.replace("resamples = 2000\nrounds = 500\n", "")
    assert written.startswith(BEFORE)  # all else that is new comes after it
    (tmp_path / "config.toml").write_text(BEFORE, "utf-8")
    assert RunSettings.read(tmp_path / "config.toml") == settings


@pytest.mark.parametrize("seed", [-1, 2**31, 0.5, "one"])
def test_seeds_that_cannot_be_used(seed: Any) -> None:
    with pytest.raises(SettingError, match="setting seed = "):
        RunSettings.of(model="m", data="d", seed=seed)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"model = ", "not a run's settings"),
        (b"\xff\xfe", "not a run's settings"),
        (b"model = 'm'", "setting data"),
        (b"model = 'm'\ndata = 'd'\nsped = 3", "setting sped = 3 cannot be used"),
    ],
)
def test_a_damaged_config(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(RunError, match=message) as caught:
        RunSettings.read(path)
    assert str(caught.value).startswith(str(path))


def test_no_config(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"expected a run folder with a config\.toml"):
        RunSettings.read(tmp_path / "config.toml")


@pytest.mark.parametrize(
    ("aim", "target", "message"),
    [
        ("sensitivity", None, "the aim 'sensitivity' has the target None: expected a number above"),
        ("sensitivity", 1.5, "above 0, at most 1"),
        ("cost_ratio", -1.0, "above 0"),
        ("youden", 0.5, "the aim 'youden' takes no target"),
        ("specificity", 0.5, "setting aim = 'specificity' cannot be used"),
    ],
)
def test_an_aim_and_its_target_go_together(aim: str, target: float | None, message: str) -> None:
    """Seen before training, not at the end of it."""
    with pytest.raises(SettingError, match=message) as caught:
        RunSettings.of(model="m", data="d", aim=aim, aim_target=target)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("aim", "target"), [("sensitivity", 1.0), ("cost_ratio", 40.0), ("youden", None), ("f1", None)]
)
def test_aims_with_their_targets(aim: str, target: float | None, tmp_path: Path) -> None:
    settings = RunSettings.of(model="m", data="d", aim=aim, aim_target=target)
    (tmp_path / "config.toml").write_text(settings.to_toml(), "utf-8")
    assert RunSettings.read(tmp_path / "config.toml") == settings


def test_the_settings_of_a_cohort_read_back(tmp_path: Path) -> None:
    asked = CohortSettings(
        task="in-hospital",
        hours=0.0,
        from_icu=True,
        tables=("a", 'b"c'),
        labels="/data/über\\labels.parquet",
        inputs=("ICD9CM",),
        icd_digits=0,
        step_hours=0.1 + 0.2,
        bins=5,
    )
    settings = RunSettings(model="m", data="d", split="subject", cohort=asked, folds=5, fold=7)
    (tmp_path / "config.toml").write_text(settings.to_toml(), "utf-8")
    assert RunSettings.read(tmp_path / "config.toml") == settings
