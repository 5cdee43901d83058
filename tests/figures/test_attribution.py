from collections.abc import Callable

import numpy as np
import pytest

from sequela.errors import SettingError
from sequela.evaluation.attribution import Attribution
from sequela.figures.attribution import code_importance, signal_attribution
from sequela.figures.figure import Figure

Checked = Callable[[Figure], list[str]]


def test_a_segment_holds_its_samples_and_what_each_moved(checked: Checked) -> None:
    rng = np.random.default_rng(0)
    signal = rng.normal(scale=50, size=(1, 178))
    values = rng.normal(size=(1, 178))
    values[0, 89] = 9.0
    found = {"logit of seizure": Attribution(values, -1.0, -1.0 + values.sum(), 64)}
    figure = signal_attribution(signal, 178.0, found)
    texts = checked(figure)
    assert {"Signal in µV", "Contribution to the logit of seizure", "seconds"} <= set(texts)
    assert [row["signal"] for row in figure.rows] == signal[0].tolist()
    assert [row["logit of seizure"] for row in figure.rows] == values[0].tolist()
    assert "A segment of 1.00 s" in figure.alt
    assert "+9 at 0.50 s" in figure.alt


def test_each_channel_has_its_panels(checked: Checked) -> None:
    signal = np.arange(20.0).reshape(2, 10)
    found = {f"logit of {name}": Attribution(0 * signal, 0.0, 0.0, 1) for name in ("a", "b")}
    figure = signal_attribution(signal, 10.0, found)
    texts = checked(figure)
    for channel in ("channel 1", "channel 2"):
        assert sum(text.endswith(channel) for text in texts) == 3
    assert len(figure.rows) == 20


def test_attributions_of_another_segment_are_refused() -> None:
    with pytest.raises(SettingError, match=r"shape \(1, 3\), and the signal has \(1, 4\)"):
        signal_attribution(
            np.zeros((1, 4)), 4.0, {"logit of a": Attribution(np.zeros((1, 3)), 0.0, 0.0, 1)}
        )


def test_codes_stand_in_their_order(checked: Checked) -> None:
    codes = [
        {"code": "DX//401", "subjects": 40, "mean_absolute": 0.5, "mean": 0.7},
        {"code": "DX//<b>", "subjects": 12, "mean_absolute": 0.1, "mean": -0.2},
    ]
    figure = code_importance(codes, what="log-odds of died")
    texts = checked(figure)
    assert "DX//401 (+0.7 where present)" in texts
    assert any(text.startswith("DX//<b> (\N{MINUS SIGN}0.2 ") for text in texts)
    assert figure.rows == codes
    assert figure.alt.startswith("Mean absolute attribution to the log-odds of died. DX//401: 0.5")


def test_no_code_no_picture() -> None:
    with pytest.raises(SettingError, match="no code"):
        code_importance([], what="log-odds of died")
