"""Loading and splitting, against what the command line does."""

from pathlib import Path

import numpy as np
import pytest

import sequela
from sequela.api.examples import SignalExamples
from sequela.cohort.split import PARTS
from sequela.config import RunSettings
from sequela.datasets.catalog import Recording
from sequela.errors import SettingError, SplitError, UnknownNameError
from sequela.runs import signals
from sequela.signals.segments import cut


def test_what_is_loaded_and_its_parts(synthetic: Path) -> None:
    data = sequela.load("bonn", root=synthetic)
    train, held_out = data.split(seed=3)
    assert len(data) == 50 * 23 == len(train) + len(held_out)
    np.testing.assert_array_equal(data.X, data.segments.signal[:, 0])
    assert set(train.groups) | set(held_out.groups) == set(data.groups)
    assert not set(train.groups) & set(held_out.groups)
    assert data.y[data.groups == "S001"].tolist() == ["seizure"] * 23
    row = int(np.flatnonzero(data.segments.segment_id == held_out.segments.segment_id[5])[0])
    np.testing.assert_array_equal(held_out.X[5], data.X[row])
    assert held_out.y[5] == data.y[row]


@pytest.mark.parametrize("unit", ["recording", "row"])
def test_the_held_out_part_is_that_of_a_run(synthetic: Path, unit: str) -> None:
    run = signals.load(
        RunSettings.of(model="mlp-baseline", data="bonn", split=unit, seed=5), synthetic
    )
    _, held_out = sequela.load("bonn", root=synthetic).split(by=unit, seed=5)  # type: ignore[arg-type]
    expected = run.arrays.segment_id[run.part == PARTS.index("held_out")]
    assert held_out.segments.segment_id.tolist() == expected.tolist()
    assert held_out.proof is not None
    assert held_out.proof.ids == run.split.ids


def test_channels_and_subjects() -> None:
    recordings = [
        Recording(f"r{i}", f"s{i // 2}", np.full((2, 20), i, np.float32), 100.0, label=i // 2 % 2)
        for i in range(40)
    ]
    data = SignalExamples("bonn", "here", cut(recordings, 10, ("a", "b")))
    assert data.X.shape == (80, 2, 10)
    train, held_out = data.split()
    assert held_out.groups.tolist() == [f"s{int(x[0, 0]) // 2}" for x in held_out.X]
    assert not set(train.groups) & set(held_out.groups)
    assert "of 4 subjects" in repr(held_out)
    assert "by subject" in repr(held_out)


def test_what_they_say_of_themselves(synthetic: Path) -> None:
    data = sequela.load("bonn", root=synthetic, n_times=4096)
    _, held_out = data.split(seed=0)
    assert "50 of 50 sessions" in repr(data)
    assert "4096 samples at 173.61 Hz" in repr(data)
    assert "split" not in repr(data)
    assert "by session, 0 ids in two parts" in repr(held_out)
    assert repr(held_out).splitlines()[0] == "Bonn EEG, five classes: held-out part"
    page = held_out._repr_html_()
    assert "held-out part" in page
    assert "&#x27;free of charge" in page
    seconds = sequela.load("bonn", root=synthetic)
    assert "LEAKS" in repr(seconds.split(by="row")[1])
    assert "LEAKS" not in repr(seconds.split()[1])


def test_what_cannot_be_loaded_or_split(synthetic: Path) -> None:
    with pytest.raises(SettingError, match="read it with `sequela train auto --data table`, or"):
        sequela.load("table", root="patients.csv")
    with pytest.raises(UnknownNameError, match="did you mean 'bonn'"):
        sequela.load("bon")
    with pytest.raises(SettingError, match="hospital tables"):
        sequela.load("mimic3")
    data = sequela.load("bonn", root=str(synthetic))
    with pytest.raises(SplitError, match="no subject ids"):
        data.split(by="subject")
    with pytest.raises(SplitError, match="must be positive"):
        data.split(held_out=0)
