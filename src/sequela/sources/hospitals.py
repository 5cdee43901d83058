"""The hospital data sets that can be built, by name."""

from importlib import import_module

from sequela.errors import SettingError
from sequela.sources.catalog import DATA_SETS, lookup
from sequela.sources.declarations import Source


def source_of(name: str) -> Source:
    """The declarations of a hospital data set.

    Raises:
        UnknownNameError: There is no such data set.
        SettingError: It holds recordings.
    """
    if lookup(name).kind != "ehr":
        known = ", ".join(sorted(each for each, entry in DATA_SETS.items() if entry.kind == "ehr"))
        raise SettingError(f"{name} holds recordings, expected hospital tables (one of {known})")
    source: Source = import_module(f"sequela.sources.{name}").SOURCE
    return source
