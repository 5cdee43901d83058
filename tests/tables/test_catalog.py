from importlib import import_module
from pathlib import Path

import pytest

from sequela.datasets import catalog
from sequela.datasets.catalog import DATA_SETS, load_recordings, lookup
from sequela.errors import DataNotFoundError, SettingError, UnknownNameError


@pytest.mark.parametrize("name", DATA_SETS)
def test_entries_are_whole(name: str) -> None:
    data_set = DATA_SETS[name]
    assert all([data_set.title, data_set.licence, data_set.size, data_set.how_to_get])
    assert data_set.homepage.startswith("https://") is (name not in {"signals", "table", "tables"})
    without = {"clif", "meds", "omop", "signals", "table", "tables"}
    assert bool(data_set.citation) is (name not in without)
    assert (data_set.kind == "eeg") is bool(data_set.reads or data_set.windows)
    functions = (
        data_set.reads,
        data_set.signals,
        data_set.rows,
        data_set.windows,
    )
    for function in filter(None, functions):
        assert isinstance(function, str)
        module, attribute = function.split(":")
        assert hasattr(import_module(module), attribute)


def test_an_unknown_name_gets_the_nearest_known_one() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'uci-seizure'"):
        lookup("uci-seizures")


def test_places_are_looked_at_in_their_order(
    no_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    excerpts = tmp_path / "excerpts"
    monkeypatch.setattr(catalog, "EXCERPTS", excerpts)
    shared = tmp_path / "shared"
    shared.mkdir()
    with pytest.raises(DataNotFoundError, match="mimic3 was not found"):
        lookup("mimic3").locate()
    # From the last to the first: each one that is there goes before those made so far.
    places = {
        excerpts / "mimic3": "the excerpt that ships with sequela (the demo's 100 patients)",
        no_data / "mimic3": f"the data in your cache, {no_data / 'mimic3'}",
        shared / "mimic3-demo": f"the data under {shared / 'mimic3-demo'}",
        shared / "mimic3": f"the data under {shared / 'mimic3'}",
    }
    monkeypatch.setenv("SEQUELA_DATA", str(shared))
    for path, origin in places.items():
        path.mkdir(parents=True)
        located = lookup("mimic3").locate()
        assert located.path == path
        assert origin in located.origin
    root = tmp_path / "elsewhere"
    root.mkdir()
    assert lookup("mimic3").locate(root).path == root


def test_a_root_that_does_not_exist_is_never_passed_over(
    no_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (
        lookup("bonn").locate().origin == "the excerpt that ships with sequela (all 500 recordings)"
    )
    with pytest.raises(DataNotFoundError, match="nowhere does not exist: expected the data set"):
        lookup("bonn").locate(tmp_path / "nowhere")
    monkeypatch.setenv("SEQUELA_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataNotFoundError, match=r"SEQUELA_DATA is set to .*nowhere"):
        lookup("bonn").locate()


def test_a_broken_data_set_is_never_passed_over(
    no_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bonn").mkdir()
    monkeypatch.setenv("SEQUELA_DATA", str(tmp_path))
    with pytest.raises(DataNotFoundError, match="lacks sets"):
        load_recordings("bonn")


def test_what_was_not_found_names_the_places_and_how_to_get_it(
    no_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQUELA_DATA", str(tmp_path))
    with pytest.raises(DataNotFoundError) as caught:
        lookup("mimic4").locate()
    for place in (tmp_path / "mimic4", tmp_path / "mimic4-demo", no_data / "mimic4"):
        assert str(place) in str(caught.value)
    assert "https://physionet.org/content/mimiciv/" in str(caught.value)


def test_recordings_come_with_where_they_were_found(no_data: Path, bonn_folder: Path) -> None:
    recordings, located = load_recordings("bonn")
    assert (len(recordings), located.origin.split(" (")[0]) == (
        500,
        "the excerpt that ships with sequela",
    )
    recordings, located = load_recordings("bonn", bonn_folder)
    assert (len(recordings), located.path) == (10, bonn_folder)


def test_tables_hold_no_recordings() -> None:
    with pytest.raises(SettingError, match="mimic3 holds hospital tables"):
        load_recordings("mimic3")


def test_the_cache_is_the_users() -> None:
    assert catalog.cache_folder("bonn").parts[-2:] == ("sequela", "bonn")
