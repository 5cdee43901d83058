from dataclasses import replace

import numpy as np
import pytest

from sequela.datasets.recordings import Recording
from sequela.errors import DataError
from sequela.intake.inventory import take_inventory
from sequela.signals.bonn import SIGNALS


def test_the_inventory_of_the_excerpt(excerpt: dict[str, Recording]) -> None:
    inventory = take_inventory(list(excerpt.values()), SIGNALS)
    assert inventory.classes == dict.fromkeys(
        ["seizure", "tumour area", "healthy area", "eyes closed", "eyes open"], 100
    )
    assert (inventory.n_chans, inventory.n_times, inventory.sfreq) == (1, {4097: 500}, 173.61)
    assert (inventory.n_segments, inventory.n_dropped) == (11500, 1500)
    assert inventory.ranges["seizure"] == (-1885, 2047)
    assert inventory.ranges["eyes open"] == (-288, 294)
    assert inventory.same_recordings == inventory.same_segments == ()
    inventory.require_distinct()


def test_duplicates_are_named(excerpt: dict[str, Recording]) -> None:
    again = replace(excerpt["Z001"], recording_id="Z999")
    signal = excerpt["F001"].signal.copy()
    signal[:, 178:356] = signal[:, :178]
    changed = replace(excerpt["F001"], signal=signal)
    inventory = take_inventory([excerpt["Z001"], again, changed], SIGNALS)
    assert inventory.same_recordings == (("Z001", "Z999"),)
    assert len(inventory.same_segments) == 24
    assert ("F001/01", "F001/02") in inventory.same_segments
    assert "1 recordings, 24 segments" in inventory.describe()
    with pytest.raises(DataError, match=r"found 1 recordings .* such as Z001 = Z999: expected"):
        inventory.require_distinct()


def test_recordings_of_several_lengths_and_few_classes(excerpt: dict[str, Recording]) -> None:
    short = replace(excerpt["Z001"], signal=excerpt["Z001"].signal[:, :200])
    text = take_inventory([short, excerpt["S001"]], SIGNALS).describe()
    assert "200 samples (1 recordings) and 4,097 samples (1 recordings)" in text
    assert "tumour area   0 recordings\n" in text
    assert np.isfinite(take_inventory([short], SIGNALS).ranges["eyes open"]).all()
