"""``sequela data``: list, fetch and check data sets."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

data_app = App(name="data", help="List, fetch and check data sets.")


@data_app.command(name="list")
def list_(*, json: bool = False) -> None:
    """List the data sets: what they hold, on which terms, and where they are on this machine.

    Example: `sequela data list`

    Args:
        json: Print JSON instead of a table.
    """
    from sequela.sources.listing import as_json, as_table

    if json:
        print(as_json())
        return
    from rich.console import Console

    Console().print(as_table())


@data_app.command
def get(
    name: str,
    /,
    *,
    url: Annotated[str | None, Parameter(env_var="SEQUELA_BONN_URL")] = None,
) -> None:
    """Fetch a data set from its publisher into the user's cache, and prove that it is that data.

    Example: `sequela data get bonn`

    Args:
        name: The data set; for those that need an agreement, the answer says how to get them.
        url: A copy of the publisher's folder to fetch from: it holds Z.zip, O.zip...
    """
    from sequela.sources.fetch import get as fetch

    print(f"{name} is at {fetch(name, url)}")


@data_app.command
def check(name: str, /, *, root: str | None = None) -> None:
    """Read a whole data set and tell what it holds.

    Of recordings: counts, shapes, ranges, classes and duplicates. Of hospital tables: what becomes
    of each row, by the rules of `sequela build`; nothing is kept of what that writes to the folder
    for temporary files.

    Example: `sequela data check bonn --root path/to/bonn`

    Args:
        name: The data set.
        root: Where it is, a folder, a file or the address of a PostgreSQL database; the usual
            places if not given.
    """
    from sequela.cohort.inventory import take_inventory
    from sequela.sources.catalog import load_recordings, lookup, signals_of
    from sequela.sources.check import check as check_tables
    from sequela.sources.hospitals import place_of

    if lookup(name).kind == "ehr":
        place, origin = place_of(name, root)
        account = check_tables(name, place)
        print(f"{name}: {origin}")
        print("\n".join(account.lines()))
        return
    recordings, located = load_recordings(name, None if root is None else Path(root))
    inventory = take_inventory(recordings, signals_of(name))
    print(f"{name}: {located.origin}")
    print(inventory.describe())
    inventory.require_distinct()
