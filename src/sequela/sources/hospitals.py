"""The hospital data sets that can be built, by name."""

from importlib import import_module

from sequela.errors import SettingError
from sequela.sources.catalog import DATA_SETS, lookup
from sequela.sources.declarations import Source

HOSPITALS = tuple(name for name, entry in DATA_SETS.items() if entry.kind == "ehr")


def source_of(name: str) -> Source:
    """The declarations of a hospital data set.

    Raises:
        UnknownNameError: There is no such data set.
        SettingError: It holds recordings.
    """
    lookup(name)
    if name not in HOSPITALS:
        known = ", ".join(sorted(HOSPITALS))
        raise SettingError(f"{name} holds recordings, expected hospital tables (one of {known})")
    source: Source = import_module(f"sequela.sources.{name}").SOURCE
    return source
