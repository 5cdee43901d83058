"""``sequela data``: list, fetch and check data sets."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

data_app = App(name="data", help="List, download and check data sets.")


@data_app.command(name="list")
def list_(*, json: Annotated[bool, Parameter(negative=())] = False) -> None:
    """List the data sets with their content, licence and location on this machine.

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
    """Download a data set from its publisher into your cache and verify it.

    Example: `sequela data get bonn`

    Args:
        name: Data set of `sequela data list`. If it needs a data use agreement, the command prints
            how to get it.
        url: Address of a mirror of the publisher's folder, which holds Z.zip, O.zip...
    """
    from sequela.sources.fetch import get as fetch

    print(f"{name} is at {fetch(name, url)}")


@data_app.command
def describe(path: Path, /, *, out: Path | None = None) -> None:
    """Propose a declaration for your own data, or print the declaration of a data set.

    Recordings are declared in `signals.toml`, hospital tables in `tables.toml`. Lines that need a
    decision are marked with DECIDE. Fill them in, and save the file next to the data.

    Example: `sequela data describe path/to/tables --out path/to/tables/tables.toml`

    Args:
        path: Table of segments; folder of EDF, BDF or BIDS recordings; folder of hospital tables;
            or a published data set that is declared in such a file, such as `mimic3`.
        out: Write the declaration to this file (default: print it).
    """
    from sequela.sources.describe import describe as proposal

    text, name = proposal(path)
    if out is None:
        print(text, end="")
        return
    from sequela.files import whole

    with whole(out) as partial:
        partial.write_text(text, encoding="utf-8")
    print(f"{out}: fill in the lines marked DECIDE, and save it next to the data as {name}")


@data_app.command
def check(
    name: str,
    /,
    *,
    root: str | None = None,
    changed: Annotated[list[str] | None, Parameter(negative=())] = None,
    allow_set_aside: Annotated[list[str] | None, Parameter(negative=())] = None,
) -> None:
    """Read, check and summarise a whole data set.

    For recordings: counts, shapes, ranges, classes and duplicates. For hospital tables: the number
    of rows of each table that become events, and the reasons for the others, as in `sequela build`.
    For tables that a file declares, invalid rows are listed by number, without their values.
    Temporary files are deleted at the end.

    Example: `sequela data check bonn --root path/to/bonn`

    Args:
        name: Data set of `sequela data list`.
        root: Folder, file or PostgreSQL address of the data (default: the usual search path).
        changed: Accept that this hospital table was changed on purpose after its publication: it
            is not compared with the published table; may be repeated.
        allow_set_aside: Accept that more than 5 % of the rows of this hospital table are set
            aside; may be repeated.
    """
    from sequela.cohort.inventory import take_inventory
    from sequela.sources.catalog import load_recordings, load_windows, lookup, signals_of
    from sequela.sources.check import check as check_tables
    from sequela.sources.hospitals import place_of

    if lookup(name).kind == "ehr":
        place, origin = place_of(name, root)
        if lookup(name).declares and isinstance(place, Path) and place.is_dir():
            from sequela.sources.declared.check import check_rows

            for line in check_rows(name, place):
                print(line)
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
