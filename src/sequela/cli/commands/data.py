"""``sequela data``: list, describe and check data sets."""

from functools import partial
from pathlib import Path
from shlex import quote
from typing import Annotated

from cyclopts import App, Parameter

from sequela.cli.names import check_names

data = App(name="data", sort_key=0, help="List, describe and check data sets.")


@data.command(name="list")
def list_(*, json: bool = False) -> None:
    """List the data sets with their content, licence and location on this machine.

    Example: `sequela data list`

    Args:
        json: Print JSON instead of a table.
    """
    from sequela.intake.describe import as_json, as_table

    if json:
        print(as_json())
        return
    from rich.console import Console

    Console().print(as_table())


@data.command
def get(name: str, /) -> None:
    """Print how to get a data set, and where it is found; nothing is downloaded.

    Example: `sequela data get mimic4`

    Args:
        name: Data set of `sequela data list`.
    """
    from sequela.datasets.catalog import lookup

    data_set = lookup(name)
    print(f"{name}: {data_set.how_to_get}")
    if located := data_set.find():
        print(f"here: {located.origin}, {located.path}")


@data.command
def describe(
    place: Annotated[str, Parameter(name="PATH")],
    /,
    *,
    write: bool = False,
    out: Path | None = None,
) -> None:
    """Propose a declaration for your own data, or print the declaration of a data set.

    Recordings are declared in `signals.toml`, hospital tables in `tables.toml`; for a table with
    one row per patient, a command is printed. Lines that need a decision are marked with DECIDE.
    Until all are decided, the commands that read the data print the next of these lines.

    Example: `sequela data describe path/to/tables --write`

    Args:
        place: Table of segments, or with one row per patient; folder of recordings (EDF, BDF, BIDS,
            FIF, a csv file of each); folder of hospital tables; database
            (`odbc:DSN=hospital;Schema=ward`), of whose tables the first 100,000 rows are read; or a
            published data set that is declared in such a file, such as `mimic3`.
        write: Write the declaration to its place next to the data; a file that is there is kept.
        out: Write the declaration to this file (default: print it).
    """
    from rich.console import Console

    from sequela.errors import OutputError, SettingError
    from sequela.files import whole
    from sequela.intake.describe import describe as proposal

    path = Path(place)  # is not there for a database
    if write and (out is not None or not path.exists()):
        raise SettingError("--write is for data at a path, and without --out: leave one out")
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with console.status("") as status:
        say = status.update if console.is_terminal else partial(console.print, markup=False)
        text, name = proposal(place, say)
    if not name and (write or out is not None):
        raise SettingError(
            f"{place} has one row per patient, which options describe, not a file: leave --write "
            "and --out out"
        )
    root = path if path.is_dir() else path.parent
    file = root / name if write else out
    if file is None:
        print(text, end="")
        return
    # An existing declaration may hold decisions of a person, which a proposal must not replace.
    if write and file.exists():
        raise OutputError(f"{file} is there already: edit it, or name another file with --out")
    with whole(file) as partly:
        partly.write_text(text, encoding="utf-8")
    print(f"{file}: {_next_step(place, text, name, saved=file == root / name)}")


def _next_step(place: str, declaration: str, name: str, *, saved: bool) -> str:
    from sequela.formats.opened import DECIDE
    from sequela.tables.tables import shown

    path = Path(place)
    lines = enumerate(declaration.splitlines(), start=1)
    # A person must decide what no file states, such as a unit: these lines are named.
    marks = ", ".join(str(number) for number, line in lines if DECIDE in line)
    todo = f"decide what is marked {DECIDE} (lines {marks}), then " if marks else ""
    if not path.exists():
        read = "`sequela build tables --declaration` reads it"
        return f"the declaration of {shown(place)}; {todo}{read}"
    task = "train auto --data signals" if name == "signals.toml" else "build tables --out events"
    file = (path if path.is_dir() else path.parent) / name
    where = "" if saved else f"save it as {file}, "
    return f"{where}{todo or 'then '}run `sequela {task} --root {quote(str(path))}`"


@data.command
def check(
    name: str,
    /,
    *,
    root: str | None = None,
    changed: list[str] | None = None,
    allow_set_aside: list[str] | None = None,
) -> None:
    """Read, check and summarise a whole data set.

    For recordings: counts, shapes, classes, ranges and duplicates. For hospital tables: the number
    of rows of each table that become events, and the reasons for the others, as in `sequela build`.
    Temporary files are deleted at the end.

    Example: `sequela data check bonn --root path/to/bonn`

    Args:
        name: Data set of `sequela data list`.
        root: Folder, file or database address of the data (default: the usual search path).
        changed: Accept that this hospital table was changed on purpose after its publication: it
            is not compared with the published table; may be repeated.
        allow_set_aside: Accept that more than 5 % of the rows of this hospital table are set
            aside; may be repeated.
    """
    check_names(data=name)
    from sequela.datasets.catalog import Modality, lookup
    from sequela.signals.segments import cut
    from sequela.tables.hospitals import check, place_of

    data_set = lookup(name)
    if data_set.modality is Modality.RECORDS:
        place, origin = place_of(name, root)
        account = check(name, place, changed or (), allow_set_aside or ())
        print(f"{name}: {origin}")
        print("\n".join(account.lines()))
        return
    opened, located = data_set.open(None if root is None else Path(root))
    segments = opened
    if not data_set.windows:
        signals = data_set.recordings
        segments = cut(opened, signals.n_times, signals.classes)
    print(f"{name}: {located.origin}")
    print(segments.describe())
    if not data_set.windows:
        print(f"  {segments.n_dropped:,} samples at the ends fill no whole window and are left out")
        segments.require_distinct()
