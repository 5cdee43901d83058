"""``sequela data``: list, fetch and check data sets."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

data_app = App(name="data", help="List, download and check data sets.")


@data_app.command(name="list")
def list_(*, json: Annotated[bool, Parameter(negative=())] = False) -> None:
    """List the data sets: their content, their licence, and where they are on this machine.

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
    """Download a data set from its publisher into your cache, and verify it.

    Example: `sequela data get bonn`

    Args:
        name: Data set of `sequela data list`. If it needs a data use agreement, the command says
            how to get it.
        url: Address of a mirror of the publisher's folder, which holds Z.zip, O.zip...
    """
    from sequela.sources.fetch import get as fetch

    print(f"{name} is at {fetch(name, url)}")


@data_app.command
def describe(path: Path, /, *, out: Path | None = None) -> None:
    """Look at recordings of your own and propose a declaration, `signals.toml`, for them.

    What a person must decide is marked with DECIDE. Correct it, and put it beside the data.

    Example: `sequela data describe path/to/recordings`

    Args:
        path: Table of segments, or folder of EDF, BDF or BIDS recordings.
        out: Write the declaration to this file (default: print it).
    """
    from sequela.sources.signals.describe import propose

    proposed = propose(path)
    if out is None:
        print(proposed, end="")
        return
    from sequela.files import whole

    with whole(out) as partial:
        partial.write_text(proposed, encoding="utf-8")
    print(f"{out}: decide what is marked, and put it beside the data as signals.toml")


@data_app.command
def check(
    name: str,
    /,
    *,
    root: str | None = None,
    changed: Annotated[list[str] | None, Parameter(negative=())] = None,
    allow_set_aside: Annotated[list[str] | None, Parameter(negative=())] = None,
) -> None:
    """Read a whole data set, check it, and summarise it.

    For recordings: counts, shapes, ranges, classes and duplicates. For hospital tables: how many
    rows of each table become events, and why the others do not, as in `sequela build`. Temporary
    files are deleted at the end.

    Example: `sequela data check bonn --root path/to/bonn`

    Args:
        name: Data set of `sequela data list`.
        root: Folder, file or PostgreSQL address of the data (default: the usual search path).
        changed: Somebody changed this hospital table after its publication, on purpose: it is not
            compared with what was published; may be repeated.
        allow_set_aside: More than 5 % of the rows of this hospital table may be set aside; may be
            repeated.
    """
    from sequela.cohort.inventory import take_inventory
    from sequela.sources.catalog import load_recordings, load_windows, lookup, signals_of
    from sequela.sources.check import check as check_tables
    from sequela.sources.hospitals import place_of

    if lookup(name).kind == "ehr":
        place, origin = place_of(name, root)
        account = check_tables(name, place, changed or (), allow_set_aside or ())
        print(f"{name}: {origin}")
        print("\n".join(account.lines()))
        return
    folder = None if root is None else Path(root)
    if lookup(name).windows:
        windows, located = load_windows(name, folder)
        print(f"{name}: {located.origin}")
        print(windows.describe())
        return
    recordings, located = load_recordings(name, folder)
    inventory = take_inventory(recordings, signals_of(name))
    print(f"{name}: {located.origin}")
    print(inventory.describe())
    inventory.require_distinct()
