"""One example of each class."""

import pytest

from sequela.figures.traces import traces


def test_each_class_has_a_lane_with_its_amplitude() -> None:
    found = traces({"seizure": [0.0, -850.4, 10.0], "eyes open": [1.0, 2.0, -1.0]}, 100.0)
    assert [(row["class"], row["seconds"], row["microvolt"]) for row in found.rows][:2] == [
        ("seizure", 0.0, 0.0),
        ("seizure", 0.01, -850.4),
    ]
    drawn = found.svg("traces")
    for said in (">seizure<", ">±850 µV<", ">eyes open<", ">±2 µV<"):
        assert said in drawn
    assert "seizure: up to 850 µV; eyes open: up to 2 µV" in found.alt


@pytest.mark.parametrize("samples", [[0.0, 0.0], [0.0]])
def test_a_flat_signal_is_a_line(samples: list[float]) -> None:
    found = traces({"eyes open": samples}, 100.0)
    assert ">±0 µV<" in found.svg("flat")
    assert "up to 0 µV" in found.alt
